/* Eight weights at a time, 32 where sums go to lanes; plain C finishes. */
#include "window_rows.h"

#include <float.h>
#include <immintrin.h>

#include "common/lanes.h"

static struct hc_window_rows_ops plain(void)
{
    struct hc_window_rows_ops ops;
    hc_window_rows_c(&ops);
    return ops;
}

static size_t largest(const float *row, size_t n, float *out)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), most = _mm256_set1_ps(FLT_MAX);
    size_t bad = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 magnitude = _mm256_andnot_ps(sign, _mm256_loadu_ps(row + i));
        __m256 finite = _mm256_cmp_ps(magnitude, most, _CMP_LE_OQ);
        bad += 8 - (unsigned)__builtin_popcount((unsigned)_mm256_movemask_ps(finite));
        __m256 before = _mm256_loadu_ps(out + i);
        _mm256_storeu_ps(out + i, _mm256_blendv_ps(before, _mm256_max_ps(magnitude, before), finite));
    }
    return bad + plain().largest(row + i, n - i, out + i);
}

/* Squares of 20 bits and a sign: of what is rounded to 32 bits. */
static void squares(const float *row, size_t n, const double *to_units, uint64_t *sums)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256d weights = _mm256_cvtps_pd(_mm_loadu_ps(row + i));
        __m256i units =
            _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(_mm256_mul_pd(weights, _mm256_loadu_pd(to_units + i))));
        __m256i sum = _mm256_loadu_si256((const __m256i *)(sums + i));
        sum = _mm256_add_epi64(sum, _mm256_mul_epi32(units, units));
        _mm256_storeu_si256((__m256i *)(sums + i), sum);
    }
    plain().squares(row + i, n - i, to_units + i, sums + i);
}

static void scale(float *row, size_t n, const float *factors)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(row + i, _mm256_mul_ps(_mm256_loadu_ps(row + i), _mm256_loadu_ps(factors + i)));
    plain().scale(row + i, n - i, factors + i);
}

/* The sum of a[j] b[j]. */
static double sum_products(const float *a, const float *b, size_t n)
{
    enum { VECTORS = HC_LANES / 4 };
    __m256d sum[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        sum[v] = _mm256_setzero_pd();
    size_t i = 0;
    for (; i + HC_LANES <= n; i += HC_LANES)
        for (int v = 0; v < VECTORS; v++) {
            __m256d x = _mm256_cvtps_pd(_mm_loadu_ps(a + i + 4 * v)), y = _mm256_cvtps_pd(_mm_loadu_ps(b + i + 4 * v));
            sum[v] = _mm256_add_pd(sum[v], _mm256_mul_pd(x, y));
        }
    double lanes[HC_LANES];
    for (int v = 0; v < VECTORS; v++)
        _mm256_storeu_pd(lanes + 4 * v, sum[v]);
    for (int lane = 0; i < n; i++, lane++)
        lanes[lane] += (double)a[i] * (double)b[i];
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

/* Of operands in this order the minimum and the maximum take the limit for what is not a number, as plain C does. */
static inline __m256i to_coder(const float *row, __m256 factor)
{
    __m256 value = _mm256_min_ps(_mm256_mul_ps(_mm256_loadu_ps(row), factor), _mm256_set1_ps(INT16_MAX));
    return _mm256_cvtps_epi32(_mm256_max_ps(value, _mm256_set1_ps(-INT16_MAX)));
}

/* A row of a tile; pairs of columns in the order 0, 1, 4, 5 | 2, 3, 6, 7. */
static inline __m256i coder_row(const float *row, float factor)
{
    __m256 factors = _mm256_set1_ps(factor);
    return _mm256_packs_epi32(to_coder(row, factors), to_coder(row + 8, factors));
}

/* Rows g and g + 8 are 32 consecutive stream positions: four times a pair of each, then the pairs 8 columns on. */
static void tiles(const float *rows, size_t stride, size_t count, const float factor[HC_TILE], int16_t *out)
{
    for (size_t i = 0; i < count; i++, rows += HC_TILE)
        for (size_t g = 0; g < HC_TILE / 2; g++, out += 32) {
            __m256i upper = coder_row(rows + g * stride, factor[g]);
            __m256i lower = coder_row(rows + (g + 8) * stride, factor[g + 8]);
            __m256i left = _mm256_unpacklo_epi32(upper, lower), right = _mm256_unpackhi_epi32(upper, lower);
            __m256i even = _mm256_unpacklo_epi64(left, right), odd = _mm256_unpackhi_epi64(left, right);
            _mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(even, odd, 0x20));
            _mm256_storeu_si256((__m256i *)(out + 16), _mm256_permute2x128_si256(even, odd, 0x31));
        }
}

/* As in to_coder, but what is not a number stays so. */
static void restore(float *row, size_t n, float row_scale, const float *factors)
{
    const __m256 most = _mm256_set1_ps(FLT_MAX), least = _mm256_set1_ps(-FLT_MAX);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 value = _mm256_mul_ps(_mm256_loadu_ps(row + i), _mm256_set1_ps(row_scale));
        value = _mm256_mul_ps(value, _mm256_loadu_ps(factors + i));
        _mm256_storeu_ps(row + i, _mm256_max_ps(least, _mm256_min_ps(most, value)));
    }
    plain().restore(row + i, n - i, row_scale, factors + i);
}

void hc_window_rows_avx2(struct hc_window_rows_ops *ops)
{
    *ops = (struct hc_window_rows_ops){largest, squares, scale, energy, tiles, fit, restore};
}
