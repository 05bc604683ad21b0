/* What the checks of fused products share: random inputs, and the truth in double precision. */
#ifndef HC_CHECK_CUDA_PRODUCT_CASES_H
#define HC_CHECK_CUDA_PRODUCT_CASES_H

#include "device.h"

#include "window_product/window_product_cuda.h"

/* A matrix as the products take it, on both sides. */
struct product_case {
    size_t rows, tile_columns;
    uint16_t *halves, *row_scales;
    float *x_scales, *bias, *before; /* `before`: what is in out */
    bool with_bias, add;
    const uint16_t *values; /* decoded, rows x 16 tile_columns */
    struct {
        const uint16_t *halves, *row_scales;
        const float *x_scales, *bias;
        float *out;
    } device;
};

/* Zeroed memory of the host, until product_end, which also ends the case on the device. */
void *product_memory(size_t bytes);
void product_end(struct check *c);

/* Random inputs for n positions: groups of zeros, of very different scales, and one whose scale is NaN. `scaled`: with
 * row scales. Fills in all but the values. */
void product_inputs(struct check *c, struct product_case *m, size_t n, bool scaled);
/* Holds what is in out against the truth. */
void product_results(struct check *c, const struct product_case *m, size_t n);
/* The outputs' bits, to compare two runs; and out as it was before them. */
void product_fetch(struct check *c, const struct product_case *m, size_t n, float *out);
void product_reset(struct check *c, const struct product_case *m, size_t n);

#endif
