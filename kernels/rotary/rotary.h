/* Rotary positions (Su et al., 2021), in the order of Hugging Face: in every head the pair (d, d + width / 2) is turned
 * by an angle whose cosine and sine the caller hands in: a' = a cos - b sin, b' = b cos + a sin, every product and
 * every sum rounded to float32 once, so that all tiers give the same bits, but for NaN payloads.
 *
 * x: heads x width, in place; cosines, sines: width / 2. width is even. No alignment.
 */
#ifndef HC_KERNELS_ROTARY_H
#define HC_KERNELS_ROTARY_H

#include <stddef.h>

struct hc_rotary_ops {
    void (*heads)(float *x, size_t heads, size_t width, const float *cosines, const float *sines);
};

void hc_rotary_c(struct hc_rotary_ops *ops);
void hc_rotary_avx2(struct hc_rotary_ops *ops);
void hc_rotary_avx512(struct hc_rotary_ops *ops);

#endif
