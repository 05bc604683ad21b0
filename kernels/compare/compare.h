/* How far one array of weights lies from another.
 *
 * For n weights (any n): e = (double)decoded[i] - (double)weights[i]; sums of |e|, e*e and
 * weights[i]^2 in double, in lanes by weight (common/pair.h: lane i mod 32, no fma), and the largest |e|.
 * Finite input. Callers compare block by block (HC_BLOCK) and add the sums exactly.
 */
#ifndef HC_KERNELS_COMPARE_H
#define HC_KERNELS_COMPARE_H

#include <stddef.h>

struct hc_compare {
    double abs_error, squared_error, squared_weights, max_abs_error;
};

struct hc_compare_ops {
    void (*block)(const float *weights, const float *decoded, size_t n, struct hc_compare *out);
};

void hc_compare_c(struct hc_compare_ops *ops);
void hc_compare_avx2(struct hc_compare_ops *ops);
void hc_compare_avx512(struct hc_compare_ops *ops);

#endif
