/* RMSNorm (Zhang and Sennrich, 2019): out[j] = x[j] (1 / sqrt(mean(x^2) + epsilon)) gain[j], row by row.
 *
 * The mean is made as the dot product of dense_product.h, x with itself, divided by width; then one square root and one
 * division, x[j] times that, times gain[j], each rounded to float32 once: all tiers give the same bits, but for NaN
 * payloads. No alignment; out may be x.
 */
#ifndef HC_KERNELS_RMS_NORM_H
#define HC_KERNELS_RMS_NORM_H

#include <stddef.h>

struct hc_rms_norm_ops {
    void (*rows)(const float *x, const float *gain, size_t rows, size_t width, float epsilon, float *out);
};

void hc_rms_norm_c(struct hc_rms_norm_ops *ops);
void hc_rms_norm_avx2(struct hc_rms_norm_ops *ops);
void hc_rms_norm_avx512(struct hc_rms_norm_ops *ops);

#endif
