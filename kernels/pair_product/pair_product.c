#include "pair_product_many.h"

#include "common/bits.h"
#include "common/dot.h"

size_t hc_pair_product_scratch(size_t columns, size_t n)
{
    return n > 1 ? HC_PAIR_PRODUCT_ROWS * columns : 0;
}

/* With one position. */
static size_t one(const struct hc_pair_product *p)
{
    struct hc_bit_reader reader = hc_bit_reader_init(p->codes, p->rows * (p->columns / 2), p->bits);
    size_t strays = 0;
    for (size_t r = 0; r < p->rows; r++) {
        float lanes[HC_DOT_LANES] = {0};
        for (size_t j = 0; j < p->columns; j += 2) {
            uint32_t code = hc_bit_reader_next(&reader, p->bits);
            if (code >= p->entries) {
                strays++;
                code = 0;
            }
            float *two = lanes + j % HC_DOT_LANES;
            two[0] = fmaf(p->table[code][0], p->x[j], two[0]);
            two[1] = fmaf(p->table[code][1], p->x[j + 1], two[1]);
        }
        p->out[r] = hc_dot_sum(lanes);
    }
    return strays;
}

static size_t multiply(const struct hc_pair_product *p)
{
    struct hc_pair_decode_ops decode;
    struct hc_dense_product_ops dense;
    if (p->n == 1)
        return one(p);
    hc_pair_decode_c(&decode);
    hc_dense_product_c(&dense);
    return p->n > 0 ? hc_pair_product_many(p, &decode, &dense) : 0;
}

void hc_pair_product_c(struct hc_pair_product_ops *ops)
{
    ops->multiply = multiply;
}
