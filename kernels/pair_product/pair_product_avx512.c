#include "pair_product_many.h"

/* Looking up the table is AVX2's: into the cache, plain loads are faster than gathers. */
static size_t multiply(const struct hc_pair_product *p)
{
    struct hc_pair_product_ops narrow;
    struct hc_pair_decode_ops decode;
    struct hc_dense_product_ops dense;
    hc_pair_product_avx2(&narrow);
    hc_pair_decode_avx2(&decode);
    hc_dense_product_avx512(&dense);
    return p->n > 1 ? hc_pair_product_many(p, &decode, &dense) : narrow.multiply(p);
}

void hc_pair_product_avx512(struct hc_pair_product_ops *ops)
{
    ops->multiply = multiply;
}
