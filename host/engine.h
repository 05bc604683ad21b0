/* An *engine* runs the operations of the methods over long stretches of a tensor, on one device.
 *
 * host/engine_cpu.c spreads the blocks over threads; cuda/ registers another. engine_team.h makes one of several,
 * engine_ranks.h one of those of all ranks. All give the same bits: sums are made block by block in the stated lanes
 * (kernels/common/pair.h), and added over blocks exactly (exact_sum.h), so that neither threads, nor devices, nor where
 * a stretch is cut can show. A stretch begins at a multiple of HC_BLOCK weights of its piece.
 *
 * A *piece* is what is fitted and coded as a whole: a tensor, or one expert of a 3-D expert tensor.
 */
#ifndef HC_HOST_ENGINE_H
#define HC_HOST_ENGINE_H

#include "compare/compare.h"
#include "error.h"
#include "exact_sum.h"
#include "source.h"

struct hc_piece {
    const struct hc_tensor *tensor;
    uint64_t first; /* of the tensor's weights */
    uint64_t weights;
    uint64_t rows, columns; /* as a matrix, outputs x inputs: their product is weights */
};

/* Results over a stretch; sums over stretches add up by hc_exact_add_sum, counts by +, maxima by max. */
struct hc_moments_sum {
    struct hc_exact_sum sum[2];
    uint64_t non_finite;
};

struct hc_extent_sum {
    double max_distance2;
    uint64_t outer;
};

/* What one grid does to a stretch: pairs of class 0 ([0]) and the others ([1]). */
struct hc_search_sum {
    struct hc_exact_sum error[2];
    int32_t max_code[2];
};

struct hc_compare_sum {
    struct hc_exact_sum abs_error, squared_error, squared_weights;
    double max_abs_error;
};

void hc_compare_add(struct hc_compare_sum *sum, const struct hc_compare_sum *other);
void hc_compare_add_block(struct hc_compare_sum *sum, const struct hc_compare *block);

struct hc_window_frame; /* window_frame.h */
struct hc_window_coder;

/* What becomes of a run of tile rows; arrays of the matrix's own rows and columns. NULL: not wanted, but for codes. */
struct hc_window_result {
    uint8_t *codes;   /* of the tiles, row by row */
    uint16_t *scales; /* per row, half precision */
    double *residual; /* per row: squared error in the frame, where the columns have their own unit each */
};

/* Codes and scales of rows of tiles, from one of them on. */
struct hc_window_coded {
    const uint8_t *codes;
    const uint16_t *scales;
    uint64_t first_tile_row;
};

/* What takes rows to the units of the coder, of rows of tiles from one of them on. */
struct hc_window_factors {
    const float *factors;
    uint64_t first_tile_row;
};

struct hc_engine {
    const struct hc_engine_table *table;
    const struct hc_kernels *kernels; /* of the CPU, for what the host does itself; outlives the engine */
    void *state;                      /* of the engine */
    /* Of an engine that is made of several: how much longer than one device's stretches are to be, so that there is
     * work for all. It decides what is computed when, and so is the same on all ranks. 0 counts as 1. */
    unsigned width;
    /* Told by the calling thread what the user should know although nothing failed; may be NULL. */
    void (*notice)(const char *text, void *user);
    void *user;
};

static inline unsigned hc_engine_width(const struct hc_engine *engine)
{
    return engine->width ? engine->width : 1;
}

/* Every function works on the weights first .. first + count - 1 of a piece (first a multiple of HC_BLOCK),
 * *adds* to its result, and returns when that is complete. */
struct hc_engine_table {
    const char *name;
    void (*destroy)(struct hc_engine *engine);

    /* Passes over this piece follow, until let_go, and its weights stay as they are: a device may keep it, so that it
     * is uploaded once. One piece at a time. Never fails: where there is no room, every pass uploads. let_go is also
     * right where none is held. */
    void (*hold)(struct hc_engine *engine, const struct hc_piece *piece);
    void (*let_go)(struct hc_engine *engine);

    hc_status (*pair_moments)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                              struct hc_moments_sum *sum, struct hc_error *error);
    hc_status (*pair_extent)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const struct hc_pair_grid *grid, struct hc_extent_sum *sum, struct hc_error *error);
    /* Tries `grids` grids that differ in their classes only (grids[0] has classes 0 or 1); sums has one entry per
     * grid; error[0] and max_code[0], the same for all of them, stand in sums[0] alone. */
    hc_status (*pair_try)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                          const struct hc_pair_grid *grids, size_t grid_count, struct hc_search_sum *sums,
                          struct hc_error *error);
    /* Codes of `bits` bits, packed, to out: (pairs * bits + 7) / 8 bytes. */
    hc_status (*pair_encode)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const struct hc_pair_grid *grid, unsigned bits, uint8_t *out, struct hc_error *error);
    /* in: packed codes of the stretch, all their (pairs * bits + 7) / 8 bytes. out: count numbers of `type`, as
     * hc_engine_round makes them. HC_ERR_CORRUPT if a code is not in the table. */
    hc_status (*pair_decode)(struct hc_engine *engine, const uint8_t *in, uint64_t count, unsigned bits,
                             const float (*table)[2], uint32_t entries, hc_type type, void *out,
                             struct hc_error *error);
    /* Decodes the stretch and holds it against the piece. */
    hc_status (*pair_compare)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                              const uint8_t *in, unsigned bits, const float (*table)[2], uint32_t entries,
                              struct hc_compare_sum *sum, struct hc_error *error);

    /* `window` works on rows of the piece, from any row on (first_row, rows), or on whole rows of tiles. largest and
     * sums: one entry per column; see window_rows.h. */
    hc_status (*window_largest)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, float *largest, uint64_t *non_finite, struct hc_error *error);
    hc_status (*window_squares)(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, const double *to_units, uint64_t *sums, struct hc_error *error);
    /* Codes the rows of tiles first_tile_row .. first_tile_row + tile_rows - 1. */
    hc_status (*window_encode)(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                               struct hc_error *error);
    /* The same in three steps, for rows of tiles that several engines share: each may be cut finer than at rows of
     * tiles, and the results are those of window_encode, bit for bit. First the factors of `rows` rows, from any row
     * on. */
    hc_status (*window_factors)(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error);
    /* Then the codes of `blocks` *blocks of tiles* (hc_window_row_blocks), which are counted through the matrix, row of
     * tiles by row of tiles. */
    hc_status (*window_search)(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                               uint8_t *codes, struct hc_error *error);
    /* At last scales and residuals of `rows` rows, from any row on, by the codes of their rows of tiles.
     * coded->scales and result->codes do not matter. */
    hc_status (*window_fit)(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, const struct hc_window_coded *coded,
                            uint64_t first_row, uint64_t rows, const struct hc_window_result *result,
                            struct hc_error *error);
    /* codes and scales of the whole matrix; out: rows x columns of `type`, as hc_engine_round makes them. Several
     * threads may decode at once with an engine of the CPU. */
    hc_status (*window_decode)(struct hc_engine *engine, const struct hc_window_frame *frame,
                               const struct hc_window_coder *coder, const uint8_t *codes, const uint16_t *scales,
                               uint64_t first_row, uint64_t rows, hc_type type, void *out, struct hc_error *error);
    /* Decodes the weights first .. first + count - 1 (first a multiple of HC_BLOCK), whose rows are among those of
     * `coded`, and holds them against the piece. */
    hc_status (*window_compare)(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                const struct hc_window_coded *coded, uint64_t first, uint64_t count,
                                struct hc_compare_sum *sum, struct hc_error *error);
};

/* Decoded weights in the type that is wanted: F32, F16 or BF16, rounded to nearest, ties to even. No overlap. */
void hc_engine_round(const struct hc_kernels *kernels, const float *weights, size_t n, hc_type type, void *out);

/* The CPU's. `kernels` must outlive it. */
hc_status hc_engine_cpu(struct hc_engine *engine, const struct hc_kernels *kernels, int threads,
                        struct hc_error *error);

#endif
