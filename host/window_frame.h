/* What `window` makes of a matrix before it is coded (docs/FORMAT.md): the *frame* of column scales, signs and Hadamard
 * blocks, and the *coder* of one (k, L). Both are read-only once made; engines share them between threads.
 */
#ifndef HC_HOST_WINDOW_FRAME_H
#define HC_HOST_WINDOW_FRAME_H

#include "engine.h"

enum {
    HC_WINDOW_MAX_COLUMNS = 1 << 20,
    HC_WINDOW_OCTAVE = 8,         /* steps of the column scales in an octave */
    HC_WINDOW_MIN_EXPONENT = -126 /* no scale is below the normal range, so that its inverse is finite */
};

/* Rows of a root mean square of less than this, relative to the column scales, vanish: half precision has no scale for
 * them. */
#define HC_WINDOW_LEAST_SCALE 0x1p-25

struct hc_window_frame {
    uint64_t rows, columns;           /* of the matrix */
    uint64_t tile_rows, tile_columns; /* padded with zeros to whole tiles */
    unsigned block;                   /* of the Hadamard transform */
    uint32_t seed;                    /* of the signs */
    int exponent;                     /* base of the column scales, power of two */
    uint8_t *bytes;                   /* their steps, one per column; NULL: all scales are 2^exponent */
    float *to_code, *from_code;       /* 16 tile_columns: sign / scale, and sign scale; 0 in columns of zeros */
};

/* The frame of a matrix that is to be coded, from its column norms c and, if the tensor has them, the second moments h
 * of its inputs, or for columns == HC_COLUMNS_NONE from its largest weight. Norms and largest weights come from maxima
 * and integer sums: they depend neither on threads, nor on devices, nor on how the rows are cut.
 *
 * Rotation spreads the error evenly over what was divided by the scales s, so that column j errs by e_j^2 ~ s_j^2 mean
 * (c^2 / s^2). What the outputs err by, sum_j h_j e_j^2, is then least for s_j = c_j^(1/2) h_j^(-1/4) (Cauchy and
 * Schwarz); without h, as if large inputs met small columns: s_j = c_j. norms2: NULL, or room for `piece->columns` mean
 * squares. *kept_because is a static string if the piece cannot be coded, else NULL. */
hc_status hc_window_frame_fit(struct hc_window_frame *frame, struct hc_engine *engine, const struct hc_piece *piece,
                              hc_columns columns, uint32_t seed, double *norms2, const char **kept_because,
                              struct hc_error *error);

/* The second moments of the inputs as far as they are believed (moments.h), so scaled that the expected energy of the
 * outputs, sum_j c_j^2 h_j, stays. inputs, norms2: one number per column. */
struct hc_moments_vector;
void hc_window_inputs(double *inputs, const double *norms2, const struct hc_moments_vector *moments);

/* The frame of a stored matrix. bytes: its columns, which are copied, or NULL. */
hc_status hc_window_frame_restore(struct hc_window_frame *frame, uint64_t rows, uint64_t columns, unsigned block,
                                  uint32_t seed, int exponent, const uint8_t *bytes, struct hc_error *error);

void hc_window_frame_free(struct hc_window_frame *frame);

/* Sides of the padded matrix, and the Hadamard block: the largest power of two up to 128 that divides its columns. */
void hc_window_frame_shape(struct hc_window_frame *frame, uint64_t rows, uint64_t columns);

static inline uint64_t hc_window_padded_columns(const struct hc_window_frame *frame)
{
    return frame->tile_columns * HC_TILE;
}

/* A *block of tiles* is what of a row of tiles a Hadamard block covers: the least that can be prepared by itself. */
static inline uint64_t hc_window_block_tiles(const struct hc_window_frame *frame)
{
    return frame->block / HC_TILE;
}

/* Of a row of tiles; all alike. */
static inline uint64_t hc_window_row_blocks(const struct hc_window_frame *frame)
{
    return frame->tile_columns / hc_window_block_tiles(frame);
}

/* One (k, L), ready for decoding and, if it was made for that, encoding. */
struct hc_window_coder {
    struct hc_window_code code;
    uint16_t *table;
    float full_scale; /* of the codebook */
    int16_t *codebook;
    void *layout;
    struct hc_window_trellis trellis;
};

/* `kernels`: to encode with; NULL: for decoding only. */
hc_status hc_window_coder_init(struct hc_window_coder *coder, const struct hc_window_code *code,
                               const struct hc_kernels *kernels, struct hc_error *error);
void hc_window_coder_free(struct hc_window_coder *coder);

static inline size_t hc_window_tile_bytes(const struct hc_window_coder *coder)
{
    return (size_t)HC_TILE_WEIGHTS / 8 * coder->code.k;
}

#endif
