/* window_rows: each function against a version of its contract that is too plain to be wrong. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "tiers.h"

enum { MOST = 16 * 33, LANES = 32 };

static const size_t lengths[] = {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 80, 112, 240, 16 * 33};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

/* -1 .. 1, with now and then a number at the edge of the type. */
static void fill(float *data, size_t n, uint32_t seed, bool extremes)
{
    static const float edges[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-130f, FLT_MIN, FLT_MAX, -FLT_MAX, 0x1p100f};
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (float)((double)(seed >> 8) * 0x1p-23 - 1);
        if (extremes && seed >> 28 == 0)
            data[i] = edges[seed >> 20 & 7];
    }
}

/* As bits; NaN is NaN. */
static bool same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof a[i]) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

TIER_TEST(window_rows, largest)
{
    for (size_t l = 0; l < LENGTHS; l++) {
        float row[MOST + 1], expected[MOST + 1], got[MOST + 1];
        size_t n = lengths[l], bad = 0;
        fill(row, n, (uint32_t)n, true);
        fill(expected, n + 1, 3, false);
        for (size_t j = 0; j < n; j++) {
            if (j % 11 == 5)
                row[j] = j % 3 == 0 ? NAN : j % 3 == 1 ? INFINITY : -INFINITY;
            expected[j] = fabsf(expected[j]) * (float)(j % 3);
        }
        memcpy(got, expected, sizeof got);
        for (size_t j = 0; j < n; j++) {
            bad += !isfinite(row[j]);
            if (isfinite(row[j]))
                expected[j] = fmaxf(expected[j], fabsf(row[j]));
        }
        cr_assert(kernels->window_rows.largest(row, n, got) == bad, "%zu", n);
        cr_assert(same(got, expected, n + 1), "%zu", n);
    }
}

/* Rounding goes to the even neighbour at ties: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2. */
TIER_TEST(window_rows, squares_by_hand)
{
    const float row[9] = {0.5f, 1.5f, 2.5f, -2.5f, -3.5f, 1048576.0f, -1048576.0f, 0x1p-149f, 0.0f};
    const double to_units[9] = {1, 1, 1, 1, 1, 1, 1, 0x1p168, 0x1p168};
    const uint64_t expected[9] = {0, 4, 4, 4, 16, UINT64_C(1) << 40, UINT64_C(1) << 40, UINT64_C(1) << 38, 0};
    uint64_t sums[9];
    for (int j = 0; j < 9; j++)
        sums[j] = UINT64_C(1) << 63;
    kernels->window_rows.squares(row, 9, to_units, sums);
    for (int j = 0; j < 9; j++)
        cr_assert(sums[j] - (UINT64_C(1) << 63) == expected[j], "%d", j);
}

TIER_TEST(window_rows, squares)
{
    for (size_t l = 0; l < LENGTHS; l++) {
        float row[MOST];
        double to_units[MOST];
        uint64_t expected[MOST + 1] = {0}, got[MOST + 1] = {0};
        size_t n = lengths[l];
        for (uint32_t pass = 0; pass < 3; pass++) {
            fill(row, n, (uint32_t)n + pass, false);
            for (size_t j = 0; j < n; j++) {
                int e = (int)(j % 251) - 130;
                row[j] = ldexpf(row[j], e); /* subnormal where e is small: rounded, but below 2^e */
                to_units[j] = ldexp(1, HC_COLUMN_BITS - e);
                int64_t units = (int64_t)nearbyint((double)row[j] * to_units[j]);
                expected[j] += (uint64_t)(units * units);
            }
            kernels->window_rows.squares(row, n, to_units, got);
        }
        cr_assert(memcmp(got, expected, sizeof got) == 0, "%zu", n);
    }
}

TIER_TEST(window_rows, scale_and_restore)
{
    for (size_t l = 0; l < LENGTHS; l++) {
        float row[MOST + 1], factors[MOST + 1], scaled[MOST + 1], restored[MOST + 1];
        size_t n = lengths[l];
        fill(row, n + 1, (uint32_t)n, true);
        fill(factors, n + 1, 5, true);
        if (n > 20)
            row[n / 2] = NAN;
        memcpy(scaled, row, sizeof row);
        memcpy(restored, row, sizeof row);
        for (size_t j = 0; j < n; j++) {
            float once = row[j] * 7.7f, twice = once * factors[j];
            scaled[j] = row[j] * factors[j];
            restored[j] = isnan(twice) ? twice : copysignf(fminf(fabsf(twice), FLT_MAX), twice);
        }
        float got[MOST + 1];
        memcpy(got, row, sizeof row);
        kernels->window_rows.scale(got, n, factors);
        cr_assert(same(got, scaled, n + 1), "%zu", n);
        memcpy(got, row, sizeof row);
        kernels->window_rows.restore(got, n, 7.7f, factors);
        cr_assert(same(got, restored, n + 1), "%zu", n);
    }
}

/* Lanes first .. first + width - 1, added in halves. */
static double halves(const double *lanes, int first, int width, int step)
{
    if (width == 1)
        return lanes[first];
    return halves(lanes, first, width / 2, step * 2) + halves(lanes, first + step, width / 2, step * 2);
}

/* By the rule of lanes; what is added in halves, 16 apart first, is a tree whose topmost node joins even and odd. */
static double in_lanes(const float *a, const float *b, size_t n)
{
    double lanes[LANES];
    for (size_t lane = 0; lane < LANES; lane++) {
        lanes[lane] = 0;
        for (size_t j = lane; j < n; j += LANES) {
            volatile double product = (double)a[j] * (double)b[j]; /* rounded by itself */
            lanes[lane] += product;
        }
    }
    return halves(lanes, 0, LANES, 1);
}

TIER_TEST(window_rows, sums_in_lanes)
{
    for (size_t l = 0; l < LENGTHS; l++)
        for (int extremes = 0; extremes < 2; extremes++) {
            float row[MOST], values[MOST];
            struct hc_window_fit fit;
            size_t n = lengths[l];
            fill(row, n, (uint32_t)n, extremes);
            fill(values, n, (uint32_t)n + 9, extremes);
            kernels->window_rows.fit(row, values, n, &fit);
            double energy = kernels->window_rows.energy(row, n);
            cr_assert(energy == in_lanes(row, row, n), "%zu: %a", n, energy);
            cr_assert(fit.weights2 == energy);
            cr_assert(fit.values2 == in_lanes(values, values, n));
            cr_assert(fit.product == in_lanes(row, values, n));
        }
}

/* Element i of thread `lane` of the A operand of mma.m16n8k16. */
static size_t operand(size_t lane, size_t i, size_t stride)
{
    size_t row = lane / 4 + (i == 2 || i == 3 || i == 6 || i == 7 ? 8 : 0);
    return row * stride + lane % 4 * 2 + (i & 1) + (i >= 4 ? 8 : 0);
}

TIER_TEST(window_rows, tiles)
{
    enum { TILES = 5, STRIDE = TILES * HC_TILE + 3 };
    static float rows[HC_TILE * STRIDE];
    for (size_t count = 0; count <= TILES; count++) {
        float factor[HC_TILE];
        int16_t out[TILES * HC_TILE_WEIGHTS + 1];
        fill(rows, HC_TILE * STRIDE, (uint32_t)count, true);
        for (int r = 0; r < HC_TILE; r++)
            factor[r] = r == 3 ? 0.0f : 1000.0f * (float)(4 * r + 1); /* to 61000: some are cut off */
        memset(out, 0x55, sizeof out);
        kernels->window_rows.tiles(rows, STRIDE, count, factor, out);
        for (size_t i = 0; i < count * HC_TILE_WEIGHTS; i++) {
            size_t at = operand(i / 8 % 32, i % 8, STRIDE) + i / HC_TILE_WEIGHTS * HC_TILE;
            float product = rows[at] * factor[at / STRIDE];
            double expected = fmax(-32767, fmin(32767, nearbyint((double)product)));
            cr_assert(out[i] == (int)expected, "%zu: %d, not %g", i, out[i], expected);
        }
        for (size_t i = count * HC_TILE_WEIGHTS; i < sizeof out / sizeof out[0]; i++)
            cr_assert(out[i] == 0x5555);
    }
}

/* The largest column of the largest magnitude still fits a sum of 64 bits. */
TIER_TEST(window_rows, sums_of_squares_fit)
{
    enum { N = 40 };
    float row[N];
    double to_units[N];
    uint64_t sums[N] = {0};
    for (int j = 0; j < N; j++) {
        row[j] = j % 2 ? -0x1.fffffep-1F : 0x1.fffffep-1F;
        to_units[j] = 1 << HC_COLUMN_BITS;
    }
    kernels->window_rows.squares(row, N, to_units, sums);
    for (int j = 0; j < N; j++)
        cr_assert(sums[j] > 0 && sums[j] <= UINT64_MAX / HC_WINDOW_MAX_ROWS, "%llu", (unsigned long long)sums[j]);
}
