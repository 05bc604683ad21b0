/* Encoding of `window`: every tier against plain C, and plain C against what the string is meant to be. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sanitized.h"
#include "tiers.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { GUARD = 64, MOST_TILES = 8 };

/* Against plain C, on the tiers that are not plain C. */
#define VECTOR_TEST(name)                                                                                              \
    static void name(const struct hc_kernels *kernels);                                                                \
    Test(window_encode, name##_avx2)                                                                                   \
    {                                                                                                                  \
        tier_run(HC_TIER_AVX2, "avx2", name);                                                                          \
    }                                                                                                                  \
    Test(window_encode, name##_avx512)                                                                                 \
    {                                                                                                                  \
        tier_run(HC_TIER_AVX512, "avx512", name);                                                                      \
    }                                                                                                                  \
    static void name(const struct hc_kernels *kernels)

/* ---- Weights -------------------------------------------------------------------------------- */

static double uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(*state >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(6.283185307179586 * uniform(state));
}

static void fill_normal(uint64_t seed, double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = normal(&seed);
}

static int16_t quantised(double value, float scale)
{
    double x = rint(value * (double)scale);
    return (int16_t)(x > 32767 ? 32767 : x < -32767 ? -32767 : x);
}

static void fill_importance(uint64_t seed, int16_t importance[HC_TILE_WEIGHTS])
{
    for (size_t i = 0; i < HC_TILE_WEIGHTS; i++)
        importance[i] = (int16_t)(uniform(&seed) * 32767.99);
}

/* ---- A trellis ------------------------------------------------------------------------------ */

struct coder {
    const struct hc_kernels *kernels;
    struct hc_window_trellis trellis;
    float scale;
    uint16_t *table;
    int16_t *codebook;
    void *layout, *scratch;
};

static void *aligned(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    cr_assert_not_null(memory);
    return memory;
}

static void ready(struct coder *coder)
{
    const struct hc_window_encode_ops *ops = &coder->kernels->window_encode;
    coder->trellis.codebook = coder->codebook;
    coder->trellis.layout = coder->layout;
    ops->prepare(&coder->trellis);
}

static struct coder open_coder(const struct hc_kernels *kernels, unsigned k, unsigned length)
{
    const struct hc_window_encode_ops *ops = &kernels->window_encode;
    const struct hc_window_code *code = hc_window_code_find(k, length);
    struct coder coder = {.kernels = kernels,
                          .trellis = {.k = k, .length = length, .multiplier = code->multiplier},
                          .table = aligned(sizeof(uint16_t) << length),
                          .codebook = aligned(sizeof(int16_t) << length),
                          .layout = aligned(ops->layout_bytes(k, length)),
                          .scratch = aligned(ops->scratch_bytes(k, length))};
    hc_window_table(code, coder.table);
    coder.scale = hc_window_codebook(code, coder.table, coder.codebook);
    ready(&coder);
    return coder;
}

static void close_coder(struct coder *coder)
{
    free(coder->table);
    free(coder->codebook);
    free(coder->layout);
    free(coder->scratch);
}

static void encode(const struct coder *coder, const int16_t *weights, const int16_t *importance, size_t tiles,
                   uint8_t *codes)
{
    coder->kernels->window_encode.tiles(&coder->trellis, weights, importance, tiles, coder->scratch, codes);
}

static uint32_t theta_at(const struct coder *coder, const uint8_t *codes, unsigned t)
{
    unsigned k = coder->trellis.k;
    uint32_t theta = 0;
    for (unsigned bit = 0; bit < coder->trellis.length; bit++) {
        unsigned at = (t * k + bit) % (HC_TILE_WEIGHTS * k);
        theta |= (uint32_t)(codes[at / 8] >> at % 8 & 1) << bit;
    }
    return theta;
}

static int value_of(const struct coder *coder, uint32_t theta)
{
    uint16_t place = (uint16_t)(theta * coder->trellis.multiplier);
    return coder->codebook[place >> (HC_WINDOW_MAX_LENGTH - coder->trellis.length)];
}

/* Squared error of a tile in units of the codebook; weighted by the square of the importance unless NULL. */
static double error_of(const struct coder *coder, const uint8_t *codes, const int16_t *weights,
                       const int16_t *importance)
{
    double sum = 0;
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
        double d = weights[t] - value_of(coder, theta_at(coder, codes, t));
        d *= importance ? importance[t] / 32768.0 : 1;
        sum += d * d;
    }
    return sum;
}

/* ---- Tiers against plain C ------------------------------------------------------------------ */

static void compare(const struct hc_kernels *kernels, unsigned k, unsigned length, const int16_t *weights, size_t tiles,
                    const int16_t *importance)
{
    struct hc_kernels plain;
    uint8_t expected[MOST_TILES * 256], got[MOST_TILES * 256 + GUARD];
    size_t bytes = tiles * 32 * k;
    hc_kernels_init(&plain, HC_TIER_C);
    struct coder truth = open_coder(&plain, k, length), coder = open_coder(kernels, k, length);
    memset(got, 0xa5, sizeof got);
    encode(&truth, weights, importance, tiles, expected);
    encode(&coder, weights, importance, tiles, got);
    cr_assert_arr_eq(got, expected, bytes, "k %u, length %u%s", k, length, importance ? ", weighted" : "");
    for (size_t i = bytes; i < sizeof got; i++)
        cr_assert_eq(got[i], 0xa5, "k %u, length %u: written beyond the end", k, length);
    close_coder(&truth);
    close_coder(&coder);
}

static void compare_normal(const struct hc_kernels *kernels, unsigned k, unsigned length, size_t tiles)
{
    double values[MOST_TILES * HC_TILE_WEIGHTS];
    int16_t weights[MOST_TILES * HC_TILE_WEIGHTS], importance[HC_TILE_WEIGHTS];
    fill_normal(16 * k + length, values, tiles * HC_TILE_WEIGHTS);
    for (size_t i = 0; i < tiles * HC_TILE_WEIGHTS; i++)
        weights[i] = quantised(values[i], 9000);
    fill_importance(k + length, importance);
    compare(kernels, k, length, weights, tiles, NULL);
    compare(kernels, k, length, weights, tiles, importance);
}

/* Windows shorter than 2 k take the general path. */
VECTOR_TEST(short_windows)
{
    static const unsigned ks[] = {1, 2, 3, 4, 5, 6, 8};
    for (unsigned length = 8; length <= 11; length++)
        for (size_t i = 0; i < COUNT(ks); i++)
            compare_normal(kernels, ks[i], length, 3);
}

VECTOR_TEST(windows_of_twelve)
{
    static const unsigned ks[] = {1, 2, 3, 4, 5, 6, 8};
    for (size_t i = 0; i < COUNT(ks); i++)
        compare_normal(kernels, ks[i], 12, 3);
}

VECTOR_TEST(long_windows)
{
    static const unsigned some[][2] = {{1, 13}, {1, 14}, {1, 15}, {2, 13}, {2, 14}, {3, 13},
                                       {4, 14}, {5, 14}, {6, 13}, {6, 15}, {8, 16}};
    for (size_t i = 0; i < COUNT(some); i++)
        compare_normal(kernels, some[i][0], some[i][1], 1);
    compare_normal(kernels, 1, 16, 3);
    compare_normal(kernels, 2, 15, 3);
    compare_normal(kernels, 2, 16, 3);
}

static int16_t extreme(unsigned pattern, unsigned t, uint64_t *state)
{
    switch (pattern) {
    case 0:
        return 32767;
    case 1:
        return -32767;
    case 2:
        return 0;
    case 3:
        return t % 2 ? 32767 : -32767;
    case 4:
        return t / 8 % 2 ? 32767 : -32767;
    case 5:
        return t == 100 ? 32767 : 0;
    default:
        return uniform(state) < 0.5 ? 32767 : -32767;
    }
}

/* Metrics saturate, and wide ones take over. */
VECTOR_TEST(extreme_weights)
{
    static const unsigned some[][2] = {{1, 10}, {2, 10}, {4, 10}, {4, 8}, {5, 10}, {6, 12}};
    enum { PATTERNS = 7 };
    int16_t weights[PATTERNS * HC_TILE_WEIGHTS];
    uint64_t state = 5;
    for (unsigned pattern = 0; pattern < PATTERNS; pattern++)
        for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
            weights[pattern * HC_TILE_WEIGHTS + t] = extreme(pattern, t, &state);
    for (size_t i = 0; i < COUNT(some); i++)
        compare(kernels, some[i][0], some[i][1], weights, PATTERNS, NULL);
}

/* Wider and wider weights, which take one attempt, two, and so on. */
VECTOR_TEST(further_attempts)
{
    static const unsigned some[][2] = {{1, 10}, {1, 12}, {2, 8}, {2, 10}, {2, 12}};
    enum { EACH = 2 };
    double values[MOST_TILES * HC_TILE_WEIGHTS];
    int16_t weights[MOST_TILES * HC_TILE_WEIGHTS], importance[HC_TILE_WEIGHTS];
    fill_normal(7, values, COUNT(values));
    fill_importance(7, importance);
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
        importance[t] = (int16_t)(28672 + importance[t] / 8);
    for (size_t i = 0; i < COUNT(values); i++)
        weights[i] = quantised(values[i], (float)(8000 + 6000 * (i / HC_TILE_WEIGHTS / EACH)));
    for (size_t i = 0; i < COUNT(some); i++) {
        compare(kernels, some[i][0], some[i][1], weights, MOST_TILES, NULL);
        compare(kernels, some[i][0], some[i][1], weights, MOST_TILES, importance);
    }
}

/* What saturates is coded as well as the wide arithmetic can: no string of a single repeated code is better. */
TIER_TEST(window_encode, saturated_tiles_are_coded_well)
{
    struct coder coder = open_coder(kernels, 1, 10);
    int16_t weights[HC_TILE_WEIGHTS];
    uint8_t codes[32], repeated[32];
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
        weights[t] = t % 2 ? 32767 : -32767;
    encode(&coder, weights, NULL, 1, codes);
    double error = error_of(&coder, codes, weights, NULL);
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(repeated, (int)byte, sizeof repeated);
        cr_assert(error <= error_of(&coder, repeated, weights, NULL) * 1.02, "bytes of %u are better", byte);
    }
    close_coder(&coder);
}

/* A tile's codes are its own, whatever lies beside it. */
TIER_TEST(window_encode, numbers_of_tiles)
{
    static const size_t counts[] = {0, 1, 2, 3, 5};
    struct coder coder = open_coder(kernels, 3, 9);
    double values[5 * HC_TILE_WEIGHTS];
    int16_t weights[5 * HC_TILE_WEIGHTS];
    uint8_t alone[5 * 96], together[5 * 96];
    fill_normal(8, values, COUNT(values));
    for (size_t i = 0; i < COUNT(values); i++)
        weights[i] = quantised(values[i], coder.scale);
    for (size_t i = 0; i < 5; i++)
        encode(&coder, weights + i * HC_TILE_WEIGHTS, NULL, 1, alone + 96 * i);
    for (size_t c = 0; c < COUNT(counts); c++) {
        memset(together, 0xa5, sizeof together);
        encode(&coder, weights, NULL, counts[c], together);
        cr_assert_arr_eq(together, alone, 96 * counts[c]);
        for (size_t i = 96 * counts[c]; i < sizeof together; i++)
            cr_assert_eq(together[i], 0xa5);
    }
    close_coder(&coder);
}

/* ---- What the string is meant to be --------------------------------------------------------- */

/* The lowest branch that is looked at, as the contract words it, into the state after weight t. */
static uint32_t lowest_branch(const struct coder *coder, const uint8_t *codes, unsigned t, int16_t weight)
{
    const unsigned k = coder->trellis.k, length = coder->trellis.length, n = hc_window_near(k, length);
    const uint32_t multiplier = (uint32_t)coder->trellis.multiplier >> (HC_WINDOW_MAX_LENGTH - length);
    const uint32_t r = (theta_at(coder, codes, t) >> k) * multiplier % (1u << (length - k));
    const uint32_t group = r - r % hc_window_group(k, length);
    struct hc_window_head head;
    hc_window_fill_head(&coder->trellis, &head);
    uint32_t ahead = head.start[(weight + 32768) / 64] + (2u << length) - (group << k);
    uint32_t e = ahead % (1u << length) >> (length - k), lowest = head.order[e];
    for (unsigned i = 1; i < n; i++)
        lowest = head.order[e + i] < lowest ? head.order[e + i] : lowest;
    return lowest;
}

/* Every branch costs the same, but where a path that has not closed is found anew, and has to lead to one state. */
TIER_TEST(window_encode, ties_take_the_lowest_code)
{
    static const unsigned some[][2] = {{1, 9}, {2, 12}, {3, 10}, {3, 12}, {4, 12}, {4, 13}, {5, 10}, {6, 12}, {8, 9}};
    int16_t weights[HC_TILE_WEIGHTS];
    uint8_t codes[256];
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
        weights[t] = (int16_t)(8 * (int)t - 1024);
    for (size_t i = 0; i < COUNT(some); i++) {
        struct coder coder = open_coder(kernels, some[i][0], some[i][1]);
        memset(coder.codebook, 0, sizeof *coder.codebook << some[i][1]);
        ready(&coder);
        encode(&coder, weights, NULL, 1, codes);
        for (unsigned t = hc_window_seam(some[i][0], some[i][1]) + hc_window_splice(some[i][1]); t < HC_TILE_WEIGHTS;
             t++)
            cr_expect_eq(theta_at(&coder, codes, t) % (1u << some[i][0]), lowest_branch(&coder, codes, t, weights[t]),
                         "k %u, length %u, weight %u", some[i][0], some[i][1], t);
        close_coder(&coder);
    }
}

/* Least squared error of any path of 256 steps, closed or not: no string of a tile is better. */
static double open_path(const struct coder *coder, const int16_t *weights)
{
    unsigned k = coder->trellis.k, length = coder->trellis.length;
    uint32_t states = 1u << (length - k);
    double *before = calloc(states, sizeof *before), *after = calloc(states, sizeof *after), best = INFINITY;
    cr_assert(before && after);
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
        for (uint32_t s = 0; s < states; s++)
            after[s] = INFINITY;
        for (uint32_t theta = 0; theta < 1u << length; theta++) {
            double d = weights[t] - value_of(coder, theta), sum = before[theta % states] + d * d;
            after[theta >> k] = fmin(after[theta >> k], sum);
        }
        double *swap = before;
        before = after;
        after = swap;
    }
    for (uint32_t s = 0; s < states; s++)
        best = fmin(best, before[s]);
    free(before);
    free(after);
    return best;
}

/* Never better than the best open path, which shows that errors are counted right, and hardly worse. */
TIER_TEST(window_encode, nearly_optimal)
{
    static const unsigned some[][2] = {{1, 9}, {2, 10}, {3, 10}, {4, 10}, {4, 12}, {5, 11}, {6, 12}};
    enum { TILES = 4 };
    double values[TILES * HC_TILE_WEIGHTS];
    int16_t weights[TILES * HC_TILE_WEIGHTS];
    uint8_t codes[TILES * 256];
    fill_normal(3, values, COUNT(values));
    for (size_t i = 0; i < COUNT(some); i++) {
        struct coder coder = open_coder(kernels, some[i][0], some[i][1]);
        double error = 0, least = 0;
        for (size_t w = 0; w < COUNT(values); w++)
            weights[w] = quantised(values[w], coder.scale);
        encode(&coder, weights, NULL, TILES, codes);
        for (size_t t = 0; t < TILES; t++) {
            error += error_of(&coder, codes + t * 32 * some[i][0], weights + t * HC_TILE_WEIGHTS, NULL);
            least += open_path(&coder, weights + t * HC_TILE_WEIGHTS);
        }
        cr_assert(error >= least && error <= 1.05 * least, "k %u, length %u: %.4f of the least error", some[i][0],
                  some[i][1], error / least);
        close_coder(&coder);
    }
}

/* Error of some tiles, of all branches or of those that are looked at. */
static double error_sum(struct coder *coder, const int16_t *weights, size_t tiles, bool all)
{
    uint8_t codes[MOST_TILES * 256];
    double error = 0;
    coder->trellis.all = all;
    encode(coder, weights, NULL, tiles, codes);
    for (size_t t = 0; t < tiles; t++)
        error += error_of(coder, codes + t * 32 * coder->trellis.k, weights + t * HC_TILE_WEIGHTS, NULL);
    return error;
}

/* The branches that are not looked at would hardly ever have won. */
Test(window_encode, few_branches_suffice)
{
    static const unsigned some[][2] = {{3, 9}, {3, 12}, {4, 10}, {4, 12}, {4, 13}, {4, 14}, {6, 11}, {6, 12}, {6, 14}};
    struct hc_kernels plain;
    double values[MOST_TILES * HC_TILE_WEIGHTS];
    int16_t weights[MOST_TILES * HC_TILE_WEIGHTS];
    hc_kernels_init(&plain, HC_TIER_C);
    fill_normal(6, values, COUNT(values));
    for (size_t i = 0; i < COUNT(some); i++) {
        struct coder coder = open_coder(&plain, some[i][0], some[i][1]);
        cr_expect(hc_window_near(some[i][0], some[i][1]) < 1u << some[i][0]);
        for (size_t w = 0; w < COUNT(values); w++)
            weights[w] = quantised(values[w], coder.scale);
        double few = error_sum(&coder, weights, MOST_TILES, false), all = error_sum(&coder, weights, MOST_TILES, true);
        cr_expect(few <= 1.005 * all, "k %u, length %u: %.4f of the error", some[i][0], some[i][1], few / all);
        close_coder(&coder);
    }
}

/* Tiles of one weight keep meeting the same few branches, and close all the same, nearly as well as with all of them;
 * less so where the weight is beyond the codebook, and half of the few lie at its other end. */
TIER_TEST(window_encode, constant_tiles)
{
    static const unsigned some[][2] = {{2, 10}, {3, 12}, {4, 12}, {4, 13}, {5, 12}, {6, 12}};
    static const int16_t constants[] = {0, 1, -700, 5000, -16000, 32700, -32767, 32767};
    int16_t tile[HC_TILE_WEIGHTS];
    for (size_t i = 0; i < COUNT(some); i++) {
        struct coder coder = open_coder(kernels, some[i][0], some[i][1]);
        for (size_t c = 0; c < COUNT(constants); c++) {
            const double worse = abs(constants[c]) < HC_WINDOW_FULL_SCALE ? 1.02 : 1.1;
            for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
                tile[t] = constants[c];
            double few = error_sum(&coder, tile, 1, false), all = error_sum(&coder, tile, 1, true);
            cr_expect(few <= worse * all + 1, "k %u, length %u, all %d: error %g, with all branches %g", some[i][0],
                      some[i][1], constants[c], few, all);
        }
        close_coder(&coder);
    }
}

/* A tile of normal weights, `run` of them far out. */
static void fill_far_out(const struct coder *coder, unsigned run, double deviation, int16_t *tile)
{
    uint64_t state = run;
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
        const double far = (1 + 2.5 * uniform(&state)) * (uniform(&state) < 0.5 ? 1 : -1);
        const double value = deviation * normal(&state);
        tile[t] = quantised(t >= 100 && t < 100 + run ? far : value, coder->scale);
    }
}

/* Where several weights far out stand together, paths differ by more than a byte holds: such tiles are tried again,
 * with costs less exact, and lose hardly more than others; few of them are left to wide arithmetic, which for k = 2
 * would give other codes. */
TIER_TEST(window_encode, weights_far_out)
{
    static const unsigned some[][2] = {{1, 10}, {1, 12}, {2, 10}, {2, 12}};
    enum { RUNS = 16 };
    int16_t tile[HC_TILE_WEIGHTS];
    uint8_t codes[64], best[64];
    for (size_t i = 0; i < 2 * COUNT(some); i++) {
        struct coder coder = open_coder(kernels, some[i / 2][0], some[i / 2][1]);
        double few = 0, all = 0;
        unsigned same = 0;
        for (unsigned run = 1; run <= RUNS; run++) {
            fill_far_out(&coder, run, i % 2 ? 1 : 0.5, tile);
            coder.trellis.all = false;
            encode(&coder, tile, NULL, 1, codes);
            coder.trellis.all = true;
            encode(&coder, tile, NULL, 1, best);
            const double error = error_of(&coder, codes, tile, NULL), least = error_of(&coder, best, tile, NULL);
            cr_expect(error <= 1.2 * least, "k %u, length %u, %u far out: %.3f of the error", some[i / 2][0],
                      some[i / 2][1], run, error / least);
            few += error;
            all += least;
            same += memcmp(codes, best, 32 * some[i / 2][0]) == 0;
        }
        cr_expect(few <= 1.04 * all, "k %u, length %u: %.3f of the error", some[i / 2][0], some[i / 2][1], few / all);
        cr_expect(some[i / 2][0] == 1 || same <= RUNS / 2, "k %u, length %u: %u of the tiles", some[i / 2][0],
                  some[i / 2][1], same);
        close_coder(&coder);
    }
}

/* Where weights as large as they can be stand together, all metrics grow: they must not meet at the largest one before
 * the least is subtracted. */
TIER_TEST(window_encode, largest_weights)
{
    static const unsigned some[][2] = {{3, 12}, {4, 10}, {4, 12}, {5, 12}};
    enum { TILES = 60 };
    int16_t tile[HC_TILE_WEIGHTS];
    for (size_t i = 0; i < COUNT(some); i++) {
        struct coder coder = open_coder(kernels, some[i][0], some[i][1]);
        for (uint64_t seed = 1; seed <= TILES; seed++) {
            const unsigned end = 96 + 20 + (unsigned)seed % 5 * 4;
            uint64_t state = seed;
            for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
                tile[t] = t >= 96 && t < end ? (uniform(&state) < 0.5 ? 32767 : -32767)
                                             : quantised(normal(&state), coder.scale);
            double few = error_sum(&coder, tile, 1, false), all = error_sum(&coder, tile, 1, true);
            cr_expect(few <= 1.15 * all, "k %u, length %u, seed %u: %.3f of the error", some[i][0], some[i][1],
                      (unsigned)seed, few / all);
        }
        close_coder(&coder);
    }
}

/* Importance moves the error to where it counts less. */
TIER_TEST(window_encode, importance)
{
    enum { TILES = 8 };
    struct coder coder = open_coder(kernels, 3, 10);
    double values[TILES * HC_TILE_WEIGHTS], plain = 0, weighted = 0;
    int16_t weights[TILES * HC_TILE_WEIGHTS], importance[HC_TILE_WEIGHTS];
    uint8_t codes[TILES * 96];
    fill_normal(4, values, COUNT(values));
    fill_importance(4, importance);
    for (size_t i = 0; i < COUNT(values); i++)
        weights[i] = quantised(values[i], coder.scale);
    encode(&coder, weights, NULL, TILES, codes);
    for (size_t t = 0; t < TILES; t++)
        plain += error_of(&coder, codes + 96 * t, weights + t * HC_TILE_WEIGHTS, importance);
    encode(&coder, weights, importance, TILES, codes);
    for (size_t t = 0; t < TILES; t++)
        weighted += error_of(&coder, codes + 96 * t, weights + t * HC_TILE_WEIGHTS, importance);
    cr_assert(weighted < 0.8 * plain, "%g is not much less than %g", weighted, plain);
    close_coder(&coder);
}

/* ---- Signal to noise ------------------------------------------------------------------------ */

/* Decibels of the values against what the table says that their codes mean. */
static double decibels(const struct coder *coder, const double *values, size_t tiles)
{
    int16_t weights[MOST_TILES * HC_TILE_WEIGHTS];
    uint8_t codes[MOST_TILES * 256];
    double signal = 0, noise = 0;
    for (size_t first = 0; first < tiles; first += MOST_TILES, values += COUNT(weights)) {
        for (size_t i = 0; i < COUNT(weights); i++)
            weights[i] = quantised(values[i], coder->scale);
        encode(coder, weights, NULL, MOST_TILES, codes);
        for (unsigned i = 0; i < COUNT(weights); i++) {
            const uint8_t *tile = codes + i / HC_TILE_WEIGHTS * 32 * coder->trellis.k;
            uint32_t theta = hc_window_theta(tile, coder->trellis.k, coder->trellis.length, i % HC_TILE_WEIGHTS);
            float value;
            coder->kernels->convert.f16_to_f32(&coder->table[theta], 1, &value);
            signal += values[i] * values[i];
            noise += (values[i] - (double)value) * (values[i] - (double)value);
        }
    }
    return 10 * log10(signal / noise);
}

/* 2^20 weights from a fixed seed; all tiers give the same codes, so the best one speaks for all. */
Test(window_encode, signal_to_noise)
{
    static const struct {
        unsigned k;
        double least;
    } bars[] = {{4, 23.33}, {3, 17.42}, {2, 11.52}};
    enum { TILES = 4096 };
    struct hc_kernels kernels;
    if (SANITIZED)
        cr_skip_test("not run: it takes long with sanitizers, and other tests do the same steps");
    if (hc_kernels_init(&kernels, HC_TIER_BEST) == HC_TIER_C)
        cr_skip_test("not run: plain C alone would take minutes");
    double *values = malloc(TILES * HC_TILE_WEIGHTS * sizeof *values);
    cr_assert_not_null(values);
    fill_normal(1, values, TILES * HC_TILE_WEIGHTS);
    for (size_t i = 0; i < COUNT(bars); i++) {
        struct coder coder = open_coder(&kernels, bars[i].k, 12);
        double db = decibels(&coder, values, TILES);
        cr_expect(db >= bars[i].least, "k %u: %.3f dB, less than %.2f", bars[i].k, db, bars[i].least);
        close_coder(&coder);
    }
    free(values);
}
