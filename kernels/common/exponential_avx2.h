/* exponential.h, eight at a time. Needs AVX2 and FMA. */
#ifndef HC_KERNELS_COMMON_EXPONENTIAL_AVX2_H
#define HC_KERNELS_COMMON_EXPONENTIAL_AVX2_H

#include <immintrin.h>

#include "exponential.h"

static inline __m256 hc_exp_avx2(__m256 x)
{
    const __m256 integer = _mm256_set1_ps(HC_EXP_INTEGER), infinity = _mm256_set1_ps(INFINITY);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(HC_EXP_PER_LN2), integer), n = _mm256_sub_ps(t, integer);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(HC_EXP_LN2_HIGH), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(HC_EXP_LN2_LOW), r);
    __m256 p = _mm256_set1_ps(HC_EXP_C6);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(HC_EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(HC_EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(HC_EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(HC_EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), HC_EXP_MANTISSA);
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
    p = _mm256_and_ps(p, _mm256_cmp_ps(x, _mm256_set1_ps(HC_EXP_LEAST), _CMP_NLT_UQ));
    __m256 beyond = _mm256_cmp_ps(x, _mm256_set1_ps(HC_EXP_MOST), _CMP_NLE_UQ);
    return _mm256_blendv_ps(p, _mm256_add_ps(x, infinity), beyond);
}

#endif
