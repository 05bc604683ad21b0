/* Attention of one head of one position over a cache of keys and values.
 *
 * With t = from .. to - 1: s_t = (query . key_t) scale, p_t = exp(s_t - max s), out = sum_t p_t value_t / sum_t p_t.
 * The dot products are those of dense_product.h; max, exp and sum_t p_t, in 16 lanes by t - from, those of softmax.h;
 * every out[d] is a chain of fused multiply-adds in the order of t, from 0 on, multiplied at the end by the reciprocal
 * of the sum. All tiers give the same bits, but for NaN payloads. Nothing overflows after finite scores: p_t <= 1. A
 * score that is NaN or +infinity makes all of out NaN.
 *
 * keys, values: position t at + t width elements of the cache's type, aligned to elements; of I8 the number is the byte
 * times the scale of its position (key_scales, value_scales; else NULL), multiplied in float32. width: a multiple of 2,
 * up to HC_ATTENTION_WIDTH. from < to.
 */
#ifndef HC_KERNELS_ATTENTION_H
#define HC_KERNELS_ATTENTION_H

#include <hyperc/hyperc.h>

enum { HC_ATTENTION_WIDTH = 512, HC_ATTENTION_I8 = 127 };

struct hc_attention_head {
    hc_type type; /* F16, F32 or I8 */
    size_t width;
    const void *keys, *values;
    const float *key_scales, *value_scales;
    size_t from, to;
    float scale;
    float *scores; /* room for queries (to - from) floats, no contents expected or left */
};

struct hc_attention_ops {
    /* `queries` queries that share keys and values (of one position: grouped-query attention), width floats each. out:
     * the same shape, overlaps with nothing. */
    void (*attend)(const struct hc_attention_head *head, const float *query, size_t queries, float *out);
    /* Writes a head of a position into the cache. F16 rounds to nearest, ties to even. I8: *scale = max |x| / 127, and
     * x / *scale to nearest, ties to even, at most 127 in magnitude, which a subnormal scale could exceed; zeros if
     * *scale is 0. *scale is NaN, and the bytes are zeros, if an x is not finite. Other types leave it alone. */
    void (*store)(hc_type type, const float *x, size_t width, void *to, float *scale);
};

void hc_attention_c(struct hc_attention_ops *ops);
void hc_attention_avx2(struct hc_attention_ops *ops);
void hc_attention_avx512(struct hc_attention_ops *ops);

#endif
