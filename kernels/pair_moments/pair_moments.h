/* First pass of `pair`: the sums behind the centre.
 *
 * For one block of n weights (1 <= n <= HC_BLOCK): x are the weights of even index, y those of
 * odd index. With n odd the last pair has no y and adds nothing to sum[1].
 * Sums are in double, in lanes by pair (common/pair.h). non_finite counts NaN and infinities among
 * the weights; if it is not 0 the sums mean nothing.
 */
#ifndef HC_KERNELS_PAIR_MOMENTS_H
#define HC_KERNELS_PAIR_MOMENTS_H

#include "common/pair.h"

struct hc_pair_moments {
    double sum[2];
    uint64_t non_finite;
};

struct hc_pair_moments_ops {
    void (*block)(const float *weights, size_t n, struct hc_pair_moments *out);
};

void hc_pair_moments_c(struct hc_pair_moments_ops *ops);
void hc_pair_moments_avx2(struct hc_pair_moments_ops *ops);
void hc_pair_moments_avx512(struct hc_pair_moments_ops *ops);

#endif
