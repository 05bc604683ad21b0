/* Products with many positions, of the decoding and of the dense products of a tier. */
#ifndef HC_KERNELS_PAIR_PRODUCT_MANY_H
#define HC_KERNELS_PAIR_PRODUCT_MANY_H

#include "pair_product.h"

#include "dense_product/dense_product.h"
#include "pair_decode/pair_decode.h"

/* Rows that are decoded at a time: they begin and end with a byte. */
enum { HC_PAIR_PRODUCT_ROWS = 16 };

static inline size_t hc_pair_product_many(const struct hc_pair_product *p, const struct hc_pair_decode_ops *decode,
                                          const struct hc_dense_product_ops *dense)
{
    size_t strays = 0;
    for (size_t r = 0; r < p->rows; r += HC_PAIR_PRODUCT_ROWS) {
        const size_t rows = p->rows - r < HC_PAIR_PRODUCT_ROWS ? p->rows - r : HC_PAIR_PRODUCT_ROWS;
        const struct hc_dense_product product = {.rows = p->scratch,
                                                 .row_count = rows,
                                                 .row_stride = p->columns,
                                                 .x = p->x,
                                                 .n = p->n,
                                                 .x_stride = p->x_stride,
                                                 .columns = p->columns,
                                                 .out = p->out + r,
                                                 .out_stride = p->out_stride};
        strays += decode->block(p->codes + r / 8 * (p->columns / 2) * p->bits, rows * (p->columns / 2), p->bits,
                                p->table, p->entries, p->scratch);
        dense->multiply(&product);
    }
    return strays;
}

#endif
