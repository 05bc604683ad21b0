/* Eight logits at a time; plain C finishes. */
#include "sampling.h"

#include <float.h>

#include "common/exponential_avx2.h"

static void make_finite(float *logits, size_t n)
{
    const __m256 least = _mm256_set1_ps(-FLT_MAX), most = _mm256_set1_ps(FLT_MAX);
    size_t t = 0;
    for (; t + 8 <= n; t += 8) { /* of NaN and another the second is taken */
        __m256 x = _mm256_max_ps(_mm256_loadu_ps(logits + t), least);
        _mm256_storeu_ps(logits + t, _mm256_min_ps(x, most));
    }
    for (; t < n; t++) {
        float x = logits[t] > -FLT_MAX ? logits[t] : -FLT_MAX;
        logits[t] = x < FLT_MAX ? x : FLT_MAX;
    }
}

static float greatest_of(const float *logits, size_t n)
{
    __m256 most = _mm256_set1_ps(-FLT_MAX);
    size_t t = 0;
    for (; t + 8 <= n; t += 8)
        most = _mm256_max_ps(most, _mm256_loadu_ps(logits + t));
    __m128 of4 = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    __m128 of2 = _mm_max_ps(of4, _mm_movehl_ps(of4, of4));
    float greatest = _mm_cvtss_f32(_mm_max_ss(of2, _mm_movehdup_ps(of2)));
    for (; t < n; t++)
        greatest = logits[t] > greatest ? logits[t] : greatest;
    return greatest;
}

static float reached(const float *logits, size_t n, size_t k)
{
    float least = FLT_MAX;
    for (size_t i = 0, t = 0; i < k; i++) {
        const size_t end = (size_t)((uint64_t)n * (i + 1) / k);
        float greatest = greatest_of(logits + t, end - t);
        least = greatest < least ? greatest : least;
        t = end;
    }
    return least + 0.0f;
}

static size_t collect(const float *logits, size_t n, float least, uint64_t *keys)
{
    size_t count = 0, t = 0;
    for (; t + 8 <= n; t += 8) {
        __m256 enough = _mm256_cmp_ps(_mm256_loadu_ps(logits + t), _mm256_set1_ps(least), _CMP_GE_OQ);
        for (unsigned lanes = (unsigned)_mm256_movemask_ps(enough); lanes != 0; lanes &= lanes - 1) {
            const size_t own = t + (unsigned)__builtin_ctz(lanes);
            keys[count++] = hc_sampling_key(logits[own], (int32_t)own);
        }
    }
    for (; t < n; t++)
        if (logits[t] >= least)
            keys[count++] = hc_sampling_key(logits[t], (int32_t)t);
    return count;
}

static __m128 four_arguments(__m128 logits, __m256d best, __m256d temperature)
{
    return _mm256_cvtpd_ps(_mm256_div_pd(_mm256_sub_pd(_mm256_cvtps_pd(logits), best), temperature));
}

static double total(const float *logits, size_t n, float best, float temperature)
{
    const __m256d top = _mm256_set1_pd((double)best), divisor = _mm256_set1_pd((double)temperature);
    double sum = 0;
    size_t t = 0;
    for (; t + 8 <= n; t += 8) {
        float weights[8];
        __m128 low = four_arguments(_mm_loadu_ps(logits + t), top, divisor);
        __m128 high = four_arguments(_mm_loadu_ps(logits + t + 4), top, divisor);
        _mm256_storeu_ps(weights, hc_exp_avx2(_mm256_set_m128(high, low)));
        for (int l = 0; l < 8; l++)
            sum += (double)weights[l];
    }
    for (; t < n; t++)
        sum += (double)hc_sampling_weight(logits[t], best, temperature);
    return sum;
}

void hc_sampling_avx2(struct hc_sampling_ops *ops)
{
    *ops = (struct hc_sampling_ops){make_finite, reached, collect, total};
}
