/* Products of `pair` matrices with the activations of n positions, straight from the codes.
 *
 * Codes of 1..24 bits lie one behind the other as bitpack.h lays them out, code i for the weights 2 i and 2 i + 1 of
 * the matrix, row-major: a row may begin in any bit, every eighth one begins with a byte. Columns are even: where rows
 * are odd a code spans two of them, and such a matrix has its rows decoded first (pair_decode.h, dense_product.h).
 *
 * The weights are the table's, and out[i out_stride + r] is the dot product of row r and position i as dense_product.h
 * makes it: the bits are those of decoding and multiplying, in all tiers and for any division of the work. With one
 * position nothing decoded is written back; with more every code is decoded once, into scratch that stays in the cache.
 *
 * multiply returns the number of codes that are not below `entries`, which count as code 0; 0 for sound input.
 */
#ifndef HC_KERNELS_PAIR_PRODUCT_H
#define HC_KERNELS_PAIR_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

struct hc_pair_product {
    const uint8_t *codes; /* (rows columns / 2 bits + 7) / 8 bytes; the first row begins the first of them */
    unsigned bits;
    const float (*table)[2]; /* `entries` pairs, at least one */
    uint32_t entries;
    size_t rows, columns;
    const float *x; /* position i at x + i x_stride */
    size_t n, x_stride;
    float *scratch; /* hc_pair_product_scratch floats; no contents expected or left */
    float *out;     /* overlaps with nothing else */
    size_t out_stride;
};

/* Strides in elements, no alignment; any count may be 0. No byte of the codes and no entry of the table is read beyond
 * the stated ones, nothing of x beyond the columns, and nothing else of out is written. Rows by the 16 are fastest. */
struct hc_pair_product_ops {
    size_t (*multiply)(const struct hc_pair_product *product);
};

/* Floats; may be 0. */
size_t hc_pair_product_scratch(size_t columns, size_t n);

void hc_pair_product_c(struct hc_pair_product_ops *ops);
void hc_pair_product_avx2(struct hc_pair_product_ops *ops);
void hc_pair_product_avx512(struct hc_pair_product_ops *ops);

#endif
