/* The small operations of a network against their definitions in double precision, and what must be exact. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/exponential.h"
#include "tiers.h"

/* Unit roundoff of float32: a rounded operation is wrong by at most so much of its result. */
static const double ROUND = 0x1p-24;

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed;
}

/* -1 .. 1 */
static void fill(float *data, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        data[i] = (float)((double)(next(&seed) >> 8) * 0x1p-23 - 1);
}

/* ---- exp ------------------------------------------------------------------------------------------------------- */

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Units in the last place of the exact value. */
static double ulps(double exact, double got)
{
    int exponent;
    frexp(exact, &exponent);
    return fabs(got - exact) / ldexp(1, exponent - FLT_MANT_DIG);
}

/* Every 97th number of either sign. */
Test(exponential, bound)
{
    for (uint32_t bits = 0; bits <= 0x42b80000; bits += 97)
        for (uint32_t sign = 0; sign < 2; sign++) {
            float x = from_bits(bits | sign << 31);
            double exact = exp((double)x), got = (double)hc_exp(x);
            if (x > HC_EXP_MOST)
                cr_assert(got > FLT_MAX, "%a", (double)x);
            else if (x < HC_EXP_LEAST)
                cr_assert(got == 0, "%a", (double)x);
            else
                cr_assert(ulps(exact, got) <= 0.9, "%a: %a, not %a", (double)x, got, exact);
        }
}

Test(exponential, edges)
{
    cr_assert(hc_exp(0.0f) == 1.0f && hc_exp(-0.0f) == 1.0f);
    cr_assert(hc_exp(-INFINITY) == 0.0f && isinf(hc_exp(INFINITY)) && isnan(hc_exp(NAN)));
    cr_assert(isfinite(hc_exp(HC_EXP_MOST)) && isinf(hc_exp(nextafterf(HC_EXP_MOST, 100))));
    cr_assert(hc_exp(HC_EXP_LEAST) >= FLT_MIN && hc_exp(nextafterf(HC_EXP_LEAST, -100)) == 0.0f);
    cr_assert(hc_exp(HC_EXP_MOST) > 3.4e38f && hc_exp(HC_EXP_LEAST) < 1.2e-38f);
}

/* ---- dense_product --------------------------------------------------------------------------------------------- */

enum { ROWS = 21, POSITIONS = 7, COLUMNS = 100, GAP = 3 };

/* Rows, positions and sums apart from each other; what lies between them stays. */
TIER_TEST(dense_product, definition)
{
    float rows[ROWS * (COLUMNS + GAP)], x[POSITIONS * (COLUMNS + 1)], out[POSITIONS * (ROWS + GAP)];
    fill(rows, sizeof rows / sizeof *rows, 1);
    fill(x, sizeof x / sizeof *x, 2);
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        out[i] = 77;
    kernels->dense_product.multiply(
        &(struct hc_dense_product){rows, ROWS, COLUMNS + GAP, x, POSITIONS, COLUMNS + 1, COLUMNS, out, ROWS + GAP});
    for (size_t i = 0; i < POSITIONS; i++)
        for (size_t r = 0; r < ROWS + GAP; r++) {
            double sum = 0, size = 0, got = (double)out[i * (ROWS + GAP) + r];
            for (size_t j = 0; r < ROWS && j < COLUMNS; j++) {
                double product = (double)rows[r * (COLUMNS + GAP) + j] * (double)x[i * (COLUMNS + 1) + j];
                sum += product;
                size += fabs(product);
            }
            cr_assert(r < ROWS ? fabs(got - sum) <= 12 * ROUND * size : got == 77, "(%zu, %zu)", i, r);
        }
}

/* The order of sums: in lane 0 2^24 + 1 rounds to even, 2^24; its 1 is lost, those of other lanes are added to each
 * other first. One after the other all of them would be lost; in pairs, none. */
TIER_TEST(dense_product, order_by_hand)
{
    float ones[32], x[32], out;
    for (int j = 0; j < 32; j++)
        ones[j] = x[j] = 1;
    x[0] = 0x1p24f;
    kernels->dense_product.multiply(&(struct hc_dense_product){ones, 1, 32, x, 1, 32, 32, &out, 1});
    cr_assert(out == 0x1p24f + 30, "%a", (double)out);
}

/* A fused product is not rounded: (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24. */
TIER_TEST(dense_product, products_are_fused)
{
    float a[17] = {0}, b[17] = {0}, out;
    a[0] = 1 + 0x1p-11f;
    b[0] = -1;
    a[16] = b[16] = 1 + 0x1p-12f;
    kernels->dense_product.multiply(&(struct hc_dense_product){a, 1, 17, b, 1, 17, 17, &out, 1});
    cr_assert(out == 0x1p-24f, "%a", (double)out);
}

TIER_TEST(dense_product, nothing)
{
    float a[64] = {1}, out[16] = {1};
    kernels->dense_product.multiply(&(struct hc_dense_product){a, 16, 0, a, 1, 0, 0, out, 16});
    for (int r = 0; r < 16; r++)
        cr_assert(out[r] == 0.0f);
    out[0] = 77;
    kernels->dense_product.multiply(&(struct hc_dense_product){a, 0, 4, a, 4, 4, 4, out, 0});
    kernels->dense_product.multiply(&(struct hc_dense_product){a, 4, 4, a, 0, 4, 4, out, 4});
    cr_assert(out[0] == 77.0f);
}

/* ---- rms_norm, rotary, silu ------------------------------------------------------------------------------------ */

TIER_TEST(rms_norm, definition)
{
    enum { WIDTH = 77 };
    float x[2 * WIDTH], gain[WIDTH], out[2 * WIDTH];
    fill(x, 2 * WIDTH, 3);
    fill(gain, WIDTH, 4);
    kernels->rms_norm.rows(x, gain, 2, WIDTH, 1e-2f, out);
    for (size_t r = 0; r < 2; r++) {
        double sum = 0;
        for (size_t j = 0; j < WIDTH; j++)
            sum += (double)x[r * WIDTH + j] * (double)x[r * WIDTH + j];
        for (size_t j = 0; j < WIDTH; j++) {
            double exact = (double)x[r * WIDTH + j] / sqrt(sum / WIDTH + 1e-2) * (double)gain[j];
            cr_assert(fabs((double)out[r * WIDTH + j] - exact) <= 12 * ROUND * fabs(exact), "%zu", j);
        }
    }
    kernels->rms_norm.rows(x, gain, 2, WIDTH, 1e-2f, x);
    cr_assert(memcmp(x, out, sizeof x) == 0);
}

/* 3 and 4 have the mean square 25/2; sqrt(25/2 + 7/2) = 4. Zeros stay zeros. */
TIER_TEST(rms_norm, by_hand)
{
    const float x[] = {3, -4, 0, 0}, gain[] = {2, 10}, expected[] = {1.5, -10, 0, 0};
    float out[4];
    kernels->rms_norm.rows(x, gain, 2, 2, 3.5f, out);
    cr_assert(memcmp(out, expected, sizeof out) == 0);
}

TIER_TEST(rotary, definition)
{
    enum { HEADS = 3, WIDTH = 54, HALF = WIDTH / 2 };
    float x[HEADS * WIDTH], got[HEADS * WIDTH + 1], cosines[HALF], sines[HALF];
    fill(x, HEADS * WIDTH, 5);
    memcpy(got, x, sizeof x);
    got[HEADS * WIDTH] = 77;
    for (size_t d = 0; d < HALF; d++) {
        cosines[d] = cosf((float)d);
        sines[d] = sinf((float)d);
    }
    kernels->rotary.heads(got, HEADS, WIDTH, cosines, sines);
    for (size_t i = 0; i < HEADS * WIDTH; i++) {
        size_t d = i % HALF;
        double other = (double)x[i % WIDTH < HALF ? i + HALF : i - HALF];
        double exact = (double)x[i] * cos((double)d) + (i % WIDTH < HALF ? -1 : 1) * other * sin((double)d);
        cr_assert(fabs((double)got[i] - exact) <= 8 * ROUND, "%zu", i);
    }
    cr_assert(got[HEADS * WIDTH] == 77.0f);
}

/* A quarter turn. */
TIER_TEST(rotary, by_hand)
{
    float x[] = {1, 2, 3, 4}, cosines[] = {0, 1}, sines[] = {1, 0};
    const float expected[] = {-3, 2, 1, 4};
    kernels->rotary.heads(x, 1, 4, cosines, sines);
    cr_assert(memcmp(x, expected, sizeof x) == 0);
}

TIER_TEST(silu, definition)
{
    float gate[1001], got[1001], up[1001];
    fill(up, 1001, 6);
    for (int i = 0; i < 1001; i++)
        got[i] = gate[i] = (float)(i - 500) * 0.17f;
    kernels->silu.gate(got, up, 1001);
    for (int i = 0; i < 1001; i++) {
        double x = (double)gate[i], exact = x / (1 + exp(-x)) * (double)up[i];
        cr_assert(fabs((double)got[i] - exact) <= 6 * ROUND * fabs(exact), "%g: %a, not %a", x, (double)got[i], exact);
    }
}

TIER_TEST(silu, edges)
{
    float gate[20] = {0.0f, -0.0f, 1000, -1000, INFINITY, NAN}, up[20];
    for (int i = 0; i < 20; i++)
        up[i] = 2;
    kernels->silu.gate(gate, up, 20);
    cr_assert(gate[0] == 0.0f && gate[1] == 0.0f && gate[2] == 2000.0f && gate[3] == 0.0f);
    cr_assert(isinf(gate[4]) && isnan(gate[5]));
}

/* ---- softmax --------------------------------------------------------------------------------------------------- */

TIER_TEST(softmax, largest)
{
    float x[50];
    for (size_t n = 1; n <= 50; n++)
        for (size_t at = 0; at < n; at++) {
            for (size_t j = 0; j < 50; j++)
                x[j] = j < n ? -3 - (float)(j % 5) : 9; /* nothing beyond n counts */
            x[at] = x[n - 1] = -2;
            x[at / 2] = at / 2 < at ? NAN : x[at / 2];
            cr_assert(kernels->softmax.largest(x, n) == at, "%zu of %zu", at, n);
        }
}

TIER_TEST(softmax, largest_of_odd_numbers)
{
    float x[40];
    for (size_t j = 0; j < 40; j++)
        x[j] = NAN;
    cr_assert(kernels->softmax.largest(x, 40) == 0);
    x[33] = -INFINITY;
    cr_assert(kernels->softmax.largest(x, 40) == 33);
    x[5] = -0.0f;
    x[4] = -1;
    x[20] = 0.0f;
    cr_assert(kernels->softmax.largest(x, 40) == 5);
}

TIER_TEST(softmax, exponentials)
{
    float x[301], got[301];
    fill(x, 301, 7);
    double exact = 0;
    for (size_t n = 0; n <= 301; n += 43) {
        memcpy(got, x, sizeof x);
        double sum = (double)kernels->softmax.exponentials(got, n, 1.5f);
        exact = 0;
        for (size_t j = 0; j < 301; j++) {
            double e = exp((double)(x[j] - 1.5f));
            exact += j < n ? e : 0;
            cr_assert(j < n ? ulps(e, (double)got[j]) <= 0.9 : got[j] == x[j], "%zu of %zu", j, n);
        }
        cr_assert(fabs(sum - exact) <= (double)(n / 16 + 6) * ROUND * exact);
    }
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

enum { WIDTH = 80, CONTEXT = 150, QUERIES = 11 };

/* A cache of one type, and the numbers that it holds. */
struct filled {
    float keys[CONTEXT * WIDTH], values[CONTEXT * WIDTH];
    uint8_t key_cache[CONTEXT * WIDTH * 4], value_cache[CONTEXT * WIDTH * 4];
    float key_scales[CONTEXT], value_scales[CONTEXT], scores[QUERIES * CONTEXT];
};

static size_t size_of(hc_type type)
{
    return type == HC_TYPE_F32 ? 4 : type == HC_TYPE_F16 ? 2 : 1;
}

/* What the cache holds of x, and replaces x. */
static void hold(const struct hc_kernels *kernels, hc_type type, float *x, size_t width, void *cache, float *scale)
{
    kernels->attention.store(type, x, width, cache, scale);
    for (size_t d = 0; d < width; d++)
        if (type == HC_TYPE_I8)
            x[d] = (float)((const int8_t *)cache)[d] * *scale;
    if (type == HC_TYPE_F16)
        kernels->convert.f16_to_f32(cache, width, x);
}

static void fill_cache(const struct hc_kernels *kernels, hc_type type, size_t width, struct filled *filled)
{
    fill(filled->keys, CONTEXT * width, 8);
    fill(filled->values, CONTEXT * width, 9);
    for (size_t t = 0; t < CONTEXT; t++) {
        size_t at = t * width;
        hold(kernels, type, filled->keys + at, width, filled->key_cache + at * size_of(type), &filled->key_scales[t]);
        hold(kernels, type, filled->values + at, width, filled->value_cache + at * size_of(type),
             &filled->value_scales[t]);
    }
}

/* Softmax attention in double precision. */
static void exact_attention(const struct filled *filled, size_t width, size_t from, size_t to, double scale,
                            const float *query, double *out)
{
    double scores[CONTEXT], most = -INFINITY, sum = 0;
    for (size_t t = from; t < to; t++) {
        scores[t] = 0;
        for (size_t d = 0; d < width; d++)
            scores[t] += (double)query[d] * (double)filled->keys[t * width + d] * scale;
        most = fmax(most, scores[t]);
    }
    memset(out, 0, width * sizeof *out);
    for (size_t t = from; t < to; t++) {
        double p = exp(scores[t] - most);
        sum += p;
        for (size_t d = 0; d < width; d++)
            out[d] += p * (double)filled->values[t * width + d];
    }
    for (size_t d = 0; d < width; d++)
        out[d] /= sum;
}

static struct hc_attention_head head_of(struct filled *filled, hc_type type, size_t width, size_t from, size_t to)
{
    return (struct hc_attention_head){.type = type,
                                      .width = width,
                                      .keys = filled->key_cache,
                                      .values = filled->value_cache,
                                      .key_scales = type == HC_TYPE_I8 ? filled->key_scales : NULL,
                                      .value_scales = type == HC_TYPE_I8 ? filled->value_scales : NULL,
                                      .from = from,
                                      .to = to,
                                      .scale = 0.5f,
                                      .scores = filled->scores};
}

/* Every type of cache, from one position to all; more queries than go together in any tier. */
TIER_TEST(attention, definition)
{
    static struct filled filled;
    static const hc_type types[] = {HC_TYPE_F32, HC_TYPE_F16, HC_TYPE_I8};
    static const size_t widths[] = {2, 6, 64, WIDTH}, ranges[][2] = {{0, 1}, {0, 5}, {7, 23}, {1, 18}, {0, CONTEXT}};
    float query[QUERIES * WIDTH], got[QUERIES * WIDTH];
    double exact[WIDTH];
    fill(query, QUERIES * WIDTH, 10);
    for (size_t i = 0; i < 3 * 4 * 5; i++) {
        size_t width = widths[i / 5 % 4], from = ranges[i % 5][0], to = ranges[i % 5][1];
        fill_cache(kernels, types[i / 20], width, &filled);
        struct hc_attention_head head = head_of(&filled, types[i / 20], width, from, to);
        kernels->attention.attend(&head, query, QUERIES, got);
        for (size_t q = 0; q < QUERIES; q++) {
            exact_attention(&filled, width, from, to, (double)head.scale, query + q * width, exact);
            /* Scores up to 40 are wrong by so much of themselves; so are, relatively, their exponentials. */
            for (size_t d = 0; d < width; d++)
                cr_assert(fabs((double)got[q * width + d] - exact[d]) <= 1e-5, "case %zu: (%zu, %zu)", i, q, d);
        }
    }
}

/* One position: its value, whatever the score. Equal scores: the mean. */
TIER_TEST(attention, one_and_equal)
{
    static struct filled filled;
    float query[WIDTH], out[WIDTH];
    fill(query, WIDTH, 11);
    fill_cache(kernels, HC_TYPE_F32, WIDTH, &filled);
    memcpy(filled.key_cache, filled.keys, sizeof filled.keys);
    memcpy(filled.value_cache, filled.values, sizeof filled.values);
    struct hc_attention_head head = head_of(&filled, HC_TYPE_F32, WIDTH, 9, 10);
    head.scale = 1e30f;
    kernels->attention.attend(&head, query, 1, out);
    cr_assert(memcmp(out, filled.values + 9 * WIDTH, sizeof out) == 0);
    head.scale = 0;
    head.to = 9 + 64;
    kernels->attention.attend(&head, query, 1, out);
    for (size_t d = 0; d < WIDTH; d++) {
        double sum = 0;
        for (size_t t = 9; t < 9 + 64; t++)
            sum += (double)filled.values[t * WIDTH + d];
        cr_assert(fabs((double)out[d] - sum / 64) <= 64 * ROUND, "%zu", d);
    }
}

/* Scores up to 1e38 of both signs: the largest takes all, and nothing overflows. */
TIER_TEST(attention, huge_scores)
{
    static struct filled filled;
    float query[WIDTH], out[WIDTH];
    fill(query, WIDTH, 12);
    fill_cache(kernels, HC_TYPE_F16, WIDTH, &filled);
    struct hc_attention_head head = head_of(&filled, HC_TYPE_F16, WIDTH, 0, CONTEXT);
    head.scale = 1e37f;
    size_t best = 0;
    double most = -INFINITY;
    for (size_t t = 0; t < CONTEXT; t++) {
        double score = 0;
        for (size_t d = 0; d < WIDTH; d++)
            score += (double)query[d] * (double)filled.keys[t * WIDTH + d];
        best = score > most ? t : best;
        most = fmax(most, score);
    }
    kernels->attention.attend(&head, query, 1, out);
    cr_assert(memcmp(out, filled.values + best * WIDTH, sizeof out) == 0);
}

/* 127 steps of 2; ties go to even: 1 / 2 to 0, 3 / 2 and 5 / 2 to 2. */
TIER_TEST(attention, store_i8_by_hand)
{
    float x[20] = {254, -254, 1, -1, 3, -3, 5, -5, 7, 0, -0.0f, 253, 2, -2, 9, 100, 11, -13, 15, 17}, scale;
    const int8_t expected[20] = {127, -127, 0, 0, 2, -2, 2, -2, 4, 0, 0, 126, 1, -1, 4, 50, 6, -6, 8, 8};
    int8_t bytes[21];
    bytes[20] = 77;
    kernels->attention.store(HC_TYPE_I8, x, 20, bytes, &scale);
    cr_assert(scale == 2.0f);
    for (int d = 0; d < 20; d++)
        cr_assert(bytes[d] == expected[d], "%d: %d", d, bytes[d]);
    cr_assert(bytes[20] == 77);
}

static void check_odd(const struct hc_kernels *kernels, float odd, float expected_scale, int8_t expected)
{
    float x[18] = {0}, scale = 7;
    int8_t bytes[18];
    memset(bytes, 77, sizeof bytes);
    x[17] = odd;
    kernels->attention.store(HC_TYPE_I8, x, 18, bytes, &scale);
    cr_assert(isnan(expected_scale) ? isnan(scale) : scale == expected_scale, "%a: %a", (double)odd, (double)scale);
    for (int d = 0; d < 18; d++)
        cr_assert(bytes[d] == (d == 17 ? expected : 0), "%a: %d", (double)odd, d);
}

/* Zeros; a scale that rounds to zero; one so coarse that 190 units would not fit in a byte; what is no number. */
TIER_TEST(attention, store_i8_edges)
{
    check_odd(kernels, 0, 0, 0);
    check_odd(kernels, 0x1p-149f, 0, 0);
    check_odd(kernels, 190 * 0x1p-149f, 0x1p-149f, 127);
    check_odd(kernels, -190 * 0x1p-149f, 0x1p-149f, -127);
    check_odd(kernels, FLT_MAX, FLT_MAX / 127, 127);
    check_odd(kernels, NAN, NAN, 0);
    check_odd(kernels, -INFINITY, NAN, 0);
}
