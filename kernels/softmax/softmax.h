/* The two halves of a softmax over n numbers, n >= 1. No alignment.
 *
 * exp is that of common/exponential.h, and sums are made in 16 lanes: lane l is the sum over j = l, l + 16, l + 32 ..,
 * from 0 on; then lanes are added in halves (l += l + 8, + 4, + 2, + 1). All tiers give the same bits, but
 * for NaN payloads.
 */
#ifndef HC_KERNELS_SOFTMAX_H
#define HC_KERNELS_SOFTMAX_H

#include <stddef.h>

struct hc_softmax_ops {
    /* The lowest index of the largest number. NaN is never the largest; 0 where there is nothing else. */
    size_t (*largest)(const float *x, size_t n);
    /* x[j] = exp(x[j] - max), the difference rounded to float32; returns their sum. */
    float (*exponentials)(float *x, size_t n, float max);
};

void hc_softmax_c(struct hc_softmax_ops *ops);
void hc_softmax_avx2(struct hc_softmax_ops *ops);
void hc_softmax_avx512(struct hc_softmax_ops *ops);

#endif
