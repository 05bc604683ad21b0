/* Dot products (dot.h) with a register for their 16 lanes. Needs AVX-512. */
#ifndef HC_KERNELS_COMMON_DOT_AVX512_H
#define HC_KERNELS_COMMON_DOT_AVX512_H

#include <immintrin.h>
#include <stddef.h>

/* The lanes of the step at j: all, or what is left of n. */
static inline __mmask16 hc_lanes16(size_t j, size_t n)
{
    return n - j >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (n - j)) - 1);
}

/* Sums of sixteen registers at once, lanes added in halves: sum i of the result is of lanes[i]. A step works on two
 * registers, and leaves the halves of both in one. */
static inline __m512 hc_dot_sums16(const __m512 lanes[16])
{
    enum { LOWER_HALF = 0x44, UPPER_HALF = 0xee, EVEN = 0x88, ODD = 0xdd };
    __m512 of8[8], of4[4], of2[2];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) { /* in this order the last step puts all sums in their places */
        __m512 a = lanes[i / 2 + i % 2 * 8], b = lanes[i / 2 + i % 2 * 8 + 4];
        of8[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, LOWER_HALF), _mm512_shuffle_f32x4(a, b, UPPER_HALF));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512 a = of8[2 * i], b = of8[2 * i + 1];
        of4[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, EVEN), _mm512_shuffle_f32x4(a, b, ODD));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        __m512d a = _mm512_castps_pd(of4[2 * i]), b = _mm512_castps_pd(of4[2 * i + 1]);
        of2[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    return _mm512_add_ps(_mm512_shuffle_ps(of2[0], of2[1], EVEN), _mm512_shuffle_ps(of2[0], of2[1], ODD));
}

static inline float hc_dot_sum_avx512(__m512 lanes)
{
    __m256 of8 = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    __m128 of4 = _mm_add_ps(_mm256_castps256_ps128(of8), _mm256_extractf128_ps(of8, 1));
    __m128 of2 = _mm_add_ps(of4, _mm_movehl_ps(of4, of4));
    return _mm_cvtss_f32(_mm_add_ss(of2, _mm_movehdup_ps(of2)));
}

static inline float hc_dot_avx512(const float *a, const float *b, size_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t j = 0; j < n; j += 16) {
        __mmask16 here = hc_lanes16(j, n);
        sum = _mm512_mask3_fmadd_ps(_mm512_maskz_loadu_ps(here, a + j), _mm512_maskz_loadu_ps(here, b + j), sum, here);
    }
    return hc_dot_sum_avx512(sum);
}

#endif
