#include "compare.h"

#include <immintrin.h>

#include "common/lanes.h"

enum { VECTORS = HC_LANES / 8 };

struct state {
    __m512d abs_error[VECTORS], squared_error[VECTORS], squared_weights[VECTORS];
    __m512d max_abs_error;
};

/* Eight weights for lanes 8 j .. 8 j + 7. Weights that are missing are 0 in both and add nothing. */
static inline void take(struct state *s, int j, __m256 weights, __m256 decoded)
{
    __m512d w = _mm512_cvtps_pd(weights);
    __m512d e = _mm512_sub_pd(_mm512_cvtps_pd(decoded), w);
    __m512d size = _mm512_abs_pd(e);
    s->abs_error[j] = _mm512_add_pd(s->abs_error[j], size);
    s->squared_error[j] = _mm512_add_pd(s->squared_error[j], _mm512_mul_pd(e, e));
    s->squared_weights[j] = _mm512_add_pd(s->squared_weights[j], _mm512_mul_pd(w, w));
    s->max_abs_error = _mm512_max_pd(s->max_abs_error, size);
}

static double sum(const __m512d vectors[VECTORS])
{
    double lanes[HC_LANES];
    for (int j = 0; j < VECTORS; j++)
        _mm512_storeu_pd(lanes + 8 * j, vectors[j]);
    return hc_lanes_sum(lanes);
}

static void block(const float *weights, const float *decoded, size_t n, struct hc_compare *out)
{
    struct state s;
    for (int j = 0; j < VECTORS; j++)
        s.abs_error[j] = s.squared_error[j] = s.squared_weights[j] = _mm512_setzero_pd();
    s.max_abs_error = _mm512_setzero_pd();

    size_t i = 0;
    for (; i + HC_LANES <= n; i += HC_LANES) {
        for (int j = 0; j < VECTORS; j++)
            take(&s, j, _mm256_loadu_ps(weights + i + 8 * j), _mm256_loadu_ps(decoded + i + 8 * j));
    }
    for (int j = 0; i < n; j++, i += 8) {
        __mmask8 here = n - i >= 8 ? 0xff : (__mmask8)((1U << (n - i)) - 1);
        take(&s, j, _mm256_maskz_loadu_ps(here, weights + i), _mm256_maskz_loadu_ps(here, decoded + i));
    }
    out->abs_error = sum(s.abs_error);
    out->squared_error = sum(s.squared_error);
    out->squared_weights = sum(s.squared_weights);
    out->max_abs_error = _mm512_reduce_max_pd(s.max_abs_error);
}

void hc_compare_avx512(struct hc_compare_ops *ops)
{
    ops->block = block;
}
