/* window_decode against the text of kernels/common/window.h, read bit by bit; fast paths for every code there is. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tiers.h"

enum { MAX_CODES = 1 << HC_WINDOW_MAX_LENGTH };

/* ---- What the text says ------------------------------------------------------------------------------------- */

static unsigned theta_of(const uint8_t *tile, unsigned k, unsigned length, unsigned t)
{
    unsigned theta = 0;
    for (unsigned i = 0; i < length; i++) {
        unsigned bit = (t * k + i) % (256 * k);
        theta |= (tile[bit / 8] >> bit % 8 & 1u) << i;
    }
    return theta;
}

static long double value_of(const struct hc_window_code *code, unsigned theta)
{
    long u = (long)((unsigned long)theta * code->multiplier % 65536);
    u = u >= 32768 ? u - 65536 : u;
    long double x = ((long double)u + ldexpl(1, 15 - code->length)) / 32768;
    return x * ((long double)code->a + (long double)code->b * powl(x, 4) + (long double)code->c * powl(x, 64));
}

/* Element i of a thread's part of the A operand of mma.m16n8k16, 16-bit types. */
static void place_of(unsigned position, unsigned *row, unsigned *column)
{
    unsigned thread = position / 8, i = position % 8;
    bool first = i < 2 || (i >= 4 && i < 6);
    *row = thread / 4 + (first ? 0 : 8);
    *column = thread % 4 * 2 + i % 2 + (i < 4 ? 0 : 8);
}

static double from_half(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    double magnitude = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static double from_bf16(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* ---- Tools ---------------------------------------------------------------------------------------------------- */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void fill(uint8_t *bytes, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)next(&seed);
}

static void each_code(void (*visit)(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder),
                      const struct hc_window_decode_ops *ops)
{
    static uint16_t table[MAX_CODES];
    unsigned codes = 0;
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            const struct hc_window_decoder decoder = {hc_window_code_find(k, length), table};
            if (decoder.code == NULL)
                continue;
            hc_window_table(decoder.code, table);
            visit(ops, &decoder);
            codes++;
        }
    cr_assert(codes == 7 * 9);
}

/* What all four make of one tile, row by row. */
struct decoded {
    float exact[HC_TILE_WEIGHTS], f32[HC_TILE_WEIGHTS];
    uint16_t f16[HC_TILE_WEIGHTS], bf16[HC_TILE_WEIGHTS];
};

static void decode(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder, const uint8_t *tile,
                   struct decoded *out)
{
    ops->exact(decoder, tile, 1, out->exact, HC_TILE);
    ops->f32(decoder, tile, 1, out->f32, HC_TILE);
    ops->f16(decoder, tile, 1, out->f16, HC_TILE);
    ops->bf16(decoder, tile, 1, out->bf16, HC_TILE);
}

static void check_place(const struct hc_window_decoder *decoder, const struct decoded *decoded, unsigned t,
                        unsigned theta)
{
    unsigned row, column, k = decoder->code->k, length = decoder->code->length;
    place_of(t, &row, &column);
    unsigned at = row * HC_TILE + column;
    double exact = from_half(decoder->table[theta]);
    cr_assert((double)decoded->exact[at] == exact, "k %u L %u code %u at %u: %a, not %a", k, length, theta, t,
              (double)decoded->exact[at], exact);
    cr_assert(fabs((double)decoded->f32[at] - exact) <= HC_WINDOW_DECODE_BOUND, "f32: k %u L %u code %u: %g, not %g", k,
              length, theta, (double)decoded->f32[at], exact);
    cr_assert(fabs(from_half(decoded->f16[at]) - exact) <= HC_WINDOW_DECODE_BOUND, "f16: k %u L %u code %u: %g, not %g",
              k, length, theta, from_half(decoded->f16[at]), exact);
    cr_assert(fabs(from_bf16(decoded->bf16[at]) - exact) <= HC_WINDOW_DECODE_BOUND + fabs(exact) / 256,
              "bf16: k %u L %u code %u: %g, not %g", k, length, theta, from_bf16(decoded->bf16[at]), exact);
}

/* ---- Tests ---------------------------------------------------------------------------------------------------- */

/* The table holds the half next to g, but for the double rounding: by way of float32. */
static void check_table(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder)
{
    (void)ops;
    unsigned step = decoder->code->length > 12 ? 17 : 1; /* a sample of the large ones */
    for (unsigned theta = 0; theta < 1u << decoder->code->length; theta += step) {
        long double value = value_of(decoder->code, theta);
        double half = from_half(decoder->table[theta]), ulp = ldexp(1, (int)fmax(-14, logb(half)) - 10);
        double error = (double)fabsl(half - value);
        cr_assert(error <= 0.5001 * ulp, "k %u L %u code %u: %a", decoder->code->k, decoder->code->length, theta, half);
    }
}

Test(window_decode, table)
{
    each_code(check_table, NULL);
}

/* The order of a tile is a permutation, that of the operand. */
Test(window_decode, order_of_a_tile)
{
    bool seen[HC_TILE_WEIGHTS] = {false};
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
        unsigned row, column;
        place_of(t, &row, &column);
        cr_assert(hc_window_row(t) == row && hc_window_column(t) == column, "position %u", t);
        cr_assert(!seen[row * HC_TILE + column]);
        seen[row * HC_TILE + column] = true;
    }
}

/* Every place of random tiles; the windows at the end go on at the beginning. */
static void check_tiles(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder)
{
    enum { TILES = 4 };
    for (unsigned i = 0; i < TILES; i++) {
        uint8_t tile[HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K];
        struct decoded decoded;
        fill(tile, sizeof tile, i + 1);
        decode(ops, decoder, tile, &decoded);
        for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
            check_place(decoder, &decoded, t, theta_of(tile, decoder->code->k, decoder->code->length, t));
    }
}

TIER_TEST(window_decode, random_tiles)
{
    each_code(check_tiles, &kernels->window_decode);
}

/* Writes the code into the string at weight t; windows so placed do not overlap. */
static void put_code(uint8_t *tile, unsigned k, unsigned length, unsigned t, unsigned theta)
{
    for (unsigned i = 0; i < length; i++) {
        unsigned bit = (t * k + i) % (HC_TILE_WEIGHTS * k);
        tile[bit / 8] = (uint8_t)((tile[bit / 8] & ~(1u << bit % 8)) | (theta >> i & 1u) << bit % 8);
    }
}

/* All 2^L codes, several to a tile, at changing places. */
static void check_codes(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder)
{
    unsigned k = decoder->code->k, length = decoder->code->length, apart = (length + k - 1) / k;
    unsigned per_tile = HC_TILE_WEIGHTS / apart;
    for (unsigned theta = 0; theta < 1u << length; theta += per_tile) {
        uint8_t tile[HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K] = {0};
        struct decoded decoded;
        for (unsigned i = 0; i < per_tile; i++)
            put_code(tile, k, length, (i * apart + theta / per_tile) % HC_TILE_WEIGHTS, (theta + i) % (1u << length));
        decode(ops, decoder, tile, &decoded);
        for (unsigned i = 0; i < per_tile; i++)
            check_place(decoder, &decoded, (i * apart + theta / per_tile) % HC_TILE_WEIGHTS,
                        (theta + i) % (1u << length));
    }
}

TIER_TEST(window_decode, every_code)
{
    each_code(check_codes, &kernels->window_decode);
}

/* What a code means does not depend on where it stands. */
static void check_places_alike(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder)
{
    static float values[HC_TILE_WEIGHTS][2];
    uint8_t tile[HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K];
    unsigned k = decoder->code->k, length = decoder->code->length, theta = 0x9c5b % (1u << length);
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
        struct decoded decoded;
        unsigned row, column;
        fill(tile, sizeof tile, t + 1);
        put_code(tile, k, length, t, theta);
        decode(ops, decoder, tile, &decoded);
        place_of(t, &row, &column);
        values[t][0] = decoded.f32[row * HC_TILE + column];
        values[t][1] = (float)from_half(decoded.f16[row * HC_TILE + column]);
        cr_assert(memcmp(values[t], values[0], sizeof values[0]) == 0, "k %u L %u: place %u", k, length, t);
    }
}

TIER_TEST(window_decode, places_alike)
{
    each_code(check_places_alike, &kernels->window_decode);
}

/* Rows of tiles with a wide stride: as tile by tile, and nothing beside them is written. */
static void check_rows(const struct hc_window_decode_ops *ops, const struct hc_window_decoder *decoder)
{
    enum { TILES = 3, WIDTH = TILES * HC_TILE, STRIDE = WIDTH + 5 };
    size_t bytes = HC_TILE_WEIGHTS / 8 * decoder->code->k;
    uint8_t codes[TILES * HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K + 1];
    static uint16_t out[HC_TILE * STRIDE + 1];
    fill(codes, sizeof codes, 7);
    for (size_t tiles = 0; tiles <= TILES; tiles++) {
        struct decoded one;
        memset(out, 0xff, sizeof out); /* not a number */
        ops->f16(decoder, codes + 1, tiles, out + 1, STRIDE);
        for (size_t row = 0; row < HC_TILE; row++)
            for (size_t column = 16 * tiles; column < STRIDE; column++)
                cr_assert(out[1 + row * STRIDE + column] == 0xffff, "%zu tiles wrote at %zu, %zu", tiles, row, column);
        for (size_t i = 0; i < tiles; i++) {
            decode(ops, decoder, codes + 1 + i * bytes, &one);
            for (size_t row = 0; row < HC_TILE; row++)
                cr_assert(memcmp(out + 1 + row * STRIDE + i * HC_TILE, one.f16 + row * HC_TILE, 2 * HC_TILE) == 0);
        }
    }
}

TIER_TEST(window_decode, rows_of_tiles)
{
    each_code(check_rows, &kernels->window_decode);
}

/* A string made by hand: k = 4, all zeros but byte 127 = 0x80, the last bit. At L = 12 it is in the windows of the last
 * three weights, as their highest bit where the window ends with it: weight 253 begins at bit 1012 and ends at 1023. */
TIER_TEST(window_decode, by_hand)
{
    static uint16_t table[MAX_CODES];
    struct hc_window_decoder decoder = {hc_window_code_find(4, 12), table};
    uint8_t tile[128] = {0};
    float out[HC_TILE_WEIGHTS];
    hc_window_table(decoder.code, table);
    tile[127] = 0x80;
    kernels->window_decode.exact(&decoder, tile, 1, out, HC_TILE);
    /* Position 253 is element 5 of thread 31: row 7, column 15; 254 and 255 are elements 6 and 7, in row 15. */
    cr_assert((double)out[7 * 16 + 15] == from_half(table[0x800]));
    cr_assert((double)out[15 * 16 + 14] == from_half(table[0x080]));
    cr_assert((double)out[15 * 16 + 15] == from_half(table[0x008]));
    cr_assert((double)out[7 * 16 + 14] == from_half(table[0]));
    tile[127] = 0;
    tile[0] = 0x01; /* the first bit: code 1 of weight 0, and, around the seam, of the two weights before it */
    kernels->window_decode.exact(&decoder, tile, 1, out, HC_TILE);
    cr_assert((double)out[0] == from_half(table[0x001]));
    cr_assert((double)out[15 * 16 + 15] == from_half(table[0x010]));
    cr_assert((double)out[15 * 16 + 14] == from_half(table[0x100]));
    cr_assert((double)out[7 * 16 + 15] == from_half(table[0]));
}
