/* Conversion between float32 and the float types that files store.
 *
 * Shapes: `n` elements, contiguous; no alignment is needed; input and output must not overlap.
 * To float32 every conversion is exact; NaN stays NaN (payload unspecified), infinities stay.
 * From float32 rounding is to nearest, ties to even; overflow gives infinity (E4M3 has none here:
 * nothing is ever written in 8 bits).
 * All tiers agree bit for bit, but for NaN payloads.
 */
#ifndef HC_KERNELS_CONVERT_H
#define HC_KERNELS_CONVERT_H

#include <stddef.h>
#include <stdint.h>

struct hc_convert_ops {
    void (*f16_to_f32)(const uint16_t *in, size_t n, float *out);
    void (*bf16_to_f32)(const uint16_t *in, size_t n, float *out);
    void (*f64_to_f32)(const double *in, size_t n, float *out); /* rounds */
    void (*f8_e4m3_to_f32)(const uint8_t *in, size_t n,
                           float *out); /* the "FN" variant: no infinity, NaN is S.1111.111 */
    void (*f8_e5m2_to_f32)(const uint8_t *in, size_t n, float *out);
    void (*f32_to_f16)(const float *in, size_t n, uint16_t *out);
    void (*f32_to_bf16)(const float *in, size_t n, uint16_t *out);
};

void hc_convert_c(struct hc_convert_ops *ops);
void hc_convert_avx2(struct hc_convert_ops *ops);
void hc_convert_avx512(struct hc_convert_ops *ops);

#endif
