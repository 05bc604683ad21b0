/* The kernels of `pair` against their definition, by brute force and by hand, on every tier. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pair_grid.h"
#include "tiers.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MOST = 4096 };

static double uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-53;
}

static float normal(uint64_t *state, double deviation)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform(state);
    return (float)(deviation * sum);
}

/* ---- The search ---------------------------------------------------------------------------------------------- */

struct setting {
    double side;
    uint32_t points, classes;
    double centre[2];
    double deviation; /* of the weights */
};

/* The definition, in long double: the class of a pair by its distance, then the nearest of all points. */
struct truth {
    const struct setting *setting;
    double farthest;
    uint32_t m;
};

static long double reach(const struct truth *t, uint32_t k)
{
    long double half = t->setting->side / 2.0L;
    return k == 0 ? half : half + k * (t->farthest - half) / t->setting->classes;
}

/* Squared distance, in weights, of the pair drawn towards the centre from the point of a code. */
static long double distance2(const struct truth *t, const float pair[2], uint32_t code)
{
    const struct setting *s = t->setting;
    uint32_t k = code / (s->points + 1), index = code % (s->points + 1);
    long double shrink = s->side / 2.0L / reach(t, k);
    long double at[2] = {0, 0};
    if (index > 0) {
        uint32_t point = index - 1;
        at[0] = point * (long double)s->side / t->m / t->m - s->side / 2.0L;
        at[1] = point % t->m * (long double)s->side / t->m - s->side / 2.0L;
    }
    long double a = (pair[0] - (long double)s->centre[0]) * shrink - at[0];
    long double b = (pair[1] - (long double)s->centre[1]) * shrink - at[1];
    return a * a + b * b;
}

/* The class, or -1 if the pair lies so close to a limit that rounding may decide. */
static int class_of(const struct truth *t, const float pair[2])
{
    const struct setting *s = t->setting;
    long double dx = pair[0] - (long double)s->centre[0], dy = pair[1] - (long double)s->centre[1];
    if (s->classes == 0 || (fabsl(dx) <= s->side / 2.0L && fabsl(dy) <= s->side / 2.0L))
        return 0;
    long double distance = sqrtl(dx * dx + dy * dy);
    for (uint32_t k = 1; k < s->classes; k++) {
        if (fabsl(distance - reach(t, k)) < 1e-12L * distance)
            return -1;
        if (distance < reach(t, k))
            return (int)k;
    }
    return (int)s->classes;
}

/* The lowest code of the nearest point. */
static uint32_t brute_force(const struct truth *t, const float pair[2], uint32_t k)
{
    uint32_t base = k * (t->setting->points + 1), best = base;
    long double least = distance2(t, pair, base);
    for (uint32_t index = 1; index <= t->setting->points; index++) {
        long double d2 = distance2(t, pair, base + index);
        if (d2 < least) {
            least = d2;
            best = base + index;
        }
    }
    return best;
}

static struct hc_pair_grid fit(const struct setting *s, const float *weights, size_t n, double *farthest)
{
    *farthest = s->side / 2;
    for (size_t i = 0; i + 1 < n; i += 2)
        *farthest = fmax(*farthest, hypot((double)weights[i] - s->centre[0], (double)weights[i + 1] - s->centre[1]));
    struct hc_pair_grid grid;
    cr_assert_eq(hc_pair_grid_init(&grid, s->centre, s->side, s->points, s->classes, *farthest, 0, NULL), HC_OK);
    return grid;
}

/* Equally near, as far as doubles can tell: to 1e-12 in weights, and to 1e-11 in steps of the grid. */
static bool as_near(const struct truth *t, const float pair[2], uint32_t code, uint32_t best)
{
    long double gap = distance2(t, pair, code) - distance2(t, pair, best);
    long double step = t->setting->side / (long double)t->m;
    return gap <= 1e-12L && gap <= 1e-11L * step * step;
}

static void check_setting(const struct setting *s, const float *weights, size_t n, const struct hc_kernels *kernels)
{
    double farthest;
    struct hc_pair_grid grid = fit(s, weights, n, &farthest);
    struct truth t = {s, farthest, grid.m};
    uint32_t codes[MOST / 2];
    int64_t most[2] = {-1, -1};
    struct hc_pair_search result;
    kernels->pair_search.block(weights, n, &grid, codes, &result);
    for (size_t i = 0; i < n / 2; i++) {
        const float *pair = weights + 2 * i;
        int k = class_of(&t, pair), got = (int)(codes[i] / (s->points + 1));
        k = k < 0 ? got : k;
        uint32_t expected = brute_force(&t, pair, (uint32_t)k);
        cr_assert(codes[i] == expected || (got == k && as_near(&t, pair, codes[i], expected)),
                  "side %g points %u classes %u pair %zu (%.9g, %.9g): code %u, not %u", s->side, s->points, s->classes,
                  i, (double)pair[0], (double)pair[1], codes[i], expected);
        most[k > 0] = codes[i] > most[k > 0] ? codes[i] : most[k > 0];
    }
    cr_assert_eq(result.max_code[0], most[0]);
    cr_assert_eq(result.max_code[1], most[1]);
}

TIER_TEST(pair_kernels, nearest_point)
{
    static const uint32_t points[] = {1, 2, 3, 4, 5, 10, 16, 17, 26, 99, 100, 1000, 1025, 1600};
    static const struct setting shapes[] = {
        {0.1, 0, 0, {0, 0}, 0.02},     {0.1, 0, 1, {0, 0}, 0.02},      {0.1, 0, 3, {0.25, -0.5}, 0.2},
        {0.8, 0, 15, {0, 0.125}, 3.0}, {1e-3, 0, 2, {-7, 0.25}, 0.05}, {0.125, 0, 4, {0, 0}, 0.25},
    };
    static float weights[MOST];
    uint64_t state = 7;
    for (size_t i = 0; i < COUNT(points) * COUNT(shapes); i++) {
        struct setting s = shapes[i % COUNT(shapes)];
        s.points = points[i / COUNT(shapes)];
        size_t n = 600;
        for (size_t j = 0; j < n; j++) {
            double limit = s.classes == 0 ? 0.999999 * s.side / 2 : 1e30;
            double spread = j % 3 == 0 ? s.side * (uniform(&state) - 0.5) : (double)normal(&state, s.deviation);
            weights[j] = (float)(s.centre[j % 2] + fmin(fmax(spread, -limit), limit));
        }
        check_setting(&s, weights, n, kernels);
    }
}

/* Exact ties, on a grid without rounding: the lowest code wins. Four points in steps of 1: (0,0) (.5,1) (1,0) (1.5,1)
 * from the corner, numbered 1 to 4, and the centre (1,1), number 0. */
TIER_TEST(pair_kernels, ties)
{
    static const struct {
        float pair[2];
        uint32_t code;
    } cases[] = {
        {{-1.0f, -1.0f}, 1}, {{0.0f, 0.0f}, 0}, {{-0.5f, -1.0f}, 1},                     /* between 1 and 3 */
        {{-0.25f, 0.0f}, 0},                                                             /* between 0 and 2 */
        {{0.25f, 0.0f}, 0},                                                              /* between 0 and 4 */
        {{-0.5f, 1.0f}, 2},  {{1.0f, 1.0f}, 4}, {{1.0f, -1.0f}, 3},  {{0.0f, -0.5f}, 0}, /* between 0 and 3 */
    };
    const double centre[2] = {0, 0};
    struct hc_pair_grid grid;
    cr_assert_eq(hc_pair_grid_init(&grid, centre, 2, 4, 0, 0, 0, NULL), HC_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t code;
        struct hc_pair_search result;
        kernels->pair_search.block(cases[i].pair, 2, &grid, &code, &result);
        cr_assert_eq(code, cases[i].code, "case %zu: code %u", i, code);
    }
}

/* What the search says about the error is what the decoder does, to rounding; the padding is left out. */
TIER_TEST(pair_kernels, error_is_the_decoders)
{
    const double centre[2] = {0.001953125, -0.00390625};
    static float weights[MOST], decoded[MOST + 1];
    static uint32_t codes[MOST];
    static uint8_t packed[3 * MOST + 1];
    uint64_t state = 11;
    size_t n = MOST - 1;
    for (size_t i = 0; i < n; i++)
        weights[i] = normal(&state, 0.04);
    struct setting s = {.side = 0.1, .points = 1600, .classes = 3, .centre = {centre[0], centre[1]}};
    double farthest;
    struct hc_pair_grid grid = fit(&s, weights, n, &farthest);
    uint32_t entries = hc_pair_code_count(&grid);
    float(*table)[2] = malloc(entries * sizeof *table);
    cr_assert_not_null(table);
    hc_pair_table(&grid, entries, table);
    struct hc_pair_search result;
    struct hc_compare compare;
    kernels->pair_search.block(weights, n, &grid, codes, &result);
    unsigned bits = hc_pair_code_bits(entries - 1);
    kernels->bitpack.pack(codes, (n + 1) / 2, bits, packed);
    size_t strays = kernels->pair_decode.block(packed, (n + 1) / 2, bits, (const float(*)[2])table, entries, decoded);
    cr_assert_eq(strays, 0);
    kernels->compare.block(weights, decoded, n, &compare);
    double sum = result.error[0] + result.error[1];
    /* Decoded values are rounded to float32, half a unit in the last place of at most 0.25 each. */
    cr_assert(fabs(sum - compare.abs_error) <= (double)n * 0x1p-27, "%.17g %.17g", sum, compare.abs_error);
    free(table);
}

TIER_TEST(pair_kernels, outer_pairs)
{
    const double centre[2] = {0, 0};
    const float weights[] = {0.5f, 0.0f, 1.0f, -1.0f, 1.5f, 0.0f, 0.0f, -1.25f, 0.25f, 0.25f, 2.0f};
    const float expected[] = {1.5f, 0.0f, 0.0f, -1.25f, 2.0f};
    struct hc_pair_grid grid;
    cr_assert_eq(hc_pair_grid_init(&grid, centre, 2, 16, 1, 3, 0, NULL), HC_OK);
    float outer[COUNT(weights) + 1];
    struct hc_pair_extent extent;
    cr_assert_eq(kernels->pair_search.outer(weights, COUNT(weights), &grid, outer), COUNT(expected));
    cr_assert_arr_eq(outer, expected, sizeof expected);
    cr_assert_eq(kernels->pair_search.outer(weights, 4, &grid, outer), 0, "on the border is inside");
    kernels->pair_extent.block(weights, COUNT(weights), &grid, &extent);
    cr_assert_eq(extent.outer, 3);
    cr_assert(extent.max_distance2 == 4.0);
}

/* ---- The rim ------------------------------------------------------------------------------------------------- */

enum { RIM_POINTS = 2000, RIM_ROWS = 4 };

/* No place of the square is farther from a point than this, squared, in grid units: of places between row q and the
 * next one, or the upper side, only the points of row q are looked at, by their definition one by one. */
static double farthest_place2(uint32_t points, uint32_t m)
{
    double worst = 0;
    for (uint32_t q = 0; q < m; q++) {
        double at = 0, gap = INFINITY; /* the largest distance along the row; without a point no bound */
        for (uint32_t point = q; point < points; point += m) {
            double x = point / (double)m;
            gap = point == q ? x : fmax(gap, (x - at) / 2);
            at = x;
        }
        gap = fmax(gap, m - at);
        worst = fmax(worst, gap * gap + 1);
    }
    return worst;
}

/* The search looks no farther than 4 rows below that of a pair and 5 above it: rows beyond are at least 5 away, and a
 * point always nearer. */
Test(pair_kernels, rim_is_wide_enough)
{
    for (uint32_t points = 1; points <= RIM_POINTS; points++) {
        uint32_t m = (uint32_t)ceil(sqrt(points));
        double worst = farthest_place2(points, m);
        cr_assert(worst < (RIM_ROWS + 1) * (RIM_ROWS + 1), "%u points: %g", points, sqrt(worst));
    }
}

/* And it finds the nearest point along the right and the upper side, where the points end, whatever their number. */
TIER_TEST(pair_kernels, rim_of_every_grid)
{
    uint64_t state = 5;
    for (uint32_t points = 1; points <= RIM_POINTS; points++) {
        const struct setting s = {.side = 2, .points = points};
        float along = (float)(2 * uniform(&state) - 1), inwards = 1 - (float)(uniform(&state) / 16);
        const float weights[] = {1, 1, 1, along, along, 1, inwards, along, along, inwards, 1, -1};
        check_setting(&s, weights, COUNT(weights), kernels);
    }
}

/* ---- Sums ---------------------------------------------------------------------------------------------------- */

/* The order of a sum shows where terms cancel. Lane 0 holds 1e16, which has no room for a 1, lane 16 -1e16, and 1 to 15
 * hold 1: added one after the other they would be lost, in lanes they are not. In the second round, a 1 is lost in lane
 * 0. */
TIER_TEST(pair_kernels, lanes)
{
    float weights[2 * 2 * HC_LANES] = {0};
    for (size_t lane = 0; lane < HC_LANES / 2; lane++)
        weights[2 * lane] = 1;
    weights[0] = 1e16f;
    weights[2 * 16] = -1e16f;
    weights[2 * 32] = 1;
    weights[2 * 33] = 1;
    for (size_t i = 0; i < 2 * HC_LANES; i++)
        weights[2 * i + 1] = (float)i;
    struct hc_pair_moments out;
    kernels->pair_moments.block(weights, COUNT(weights), &out);
    cr_assert(out.sum[0] == 16, "%.17g", out.sum[0]);
    cr_assert(out.sum[1] == 63 * 64 / 2);
    cr_assert_eq(out.non_finite, 0);
    kernels->pair_moments.block(weights + 2, 3, &out);
    cr_assert(out.sum[0] == 2 && out.sum[1] == 1, "the last pair of an odd count has no y");
}

TIER_TEST(pair_kernels, not_finite)
{
    for (size_t at = 0; at < 133; at++) {
        float weights[133] = {0};
        struct hc_pair_moments out;
        weights[at] = at % 3 == 0 ? NAN : at % 3 == 1 ? INFINITY : -INFINITY;
        kernels->pair_moments.block(weights, 133, &out);
        cr_assert_eq(out.non_finite, 1, "weight %zu", at);
    }
}

TIER_TEST(pair_kernels, compare_by_hand)
{
    float weights[37], decoded[37];
    struct hc_compare out;
    for (int i = 0; i < 37; i++) {
        weights[i] = (float)i;
        decoded[i] = (float)(i % 2 ? i + 1 : i - 2);
    }
    kernels->compare.block(weights, decoded, 37, &out);
    cr_assert(out.abs_error == 18 * 1 + 19 * 2);
    cr_assert(out.squared_error == 18 * 1 + 19 * 4);
    cr_assert(out.squared_weights == 36 * 37 * 73 / 6);
    cr_assert(out.max_abs_error == 2);
    kernels->compare.block(weights, decoded, 0, &out);
    cr_assert(out.abs_error == 0 && out.squared_error == 0 && out.squared_weights == 0 && out.max_abs_error == 0);
}

/* ---- Bits ---------------------------------------------------------------------------------------------------- */

/* Packs, holds every bit against the definition, and unpacks. */
static void check_round_trip(const struct hc_kernels *kernels, unsigned bits, size_t n, uint64_t *state)
{
    uint32_t codes[200], back[200];
    uint8_t packed[801];
    size_t bytes = (n * bits + 7) / 8;
    for (size_t i = 0; i < n; i++)
        codes[i] = (uint32_t)ldexp(uniform(state), (int)bits);
    memset(packed, 0xff, sizeof packed);
    kernels->bitpack.pack(codes, n, bits, packed);
    for (size_t i = 0; i < 8 * bytes; i++) {
        unsigned bit = i < n * bits ? codes[i / bits] >> i % bits & 1 : 0;
        cr_assert_eq(packed[i / 8] >> i % 8 & 1, bit, "bits %u n %zu bit %zu", bits, n, i);
    }
    cr_assert_eq(packed[bytes], 0xff, "bits %u n %zu: written beyond the end", bits, n);
    kernels->bitpack.unpack(packed, n, bits, back);
    cr_assert_arr_eq(back, codes, n * sizeof *codes, "bits %u n %zu", bits, n);
}

TIER_TEST(pair_kernels, bits_round_trip)
{
    static const size_t counts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 100, 200};
    uint64_t state = 3;
    for (unsigned bits = 1; bits <= 32; bits++) {
        for (size_t i = 0; i < COUNT(counts); i++)
            check_round_trip(kernels, bits, counts[i], &state);
    }
}

TIER_TEST(pair_kernels, decode_counts_strays)
{
    const float table[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    uint32_t codes[40];
    uint8_t packed[10];
    float out[80];
    for (uint32_t i = 0; i < 40; i++)
        codes[i] = i % 4; /* 3 is not in the table */
    kernels->bitpack.pack(codes, 40, 2, packed);
    cr_assert_eq(kernels->pair_decode.block(packed, 40, 2, table, 3, out), 10);
    for (size_t i = 0; i < 40; i++) {
        const float *expected = table[codes[i] < 3 ? codes[i] : 0];
        cr_assert(out[2 * i] == expected[0] && out[2 * i + 1] == expected[1], "pair %zu", i);
    }
}

/* ---- The grid ------------------------------------------------------------------------------------------------ */

Test(pair_grid, derived)
{
    const double centre[2] = {0.5, -0.25};
    struct hc_pair_grid g;
    float table[12][2];
    cr_assert_eq(hc_pair_grid_init(&g, centre, 2, 5, 2, 5, 0.5f, NULL), HC_OK);
    cr_assert(g.m == 3 && g.last_row == 1 && g.r_max == 1 && g.mid == 1.5 && g.half == 1 && g.pad == 0.5f);
    cr_assert(g.limit2[1] == 9 && g.limit2[2] == 25);
    cr_assert(g.scale[0] == 1.5 && fabs(g.scale[1] - 0.5) < 1e-15 && fabs(g.scale[2] - 0.3) < 1e-15);
    for (int k = 0; k <= 2; k++)
        cr_assert(fabs(g.scale[k] * g.unit[k] - 1) < 1e-15);
    cr_assert_eq(hc_pair_code_count(&g), 18);
    hc_pair_table(&g, 12, table);
    cr_assert(table[0][0] == 0.5f && table[0][1] == -0.25f && table[6][0] == 0.5f && table[6][1] == -0.25f);
    cr_assert(table[1][0] == -0.5f && table[1][1] == -1.25f, "point 0 is the corner");
    cr_assert(table[7][0] == -2.5f && table[7][1] == -3.25f, "class 1 reaches three times as far");
    cr_assert(fabs((double)table[5][0] - (0.5 - 1 + 8.0 / 9)) < 1e-7 &&
              fabs((double)table[5][1] - (-0.25 - 1 + 2.0 / 3)) < 1e-7);
}

Test(pair_grid, refusals)
{
    const double good[2] = {0, 0}, not_float[2] = {0.1, 0}, not_finite[2] = {NAN, 0}, huge[2] = {0, 1e300};
    struct hc_pair_grid g;
    struct hc_error error = {.text = ""};
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 1600, 15, 1, 0, &error), HC_OK);
    cr_assert_eq(hc_pair_grid_init(&g, not_float, 0.1, 1600, 1, 1, 0, &error), HC_ERR_ARGUMENT);
    cr_assert(error.text[0] != '\0');
    cr_assert_eq(hc_pair_grid_init(&g, not_finite, 0.1, 1600, 1, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, huge, 0.1, 1600, 1, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0, 1600, 1, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, NAN, 1600, 1, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 1e39, 1600, 1, 1e39, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 0, 1, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, HC_PAIR_MAX_POINTS + 1, 0, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, HC_PAIR_MAX_POINTS, 3, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, HC_PAIR_MAX_POINTS - 1, 3, 1, 0, NULL), HC_OK);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 1600, 16, 1, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 1600, 1, 0.01, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 1600, 1, NAN, 0, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 1600, 0, NAN, 0, NULL), HC_OK, "not read without classes");
    cr_assert_eq(hc_pair_grid_init(&g, good, 0.1, 1600, 1, 1, INFINITY, NULL), HC_ERR_ARGUMENT);
}

/* Points beyond the largest float32 are decoded as that, not as infinity. */
Test(pair_grid, table_is_finite)
{
    const double centre[2] = {(double)3e38f, 0};
    struct hc_pair_grid g;
    float table[202][2];
    cr_assert_eq(hc_pair_grid_init(&g, centre, 1, 100, 1, 6e38, 0, NULL), HC_OK);
    hc_pair_table(&g, 202, table);
    for (int i = 0; i < 202; i++)
        cr_assert(isfinite(table[i][0]) && isfinite(table[i][1]));
}

Test(pair_grid, code_bits)
{
    cr_assert_eq(hc_pair_code_bits(0), 1);
    cr_assert_eq(hc_pair_code_bits(1), 1);
    cr_assert_eq(hc_pair_code_bits(2), 2);
    cr_assert_eq(hc_pair_code_bits(3201), 12);
    cr_assert_eq(hc_pair_code_bits((1U << 24) - 1), 24);
    cr_assert_eq(hc_pair_code_bits(UINT32_MAX), 32);
}
