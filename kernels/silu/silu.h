/* SwiGLU's gate (Shazeer, 2020): gate[j] = silu(gate[j]) up[j], silu(x) = x / (1 + exp(-x)).
 *
 * exp is that of common/exponential.h; the sum, the quotient and the product are rounded to float32 once, so all tiers
 * give the same bits, but for NaN payloads. No alignment. Below x = -88.7 silu is -0, of -infinity NaN.
 */
#ifndef HC_KERNELS_SILU_H
#define HC_KERNELS_SILU_H

#include <stddef.h>

struct hc_silu_ops {
    void (*gate)(float *gate, const float *up, size_t n);
};

void hc_silu_c(struct hc_silu_ops *ops);
void hc_silu_avx2(struct hc_silu_ops *ops);
void hc_silu_avx512(struct hc_silu_ops *ops);

#endif
