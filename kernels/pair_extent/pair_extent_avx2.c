#include "pair_extent.h"

#include <immintrin.h>

struct state {
    __m256d centre, half, farthest2;
    uint64_t outer;
};

/* Two pairs, interleaved as they are stored. */
static inline void take(struct state *s, __m128 weights)
{
    __m256d d = _mm256_sub_pd(_mm256_cvtps_pd(weights), s->centre);
    __m256d square = _mm256_mul_pd(d, d);
    __m256d distance2 = _mm256_add_pd(square, _mm256_permute_pd(square, 0x5));
    s->farthest2 = _mm256_max_pd(s->farthest2, distance2);
    __m256d size = _mm256_andnot_pd(_mm256_set1_pd(-0.0), d);
    unsigned out = (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(size, s->half, _CMP_GT_OQ));
    out = (out | out >> 1) & 5;
    s->outer += (out & 1) + (out >> 2);
}

static void block(const float *weights, size_t n, const struct hc_pair_grid *grid, struct hc_pair_extent *out)
{
    struct state s = {
        .centre = _mm256_broadcast_pd((const __m128d *)grid->centre),
        .half = _mm256_set1_pd(grid->half),
        .farthest2 = _mm256_setzero_pd(),
    };
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        take(&s, _mm_loadu_ps(weights + i));
    for (; i < n; i += 2) {
        /* The same pair twice would count twice: the other half of the register is the centre. */
        float y = i + 1 < n ? weights[i + 1] : grid->pad;
        take(&s, _mm_setr_ps(weights[i], y, (float)grid->centre[0], (float)grid->centre[1]));
    }
    double four[4];
    _mm256_storeu_pd(four, s.farthest2);
    out->max_distance2 = four[0] > four[2] ? four[0] : four[2];
    out->outer = s.outer;
}

void hc_pair_extent_avx2(struct hc_pair_extent_ops *ops)
{
    ops->block = block;
}
