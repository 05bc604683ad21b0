/* Products of a few rows of float32 weights with activations of n positions.
 *
 * The dot product of two vectors of c numbers is made in 16 lanes: lane l is the sum over j = l, l + 16, l + 32 .. by
 * fused multiply-adds, from 0 on; then lanes are added in halves (l += l + 8, + 4, + 2, + 1). It depends on nothing
 * else, so all tiers, and all divisions of the work, give the same bits, but for NaN payloads.
 *
 * rows: row r at rows + r row_stride. x: position i at x + i x_stride. out[i out_stride + r] = dot; out overlaps with
 * neither. Strides in elements, no alignment; any count may be 0. Nothing is read beyond c, and nothing else of out is
 * written. Rows by the 16 are fastest.
 */
#ifndef HC_KERNELS_DENSE_PRODUCT_H
#define HC_KERNELS_DENSE_PRODUCT_H

#include <stddef.h>

struct hc_dense_product {
    const float *rows;
    size_t row_count, row_stride;
    const float *x;
    size_t n, x_stride;
    size_t columns;
    float *out;
    size_t out_stride;
};

struct hc_dense_product_ops {
    void (*multiply)(const struct hc_dense_product *product);
};

void hc_dense_product_c(struct hc_dense_product_ops *ops);
void hc_dense_product_avx2(struct hc_dense_product_ops *ops);
void hc_dense_product_avx512(struct hc_dense_product_ops *ops);

#endif
