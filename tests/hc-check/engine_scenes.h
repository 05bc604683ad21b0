/* What engines are shown: tensors of every type that is read, in whole and in part, with ordinary weights and those at
 * the edges, and grids fitted to them. */
#ifndef HC_CHECK_ENGINE_SCENES_H
#define HC_CHECK_ENGINE_SCENES_H

#include "check.h"

/* Each but the last holds what stands before it, too. Types of 8 bits and block types have no such choice: they hold
 * random bits, finite unless SCENE_NOT_FINITE is asked for. */
enum scene_content {
    SCENE_NORMAL,     /* normal weights and some outliers */
    SCENE_TINY,       /* zeros of both signs, subnormal numbers */
    SCENE_HUGE,       /* the largest numbers */
    SCENE_NOT_FINITE, /* NaN and infinities: nothing is fitted */
    SCENE_BITS        /* random bits, finite: all magnitudes up to 2 */
};

struct scene_plan {
    hc_type type;
    enum scene_content content;
    uint64_t experts, rows, columns; /* of the tensor. experts 3: the piece is the one in the middle, 1: the whole */
    uint64_t heads;                  /* of hc_tensor.permuted_heads; 0: rows in order */
    uint32_t points, classes;        /* classes 0: the square holds every pair, and `side` is not read */
    double side;
};

/* A piece within a tensor, a stretch of that piece, and the grids fitted to it: with 1, 2 .. classes classes, or one
 * without. Codes, their bits and the table are the last grid's. */
struct scene {
    uint8_t *memory;
    struct hc_tensor tensor;
    struct hc_piece piece;
    uint64_t first, count;
    struct hc_pair_grid grids[HC_PAIR_MAX_CLASSES];
    size_t grid_count;
    unsigned bits;
    uint32_t entries;
    uint8_t *packed;
    float (*table)[2];
};

enum { SCENES_DRAWN = 30 };

/* Number of the scenes whose weights are finite, and of those where not all are: numbers in a row. */
int scenes_finite(void);
int scenes_not_finite(void);

/* Begins case i of the check with scene i. False: no memory, or nothing can be fitted. To be closed either way. */
bool scene_open(struct scene *s, struct check *c, int i);

/* Makes the tensor, at an odd address by chance, and the piece; the stretch is the whole of it. */
bool scene_make(struct scene *s, struct check_random *random, const struct hc_kernels *kernels,
                const struct scene_plan *plan);
/* Fits the grids to the piece and codes the stretch, as `truth` does. */
bool scene_fit(struct scene *s, const struct check_tier *truth, const struct scene_plan *plan);
void scene_close(struct scene *s);

/* The types to which engines decode, and what float32 becomes in one of them by the kernels of the truth. */
enum { SCENE_TYPES = 3 };
extern const hc_type scene_types[SCENE_TYPES];
void scene_round(const struct check *c, const float *weights, size_t n, hc_type type, void *out);

size_t scene_packed_bytes(const struct scene *s);
const struct hc_pair_grid *scene_grid(const struct scene *s);

#endif
