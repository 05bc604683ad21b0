#include "dense_product.h"

#include "common/dot.h"

static void multiply(const struct hc_dense_product *p)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t r = 0; r < p->row_count; r++)
            p->out[i * p->out_stride + r] = hc_dot(p->rows + r * p->row_stride, p->x + i * p->x_stride, p->columns);
}

void hc_dense_product_c(struct hc_dense_product_ops *ops)
{
    ops->multiply = multiply;
}
