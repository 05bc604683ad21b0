/* Sixteen weights at a time, 32 where sums go to lanes; a masked step finishes. */
#include "window_rows.h"

#include <float.h>
#include <immintrin.h>

#include "common/lanes.h"

/* The lanes of the step at i: all, or what is left of n. */
static inline __mmask16 lanes16(size_t i, size_t n)
{
    return n - i >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (n - i)) - 1);
}

static size_t largest(const float *row, size_t n, float *out)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 here = lanes16(i, n);
        __m512 magnitude = _mm512_abs_ps(_mm512_maskz_loadu_ps(here, row + i));
        __mmask16 finite = _mm512_mask_cmp_ps_mask(here, magnitude, _mm512_set1_ps(FLT_MAX), _CMP_LE_OQ);
        bad += (unsigned)__builtin_popcount((unsigned)(here & ~finite));
        __m512 before = _mm512_maskz_loadu_ps(here, out + i);
        _mm512_mask_storeu_ps(out + i, here, _mm512_mask_max_ps(before, finite, magnitude, before));
    }
    return bad;
}

/* Squares of 20 bits and a sign: of what is rounded to 32 bits. */
static inline void add_squares(const float *row, const double *to_units, uint64_t *sums, __mmask8 here)
{
    __m512d weights = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(here, row));
    __m256i units = _mm512_cvtpd_epi32(_mm512_mul_pd(weights, _mm512_maskz_loadu_pd(here, to_units)));
    __m512i wide = _mm512_cvtepi32_epi64(units);
    __m512i sum = _mm512_add_epi64(_mm512_maskz_loadu_epi64(here, sums), _mm512_mul_epi32(wide, wide));
    _mm512_mask_storeu_epi64(sums, here, sum);
}

static void squares(const float *row, size_t n, const double *to_units, uint64_t *sums)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        add_squares(row + i, to_units + i, sums + i, 0xff);
    if (i < n)
        add_squares(row + i, to_units + i, sums + i, (__mmask8)((1u << (n - i)) - 1));
}

static void scale(float *row, size_t n, const float *factors)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 here = lanes16(i, n);
        __m512 weights = _mm512_maskz_loadu_ps(here, row + i);
        _mm512_mask_storeu_ps(row + i, here, _mm512_mul_ps(weights, _mm512_maskz_loadu_ps(here, factors + i)));
    }
}

static inline __m512d products(const float *a, const float *b, __mmask8 here)
{
    return _mm512_mul_pd(_mm512_cvtps_pd(_mm256_maskz_loadu_ps(here, a)),
                         _mm512_cvtps_pd(_mm256_maskz_loadu_ps(here, b)));
}

/* The sum of a[j] b[j]. A missing one adds +0, which leaves a sum that began at +0 as it is. */
static double sum_products(const float *a, const float *b, size_t n)
{
    __m512d sum0 = _mm512_setzero_pd(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    size_t i = 0;
    for (; i + HC_LANES <= n; i += HC_LANES) {
        sum0 = _mm512_add_pd(sum0, products(a + i, b + i, 0xff));
        sum1 = _mm512_add_pd(sum1, products(a + i + 8, b + i + 8, 0xff));
        sum2 = _mm512_add_pd(sum2, products(a + i + 16, b + i + 16, 0xff));
        sum3 = _mm512_add_pd(sum3, products(a + i + 24, b + i + 24, 0xff));
    }
    uint32_t here = (UINT32_C(1) << (n - i)) - 1;
    if (here != 0) {
        sum0 = _mm512_add_pd(sum0, products(a + i, b + i, (__mmask8)here));
        sum1 = _mm512_add_pd(sum1, products(a + i + 8, b + i + 8, (__mmask8)(here >> 8)));
        sum2 = _mm512_add_pd(sum2, products(a + i + 16, b + i + 16, (__mmask8)(here >> 16)));
        sum3 = _mm512_add_pd(sum3, products(a + i + 24, b + i + 24, (__mmask8)(here >> 24)));
    }
    double lanes[HC_LANES];
    _mm512_storeu_pd(lanes, sum0);
    _mm512_storeu_pd(lanes + 8, sum1);
    _mm512_storeu_pd(lanes + 16, sum2);
    _mm512_storeu_pd(lanes + 24, sum3);
    return hc_lanes_sum(lanes);
}

static double energy(const float *row, size_t n)
{
    return sum_products(row, row, n);
}

static void fit(const float *row, const float *values, size_t n, struct hc_window_fit *out)
{
    *out = (struct hc_window_fit){sum_products(row, row, n), sum_products(values, values, n),
                                  sum_products(row, values, n)};
}

/* Of a tile. Of operands in this order the minimum and the maximum take the limit for what is not a number, as plain C
 * does. */
static inline __m512i to_coder(const float *row, float factor)
{
    __m512 value = _mm512_mul_ps(_mm512_loadu_ps(row), _mm512_set1_ps(factor));
    value = _mm512_min_ps(value, _mm512_set1_ps(INT16_MAX));
    return _mm512_cvtps_epi32(_mm512_max_ps(value, _mm512_set1_ps(-INT16_MAX)));
}

/* Rows g and g + 8 are 32 consecutive stream positions: those of the low 16-bit halves of 16 + 16 numbers. */
static __m512i stream_order(void)
{
    uint16_t order[32];
    for (unsigned t = 0; t < 32; t++)
        order[t] = (uint16_t)(2 * (hc_window_column(t) + 2 * hc_window_row(t)));
    return _mm512_loadu_si512(order);
}

static void tiles(const float *rows, size_t stride, size_t count, const float factor[HC_TILE], int16_t *out)
{
    const __m512i order = stream_order();
    for (size_t i = 0; i < count; i++, rows += HC_TILE, out += HC_TILE_WEIGHTS)
        for (size_t g = 0; g < HC_TILE / 2; g++) {
            __m512i upper = to_coder(rows + g * stride, factor[g]);
            __m512i lower = to_coder(rows + (g + 8) * stride, factor[g + 8]);
            _mm512_storeu_si512(out + 32 * g, _mm512_permutex2var_epi16(upper, order, lower));
        }
}

/* As in to_coder, but what is not a number stays so. */
static void restore(float *row, size_t n, float row_scale, const float *factors)
{
    const __m512 most = _mm512_set1_ps(FLT_MAX), least = _mm512_set1_ps(-FLT_MAX);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 here = lanes16(i, n);
        __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(here, row + i), _mm512_set1_ps(row_scale));
        value = _mm512_mul_ps(value, _mm512_maskz_loadu_ps(here, factors + i));
        _mm512_mask_storeu_ps(row + i, here, _mm512_max_ps(least, _mm512_min_ps(most, value)));
    }
}

void hc_window_rows_avx512(struct hc_window_rows_ops *ops)
{
    *ops = (struct hc_window_rows_ops){largest, squares, scale, energy, tiles, fit, restore};
}
