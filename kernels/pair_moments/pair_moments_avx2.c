#include "pair_moments.h"

#include <immintrin.h>
#include <math.h>

#include "common/lanes.h"

/* Sixteen running sums do not fit the registers along with the rest: the block is read twice, one half of the lanes at
 * a time. Weights stay interleaved: x and y of lane j at 2 j and 2 j + 1. */
enum { HALF = HC_LANES, VECTORS = HALF / 4 };

/* Adds weights first, first + 1 .. first + 31 of every 64 of the whole rounds to running sums; returns how many were
 * not finite. */
static uint64_t add_rounds(const float *weights, size_t rounds, size_t first, double running[2 * HC_LANES])
{
    const __m256i infinity = _mm256_set1_epi32(0x7f800000);
    __m256d sum[VECTORS];
    for (int j = 0; j < VECTORS; j++)
        sum[j] = _mm256_setzero_pd();
    __m256i bad = _mm256_setzero_si256(); /* minus the count */
    for (size_t round = 0; round < rounds; round++) {
        for (int j = 0; j < VECTORS; j += 2) {
            __m256 w = _mm256_loadu_ps(weights + 64 * round + first + 4 * j);
            __m256i exponent = _mm256_and_si256(_mm256_castps_si256(w), infinity);
            bad = _mm256_add_epi32(bad, _mm256_cmpeq_epi32(exponent, infinity));
            sum[j] = _mm256_add_pd(sum[j], _mm256_cvtps_pd(_mm256_castps256_ps128(w)));
            sum[j + 1] = _mm256_add_pd(sum[j + 1], _mm256_cvtps_pd(_mm256_extractf128_ps(w, 1)));
        }
    }
    for (int j = 0; j < VECTORS; j++)
        _mm256_storeu_pd(running + first + 4 * j, sum[j]);
    int32_t eight[8];
    uint64_t non_finite = 0;
    _mm256_storeu_si256((__m256i *)eight, bad);
    for (int j = 0; j < 8; j++)
        non_finite += (uint64_t)-eight[j];
    return non_finite;
}

static void block(const float *weights, size_t n, struct hc_pair_moments *out)
{
    double running[2 * HC_LANES];
    size_t rounds = n / 64;
    uint64_t non_finite = add_rounds(weights, rounds, 0, running) + add_rounds(weights, rounds, HALF, running);
    for (size_t i = 64 * rounds; i < n; i++) {
        running[i % 64] += (double)weights[i];
        non_finite += !isfinite(weights[i]);
    }

    double lanes[2][HC_LANES];
    for (int j = 0; j < 2 * HC_LANES; j++)
        lanes[j % 2][j / 2] = running[j];
    out->sum[0] = hc_lanes_sum(lanes[0]);
    out->sum[1] = hc_lanes_sum(lanes[1]);
    out->non_finite = non_finite;
}

void hc_pair_moments_avx2(struct hc_pair_moments_ops *ops)
{
    ops->block = block;
}
