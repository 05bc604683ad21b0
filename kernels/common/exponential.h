/* exp in float32, the same bits in every tier (exponential_avx2.h, exponential_avx512.h), wrong by at most 0.9 units in
 * the last place: 0.892 at worst, all numbers of magnitude 2^-31 and more tried.
 *
 * exp(x) = 2^n exp(r), r = x - n ln 2. Every operation below is rounded once, to nearest:
 *  - t = fma(x, 1 / ln 2, 1.5 2^23): an integer, n, stands in the low bits of its mantissa; n = t - 1.5 2^23
 *  - r = fma(-n, HC_EXP_LN2_LOW, fma(-n, HC_EXP_LN2_HIGH, x)); |r| <= ln 2 / 2, about
 *  - p = fma(.. fma(fma(C6, r, C5), r, C4) .., r, 1): Horner's rule, degree 6. The coefficients have the least relative
 *    error on that interval, 2^-28.2; each was rounded to float32, and the rest fitted again.
 *  - n is added to the exponent of p.
 * x > HC_EXP_MOST: infinity; x < HC_EXP_LEAST, where results would be subnormal: 0; NaN: NaN. exp(0) = 1.
 */
#ifndef HC_KERNELS_COMMON_EXPONENTIAL_H
#define HC_KERNELS_COMMON_EXPONENTIAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define HC_EXP_LEAST (-0x1.5d5894p+6f) /* -87.3365 */
#define HC_EXP_MOST 0x1.62e426p+6f     /* 88.7228 */
#define HC_EXP_PER_LN2 0x1.715476p+0f
#define HC_EXP_LN2_HIGH 0x1.62e43p-1f
#define HC_EXP_LN2_LOW (-0x1.05c61p-29f)
#define HC_EXP_INTEGER 0x1.8p+23f
#define HC_EXP_C6 0x1.6a5228p-10f
#define HC_EXP_C5 0x1.12396cp-7f
#define HC_EXP_C4 0x1.5558aap-5f
#define HC_EXP_C3 0x1.555492p-3f
#define HC_EXP_C2 0x1.fffffcp-2f

enum { HC_EXP_MANTISSA = 23 };

static inline float hc_exp(float x)
{
    if (!(x <= HC_EXP_MOST))
        return x + INFINITY; /* or NaN */
    if (x < HC_EXP_LEAST)
        return 0;
    float t = fmaf(x, HC_EXP_PER_LN2, HC_EXP_INTEGER), n = t - HC_EXP_INTEGER;
    float r = fmaf(-n, HC_EXP_LN2_LOW, fmaf(-n, HC_EXP_LN2_HIGH, x));
    float p = fmaf(fmaf(fmaf(HC_EXP_C6, r, HC_EXP_C5), r, HC_EXP_C4), r, HC_EXP_C3);
    p = fmaf(fmaf(fmaf(p, r, HC_EXP_C2), r, 1), r, 1);
    uint32_t exponent, bits;
    memcpy(&exponent, &t, sizeof exponent);
    memcpy(&bits, &p, sizeof bits);
    bits += exponent << HC_EXP_MANTISSA; /* only n is left of t */
    memcpy(&p, &bits, sizeof p);
    return p;
}

#endif
