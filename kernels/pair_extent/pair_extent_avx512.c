#include "pair_extent.h"

#include <immintrin.h>

/* Four pairs, interleaved as they are stored. */
struct state {
    __m512d centre, half, farthest2;
    uint64_t outer;
};

static inline void take(struct state *s, __m256 weights, __mmask8 here)
{
    __m512d d = _mm512_sub_pd(_mm512_cvtps_pd(weights), s->centre);
    __m512d square = _mm512_mul_pd(d, d);
    __m512d distance2 = _mm512_add_pd(square, _mm512_permute_pd(square, 0x55));
    s->farthest2 = _mm512_mask_max_pd(s->farthest2, here, s->farthest2, distance2);
    unsigned out = _mm512_mask_cmp_pd_mask(here, _mm512_abs_pd(d), s->half, _CMP_GT_OQ);
    s->outer += (unsigned)__builtin_popcount((out | out >> 1) & 0x55);
}

static void block(const float *weights, size_t n, const struct hc_pair_grid *grid, struct hc_pair_extent *out)
{
    struct state s = {
        .centre = _mm512_broadcast_f64x2(_mm_loadu_pd(grid->centre)),
        .half = _mm512_set1_pd(grid->half),
        .farthest2 = _mm512_setzero_pd(),
    };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        take(&s, _mm256_loadu_ps(weights + i), 0xff);
    if (i < n) {
        size_t left = n - i;
        __m256 w = _mm256_mask_loadu_ps(_mm256_set1_ps(grid->pad), (__mmask8)((1U << left) - 1), weights + i);
        take(&s, w, (__mmask8)((1U << (left + left % 2)) - 1));
    }
    out->max_distance2 = _mm512_reduce_max_pd(s.farthest2);
    out->outer = s.outer;
}

void hc_pair_extent_avx512(struct hc_pair_extent_ops *ops)
{
    ops->block = block;
}
