#include "pair_moments.h"

#include <immintrin.h>

#include "common/lanes.h"

/* Weights stay interleaved: 64 running sums, x and y of lane j at 2 j and 2 j + 1. A missing weight adds +0, which
 * leaves a sum that began at +0 as it is. */
static void block(const float *weights, size_t n, struct hc_pair_moments *out)
{
    enum { VECTORS = 2 * HC_LANES / 8, NAN_OR_INFINITY = 0x99 };
    __m512d sum[VECTORS];
    for (int j = 0; j < VECTORS; j++)
        sum[j] = _mm512_setzero_pd();
    uint64_t non_finite = 0;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (int j = 0; j < VECTORS; j += 2) {
            __m512 w = _mm512_loadu_ps(weights + i + 8 * j);
            non_finite += (unsigned)__builtin_popcount(_mm512_fpclass_ps_mask(w, NAN_OR_INFINITY));
            sum[j] = _mm512_add_pd(sum[j], _mm512_cvtps_pd(_mm512_castps512_ps256(w)));
            sum[j + 1] = _mm512_add_pd(sum[j + 1], _mm512_cvtps_pd(_mm512_extractf32x8_ps(w, 1)));
        }
    }
    for (int j = 0; i < n; j++, i += 8) {
        __mmask8 here = n - i >= 8 ? 0xff : (__mmask8)((1U << (n - i)) - 1);
        __m256 w = _mm256_maskz_loadu_ps(here, weights + i);
        non_finite += (unsigned)__builtin_popcount(_mm256_fpclass_ps_mask(w, NAN_OR_INFINITY));
        sum[j] = _mm512_add_pd(sum[j], _mm512_cvtps_pd(w));
    }

    double lanes[2][HC_LANES];
    for (int j = 0; j < VECTORS; j++) {
        double eight[8];
        _mm512_storeu_pd(eight, sum[j]);
        for (int k = 0; k < 8; k++)
            lanes[k % 2][4 * j + k / 2] = eight[k];
    }
    out->sum[0] = hc_lanes_sum(lanes[0]);
    out->sum[1] = hc_lanes_sum(lanes[1]);
    out->non_finite = non_finite;
}

void hc_pair_moments_avx512(struct hc_pair_moments_ops *ops)
{
    ops->block = block;
}
