/* Dot products (dot.h) with two registers for their 16 lanes. Needs AVX2 and FMA. */
#ifndef HC_KERNELS_COMMON_DOT_AVX2_H
#define HC_KERNELS_COMMON_DOT_AVX2_H

#include <immintrin.h>
#include <stddef.h>

/* The first `count` of 8 lanes. */
static inline __m256i hc_lanes8(size_t count)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count < 8 ? (int)count : 8), lane);
}

/* sum + a b in the lanes that are `here`; the others keep theirs. */
static inline __m256 hc_masked_fmadd(const float *a, const float *b, __m256 sum, __m256i here)
{
    __m256 next = _mm256_fmadd_ps(_mm256_maskload_ps(a, here), _mm256_maskload_ps(b, here), sum);
    return _mm256_blendv_ps(sum, next, _mm256_castsi256_ps(here));
}

/* Adds the lanes, 0 .. 7 and 8 .. 15, in halves. */
static inline float hc_dot_sum_avx2(__m256 low, __m256 high)
{
    __m256 of8 = _mm256_add_ps(low, high);
    __m128 of4 = _mm_add_ps(_mm256_castps256_ps128(of8), _mm256_extractf128_ps(of8, 1));
    __m128 of2 = _mm_add_ps(of4, _mm_movehl_ps(of4, of4));
    return _mm_cvtss_f32(_mm_add_ss(of2, _mm_movehdup_ps(of2)));
}

/* The same for four at once: sum i of the result is of low[i] and high[i]. */
static inline __m128 hc_dot_sums4(const __m256 low[4], const __m256 high[4])
{
    __m128 of4[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256 of8 = _mm256_add_ps(low[i], high[i]);
        of4[i] = _mm_add_ps(_mm256_castps256_ps128(of8), _mm256_extractf128_ps(of8, 1));
    }
    __m128 a = _mm_add_ps(_mm_movelh_ps(of4[0], of4[1]), _mm_movehl_ps(of4[1], of4[0]));
    __m128 b = _mm_add_ps(_mm_movelh_ps(of4[2], of4[3]), _mm_movehl_ps(of4[3], of4[2]));
    enum { EVEN = 0x88, ODD = 0xdd };
    return _mm_add_ps(_mm_shuffle_ps(a, b, EVEN), _mm_shuffle_ps(a, b, ODD));
}

static inline float hc_dot_avx2(const float *a, const float *b, size_t n)
{
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    size_t j = 0;
    for (; j + 16 <= n; j += 16) {
        low = _mm256_fmadd_ps(_mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j), low);
        high = _mm256_fmadd_ps(_mm256_loadu_ps(a + j + 8), _mm256_loadu_ps(b + j + 8), high);
    }
    if (j < n)
        low = hc_masked_fmadd(a + j, b + j, low, hc_lanes8(n - j));
    if (j + 8 < n)
        high = hc_masked_fmadd(a + j + 8, b + j + 8, high, hc_lanes8(n - j - 8));
    return hc_dot_sum_avx2(low, high);
}

#endif
