#include "compare.h"

#include <immintrin.h>
#include <string.h>

#include "common/lanes.h"

/* The 96 running sums stay in memory, which is in the nearest cache: the registers would hold half of them. */
struct state {
    _Alignas(32) double abs_error[HC_LANES];
    double squared_error[HC_LANES], squared_weights[HC_LANES];
    __m256d max_abs_error;
};

static inline void add(double *lanes, __m256d terms)
{
    _mm256_store_pd(lanes, _mm256_add_pd(_mm256_load_pd(lanes), terms));
}

/* Four weights for lanes `lane` .. `lane` + 3. */
static inline void take(struct state *s, size_t lane, __m128 weights, __m128 decoded)
{
    __m256d w = _mm256_cvtps_pd(weights);
    __m256d e = _mm256_sub_pd(_mm256_cvtps_pd(decoded), w);
    __m256d size = _mm256_andnot_pd(_mm256_set1_pd(-0.0), e);
    add(s->abs_error + lane, size);
    add(s->squared_error + lane, _mm256_mul_pd(e, e));
    add(s->squared_weights + lane, _mm256_mul_pd(w, w));
    s->max_abs_error = _mm256_max_pd(s->max_abs_error, size);
}

static void block(const float *weights, const float *decoded, size_t n, struct hc_compare *out)
{
    struct state s;
    memset(&s, 0, sizeof s);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        take(&s, i % HC_LANES, _mm_loadu_ps(weights + i), _mm_loadu_ps(decoded + i));
    if (i < n) {
        float w[4] = {0}, d[4] = {0}; /* zeros add nothing */
        memcpy(w, weights + i, (n - i) * sizeof *w);
        memcpy(d, decoded + i, (n - i) * sizeof *d);
        take(&s, i % HC_LANES, _mm_loadu_ps(w), _mm_loadu_ps(d));
    }
    double four[4];
    _mm256_storeu_pd(four, s.max_abs_error);
    double most = four[0];
    for (int j = 1; j < 4; j++)
        most = four[j] > most ? four[j] : most;
    *out = (struct hc_compare){
        .abs_error = hc_lanes_sum(s.abs_error),
        .squared_error = hc_lanes_sum(s.squared_error),
        .squared_weights = hc_lanes_sum(s.squared_weights),
        .max_abs_error = most,
    };
}

void hc_compare_avx2(struct hc_compare_ops *ops)
{
    ops->block = block;
}
