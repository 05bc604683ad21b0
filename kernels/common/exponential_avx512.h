/* exponential.h, sixteen at a time. Needs AVX-512. */
#ifndef HC_KERNELS_COMMON_EXPONENTIAL_AVX512_H
#define HC_KERNELS_COMMON_EXPONENTIAL_AVX512_H

#include <immintrin.h>

#include "exponential.h"

static inline __m512 hc_exp_avx512(__m512 x)
{
    const __m512 integer = _mm512_set1_ps(HC_EXP_INTEGER), most = _mm512_set1_ps(HC_EXP_MOST);
    __m512 t = _mm512_fmadd_ps(x, _mm512_set1_ps(HC_EXP_PER_LN2), integer), n = _mm512_sub_ps(t, integer);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(HC_EXP_LN2_HIGH), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(HC_EXP_LN2_LOW), r);
    __m512 p = _mm512_set1_ps(HC_EXP_C6);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(HC_EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(HC_EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(HC_EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(HC_EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), HC_EXP_MANTISSA);
    p = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
    p = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(HC_EXP_LEAST), _CMP_NLT_UQ), p);
    return _mm512_mask_add_ps(p, _mm512_cmp_ps_mask(x, most, _CMP_NLE_UQ), x, _mm512_set1_ps(INFINITY));
}

#endif
