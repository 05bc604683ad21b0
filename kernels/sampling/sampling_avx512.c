/* Sixteen logits at a time; a masked step finishes. */
#include "sampling.h"

#include <float.h>

#include "common/dot_avx512.h"
#include "common/exponential_avx512.h"

static void make_finite(float *logits, size_t n)
{
    const __m512 least = _mm512_set1_ps(-FLT_MAX), most = _mm512_set1_ps(FLT_MAX);
    for (size_t t = 0; t < n; t += 16) { /* of NaN and another the second is taken */
        __mmask16 here = hc_lanes16(t, n);
        __m512 x = _mm512_max_ps(_mm512_maskz_loadu_ps(here, logits + t), least);
        _mm512_mask_storeu_ps(logits + t, here, _mm512_min_ps(x, most));
    }
}

static float greatest_of(const float *logits, size_t n)
{
    const __m512 least = _mm512_set1_ps(-FLT_MAX);
    __m512 most = least;
    for (size_t t = 0; t < n; t += 16)
        most = _mm512_max_ps(most, _mm512_mask_loadu_ps(least, hc_lanes16(t, n), logits + t));
    return _mm512_reduce_max_ps(most);
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

/* The keys of those of sixteen tokens that are `taken`, brought together in registers: to do so in memory is slow on
 * some machines. Returns how many. */
static size_t put(__mmask16 taken, __m512 logits, __m512i tokens, uint64_t *keys)
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const unsigned count = (unsigned)__builtin_popcount(taken), lanes = (1u << count) - 1;
    __m512i bits = _mm512_castps_si512(_mm512_add_ps(logits, _mm512_setzero_ps()));
    __m512i flips = _mm512_or_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32(INT32_MIN));
    bits = _mm512_maskz_compress_epi32(taken, _mm512_xor_si512(bits, flips));
    tokens = _mm512_maskz_compress_epi32(taken, _mm512_xor_si512(tokens, _mm512_set1_epi32(-1)));
    _mm512_mask_storeu_epi64(keys, (__mmask8)lanes, _mm512_permutex2var_epi32(tokens, low, bits));
    _mm512_mask_storeu_epi64(keys + 8, (__mmask8)(lanes >> 8), _mm512_permutex2var_epi32(tokens, high, bits));
    return count;
}

static size_t collect(const float *logits, size_t n, float least, uint64_t *keys)
{
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t count = 0;
    for (size_t t = 0; t < n; t += 16) {
        __mmask16 here = hc_lanes16(t, n);
        __m512 x = _mm512_maskz_loadu_ps(here, logits + t);
        __mmask16 taken = _mm512_mask_cmp_ps_mask(here, x, _mm512_set1_ps(least), _CMP_GE_OQ);
        if (taken != 0)
            count += put(taken, x, _mm512_add_epi32(first, _mm512_set1_epi32((int)t)), keys + count);
    }
    return count;
}

static __m256 eight_arguments(__m256 logits, __m512d best, __m512d temperature)
{
    return _mm512_cvtpd_ps(_mm512_div_pd(_mm512_sub_pd(_mm512_cvtps_pd(logits), best), temperature));
}

static double total(const float *logits, size_t n, float best, float temperature)
{
    const __m512d top = _mm512_set1_pd((double)best), divisor = _mm512_set1_pd((double)temperature);
    double sum = 0;
    for (size_t t = 0; t < n; t += 16) {
        float weights[16];
        __mmask16 here = hc_lanes16(t, n);
        __m512 x = _mm512_maskz_loadu_ps(here, logits + t);
        __m256 low = eight_arguments(_mm512_castps512_ps256(x), top, divisor);
        __m256 high = eight_arguments(_mm512_extractf32x8_ps(x, 1), top, divisor);
        x = hc_exp_avx512(_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
        _mm512_storeu_ps(weights, _mm512_maskz_mov_ps(here, x)); /* +0 changes no sum */
        for (int l = 0; l < 16; l++)
            sum += (double)weights[l];
    }
    return sum;
}

void hc_sampling_avx512(struct hc_sampling_ops *ops)
{
    *ops = (struct hc_sampling_ops){make_finite, reached, collect, total};
}
