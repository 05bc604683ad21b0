/* An *octet* is eight stream positions: columns 2t, 2t + 1, 2t + 8, 2t + 9, a *quarter*, of rows g and g + 8, where t
 * is the octet's number mod 4 and g its fourth. It takes k bytes, and 7 k + 16 bits hold its windows.
 *
 * One position: the values of a tile meet the activations in registers, quarters in 32 or 64 bits. More: a row of tiles
 * is decoded into a *strip*, in which a register holds 32 bits of each of the 16 rows, and multiplied from there, eight
 * positions at a time.
 *
 * Codes are read in order, and the processor runs ahead of that by itself: prefetching them costs more than it gains
 * (measured on Zen 4, distances of 2 to 32 KB). */
#include "window_product.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { GROUP_TILES = HC_PRODUCT_GROUP / HC_TILE };
enum { SIDE = 8 };    /* positions at a time */
enum { INSIDE = 12 }; /* the largest L for which 16 bits hold a window that begins at bit 4 */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* ---- Activations ---------------------------------------------------------------------------------------------- */

/* Of a position: 16 integers of 8 or 16 bits for every tile, quarter by quarter. Then, each from a multiple of 64 bytes
 * on, the scales of the groups and -255 times their sums, which narrow values need. */
struct activations {
    const uint8_t *columns;
    const float *scales;
    const int32_t *offsets;
};

static bool is_narrow(unsigned k)
{
    return k <= HC_PRODUCT_NARROW_K;
}

static size_t tile_activations(unsigned k)
{
    return HC_TILE * (is_narrow(k) ? sizeof(int8_t) : sizeof(int16_t));
}

static size_t group_count(size_t tile_columns)
{
    return (tile_columns + GROUP_TILES - 1) / GROUP_TILES;
}

static size_t scales_at(unsigned k, size_t tile_columns)
{
    return padded(tile_columns * tile_activations(k));
}

static size_t offsets_at(unsigned k, size_t tile_columns)
{
    return scales_at(k, tile_columns) + padded(group_count(tile_columns) * sizeof(float));
}

static size_t activation_bytes(unsigned k, size_t tile_columns)
{
    return offsets_at(k, tile_columns) + padded(group_count(tile_columns) * sizeof(int32_t));
}

static struct activations activations(const struct hc_window_product *product, size_t position)
{
    unsigned k = product->values->code.k;
    size_t tiles = product->tile_columns;
    const uint8_t *x = (const uint8_t *)product->x + position * activation_bytes(k, tiles);
    return (struct activations){x, (const float *)(x + scales_at(k, tiles)),
                                (const int32_t *)(x + offsets_at(k, tiles))};
}

static float largest(const float *x, size_t tiles)
{
    __m512 m = _mm512_setzero_ps();
    for (size_t i = 0; i < tiles; i++)
        m = _mm512_max_ps(m, _mm512_abs_ps(_mm512_loadu_ps(x + i * HC_TILE)));
    return _mm512_reduce_max_ps(m);
}

/* The columns of a tile, quarter by quarter. */
static __m512i column_order(void)
{
    uint32_t order[HC_TILE];
    for (unsigned i = 0; i < HC_TILE; i++)
        order[i] = i / 4 * 2 + i % 2 + i / 2 % 2 * 8;
    return _mm512_loadu_si512(order);
}

/* Returns the sum of the integers. */
static int32_t round_group(const float *x, size_t tiles, float factor, bool narrow, uint8_t *out)
{
    const __m512i order = column_order();
    const __m512 factors = _mm512_set1_ps(factor);
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < tiles; i++) {
        __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i * HC_TILE), factors));
        v = _mm512_permutexvar_epi32(order, v);
        sum = _mm512_add_epi32(sum, v);
        if (narrow)
            _mm_storeu_si128((__m128i *)(out + i * HC_TILE), _mm512_cvtepi32_epi8(v));
        else
            _mm256_storeu_si256((__m256i *)(out + i * 2 * HC_TILE), _mm512_cvtepi32_epi16(v));
    }
    return _mm512_reduce_add_epi32(sum);
}

static void activate(unsigned k, const float *x, size_t tile_columns, void *out)
{
    uint8_t *columns = out;
    float *scales = (float *)(columns + scales_at(k, tile_columns));
    int32_t *offsets = (int32_t *)(columns + offsets_at(k, tile_columns));
    float q = is_narrow(k) ? HC_PRODUCT_X8 : HC_PRODUCT_X12;
    for (size_t tile = 0; tile < tile_columns; tile += GROUP_TILES) {
        size_t tiles = least(tile_columns - tile, GROUP_TILES);
        float m = largest(x + tile * HC_TILE, tiles);
        bool zero = m < HC_PRODUCT_LEAST;
        int32_t sum = round_group(x + tile * HC_TILE, tiles, zero ? 0 : q / m, is_narrow(k),
                                  columns + tile * tile_activations(k));
        scales[tile / GROUP_TILES] = zero ? 0 : m / q;
        offsets[tile / GROUP_TILES] = -255 * sum;
    }
}

/* ---- Narrow values -------------------------------------------------------------------------------------------- */

struct four {
    __m512i v[4];
};

/* A tile is four registers of sixteen quarters, those of a row in 128 bits. k = 4: rows 0 .. 3, 8 .. 11, 4 .. 7, 12 ..
 * 15; else rows g, g + 1, g + 8, g + 9 for g = 0, 2, 4, 6. */
struct narrow {
    __m512i spread[4];     /* k < 4: bytes of eight octets, a lane of 64 bits each; k = 4: the tile turned by 1, 2, 3 */
    __m512i even, odd;     /* k < 4: multishift of the windows of even and odd positions */
    __m512i high;          /* high bytes of the places of even and odd positions, quarter by quarter */
    __m512i multiplier;    /* of windows */
    __m512i shifted;       /* of those that begin at bit 4 */
    __m512i first, second; /* (v + 255) / 2 for bytes -128 .. -1 */
};

/* k = 3: 96 bytes are two registers that overlap, and the first half needs the first alone. */
static void make_spread(struct narrow *c, unsigned k)
{
    unsigned bytes = HC_TILE_WEIGHTS / 8 * k, begin = k == 3 ? 32 : 0;
    for (unsigned r = 0; r < 4; r++) {
        uint8_t at[64];
        for (unsigned i = 0; i < 64; i++) {
            unsigned byte = (8 * r + i / 8) * k + i % 8;
            if (k == 4)
                at[i] = (uint8_t)(i + r);
            else if (k < 3 || r < 2)
                at[i] = (uint8_t)(byte % bytes);
            else
                at[i] = (uint8_t)(byte < bytes ? byte - begin : 64 + byte - bytes);
        }
        c->spread[r] = _mm512_loadu_si512(at);
    }
}

/* k = 4: windows stand in order already. */
static void make_windows(struct narrow *c, unsigned k)
{
    uint8_t even[64], odd[64], high[64];
    for (unsigned i = 0; i < 64; i++) {
        unsigned octet = i % 32 / 4, j = i / 32 * 2 + i % 2 + i / 2 % 2 * 4;
        even[i] = (uint8_t)(i % 8 / 2 * 2 * k + i % 2 * 8);
        odd[i] = (uint8_t)(even[i] + k);
        high[i] = (uint8_t)(k == 4 ? i % 2 * 64 + i / 2 * 2 + 1 : j % 2 * 64 + octet * 8 + j / 2 * 2 + 1);
    }
    c->even = _mm512_loadu_si512(even);
    c->odd = _mm512_loadu_si512(odd);
    c->high = _mm512_loadu_si512(high);
}

static struct narrow make_narrow(const struct hc_window_values *values)
{
    struct narrow c;
    make_spread(&c, values->code.k);
    make_windows(&c, values->code.k);
    c.multiplier = _mm512_set1_epi16((short)values->code.multiplier);
    c.shifted = _mm512_set1_epi16((short)(values->code.multiplier >> 4));
    c.first = _mm512_xor_si512(_mm512_loadu_si512(values->bytes + 128), _mm512_set1_epi8(INT8_MIN));
    c.second = _mm512_xor_si512(_mm512_loadu_si512(values->bytes + 192), _mm512_set1_epi8(INT8_MIN));
    return c;
}

INLINE __m512i high_bytes(const struct narrow *c, __m512i even, __m512i odd)
{
    return _mm512_permutex2var_epi8(even, c->high, odd);
}

/* Of eight octets, a lane each. */
INLINE __m512i octet_places(const struct narrow *c, __m512i octets)
{
    __m512i even = _mm512_multishift_epi64_epi8(c->even, octets), odd = _mm512_multishift_epi64_epi8(c->odd, octets);
    return high_bytes(c, _mm512_mullo_epi16(even, c->multiplier), _mm512_mullo_epi16(odd, c->multiplier));
}

/* k = 4. Every 16 bits begin with a window, and a window of up to 12 bits begins at bit 4: times A 2^(16-L), it is what
 * those bits are times A 2^(12-L). Longer ones need the `next` 16 bits. */
INLINE __m512i word_places(const struct narrow *c, __m512i words, __m512i next, const bool inside)
{
    __m512i even = _mm512_mullo_epi16(words, c->multiplier), odd;
    if (inside)
        odd = _mm512_mullo_epi16(_mm512_and_si512(words, _mm512_set1_epi16(-16)), c->shifted);
    else
        odd = _mm512_mullo_epi16(_mm512_or_si512(_mm512_srli_epi16(words, 4), _mm512_slli_epi16(next, 12)),
                                 c->multiplier);
    return high_bytes(c, even, odd);
}

/* High bytes of the places of a tile. `inside`: k = 4 and L <= 12. */
INLINE struct four narrow_places(const struct narrow *c, const uint8_t *codes, const unsigned k, const bool inside)
{
    __m512i a = k == 1 ? _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)codes)) : _mm512_loadu_si512(codes);
    if (k < 3)
        return (struct four){{octet_places(c, _mm512_permutexvar_epi8(c->spread[0], a)),
                              octet_places(c, _mm512_permutexvar_epi8(c->spread[1], a)),
                              octet_places(c, _mm512_permutexvar_epi8(c->spread[2], a)),
                              octet_places(c, _mm512_permutexvar_epi8(c->spread[3], a))}};
    __m512i b = _mm512_loadu_si512(codes + (k == 3 ? 32 : 64));
    if (k == 3)
        return (struct four){{octet_places(c, _mm512_permutexvar_epi8(c->spread[0], a)),
                              octet_places(c, _mm512_permutexvar_epi8(c->spread[1], a)),
                              octet_places(c, _mm512_permutex2var_epi8(b, c->spread[2], a)),
                              octet_places(c, _mm512_permutex2var_epi8(b, c->spread[3], a))}};
    return (struct four){{word_places(c, a, _mm512_loadu_si512(codes + 2), inside),
                          word_places(c, _mm512_loadu_si512(codes + 1), _mm512_loadu_si512(codes + 3), inside),
                          word_places(c, b, _mm512_permutex2var_epi8(b, c->spread[2], a), inside),
                          word_places(c, _mm512_permutex2var_epi8(b, c->spread[1], a),
                                      _mm512_permutex2var_epi8(b, c->spread[3], a), inside)}};
}

/* (v + 255) / 2 from the high bytes of places. A shuffle of ones gives zero for negative bytes; what is complemented in
 * all others, and in what the table says for them, makes it a table for negative ones. */
INLINE __m512i narrow_values(const struct narrow *c, __m512i place)
{
    __m512i positive = _mm512_shuffle_epi8(_mm512_set1_epi8(-1), place);
    place = _mm512_xor_si512(place, positive);
    return _mm512_xor_si512(_mm512_permutex2var_epi8(c->first, place, c->second), positive);
}

INLINE void add_narrow_tile(const struct narrow *c, const uint8_t *codes, const uint8_t *x, const unsigned k,
                            const bool inside, struct four *sum)
{
    const __m512i columns = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)x));
    struct four places = narrow_places(c, codes, k, inside);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        sum->v[i] = _mm512_dpbusd_epi32(sum->v[i], narrow_values(c, places.v[i]), columns);
}

/* Lane 4 i + j: sums of the 128 bits i of register j. */
INLINE __m512i lane_sums(struct four s)
{
    __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(s.v[0], s.v[1]), _mm512_unpackhi_epi32(s.v[0], s.v[1]));
    __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(s.v[2], s.v[3]), _mm512_unpackhi_epi32(s.v[2], s.v[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Where the rows stand then. */
static __m512i narrow_lanes(unsigned k)
{
    uint32_t lane[HC_TILE];
    for (unsigned r = 0; r < HC_TILE; r++) {
        unsigned g = r % 8, below = r / 8;
        lane[r] = k == 4 ? 4 * (g % 4) + g / 4 * 2 + below : 4 * (2 * below + g % 2) + g / 2;
    }
    return _mm512_loadu_si512(lane);
}

/* ---- Rows ----------------------------------------------------------------------------------------------------- */

/* A row of tiles. */
struct band {
    const struct hc_window_product *product;
    const uint8_t *codes;
    size_t first; /* row */
    __mmask16 rows;
    __m512 factors;
};

static struct band make_band(const struct hc_window_product *product, size_t first)
{
    size_t tile_bytes = HC_TILE_WEIGHTS / 8 * (size_t)product->values->code.k, left = product->rows - first;
    __mmask16 rows = left < HC_TILE ? (__mmask16)((1u << left) - 1) : 0xffff;
    __m512i halves = _mm512_maskz_loadu_epi16(rows, product->scales + first);
    __m512 scales = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    return (struct band){product, product->codes + first / HC_TILE * product->tile_columns * tile_bytes, first, rows,
                         _mm512_mul_ps(scales, _mm512_set1_ps(product->values->scale))};
}

/* lanes: where the rows stand in `sums`. */
INLINE void write_rows(const struct band *band, size_t position, __m512i lanes, __m512 sums)
{
    float *out = band->product->out + position * band->product->out_stride + band->first;
    _mm512_mask_storeu_ps(out, band->rows, _mm512_mul_ps(_mm512_permutexvar_ps(lanes, sums), band->factors));
}

/* Adds a group, of which `sum` has the products with v or, narrow, (v + 255) / 2. */
INLINE __m512 add_group(__m512 total, const struct activations *x, size_t group, __m512i sum, const bool narrow)
{
    if (narrow)
        sum = _mm512_add_epi32(_mm512_add_epi32(sum, sum), _mm512_set1_epi32(x->offsets[group]));
    return _mm512_fmadd_ps(_mm512_set1_ps(x->scales[group]), _mm512_cvtepi32_ps(sum), total);
}

INLINE void narrow_one(const struct hc_window_product *product, const unsigned k, const bool inside)
{
    const struct narrow c = make_narrow(product->values);
    const struct activations x = activations(product, 0);
    const size_t tile_bytes = HC_TILE_WEIGHTS / 8 * k;
    const __m512i lanes = narrow_lanes(k);
    for (size_t first = 0; first < product->rows; first += HC_TILE) {
        const struct band band = make_band(product, first);
        const uint8_t *codes = band.codes;
        __m512 total = _mm512_setzero_ps();
        for (size_t tile = 0; tile < product->tile_columns;) {
            size_t end = least(product->tile_columns, tile + GROUP_TILES), group = tile / GROUP_TILES;
            struct four sum;
            memset(&sum, 0, sizeof sum);
            for (; tile < end; tile++, codes += tile_bytes)
                add_narrow_tile(&c, codes, x.columns + tile * HC_TILE, k, inside, &sum);
            total = add_group(total, &x, group, lane_sums(sum), true);
        }
        write_rows(&band, 0, lanes, total);
    }
}

/* A tile of a strip: a quarter of the 16 rows in every register, in the order of lane_sums. */
INLINE void put_narrow_tile(const struct narrow *c, struct four places, uint8_t *out)
{
    __m512i v[4];
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        v[i] = narrow_values(c, places.v[i]);
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpacklo_epi32(v[2], v[3]);
    __m512i d = _mm512_unpackhi_epi32(v[0], v[1]), e = _mm512_unpackhi_epi32(v[2], v[3]);
    _mm512_store_si512(out, _mm512_unpacklo_epi64(a, b));
    _mm512_store_si512(out + 64, _mm512_unpackhi_epi64(a, b));
    _mm512_store_si512(out + 128, _mm512_unpacklo_epi64(d, e));
    _mm512_store_si512(out + 192, _mm512_unpackhi_epi64(d, e));
}

INLINE void narrow_strip(const struct hc_window_values *values, const uint8_t *codes, size_t tiles, const unsigned k,
                         const bool inside, uint8_t *out)
{
    const struct narrow c = make_narrow(values);
    for (size_t i = 0; i < tiles; i++, codes += HC_TILE_WEIGHTS / 8 * k)
        put_narrow_tile(&c, narrow_places(&c, codes, k, inside), out + i * HC_TILE_WEIGHTS);
}

/* ---- Wide values ---------------------------------------------------------------------------------------------- */

/* Which four windows of an octet make its lane. */
struct choice {
    size_t first;   /* byte of the octet that the lane begins with */
    __mmask64 left; /* of the last eight octets of a tile: its bytes from there on */
    __m512i last;   /* their layout; what follows is the tile's beginning */
    __m512i bits;   /* multishift */
};

struct wide {
    size_t bytes;   /* of eight octets: 8 k */
    __m512i spread; /* of eight octets, but the last of a tile */
    struct choice choices[2];
    __m512i multiplier, a, b, c, half_step;
};

static struct choice make_choice(unsigned k, const uint8_t windows[4])
{
    struct choice choice;
    uint8_t last[64], bits[64];
    unsigned first = windows[0] * k / 8, left = 8 * k - first;
    for (unsigned i = 0; i < 64; i++) {
        unsigned byte = i / 8 * k + i % 8;
        last[i] = (uint8_t)(byte < left ? byte : 64 + byte - left);
        bits[i] = (uint8_t)(windows[i % 8 / 2] * k - 8 * first + i % 2 * 8);
    }
    choice.first = first;
    choice.left = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
    choice.last = _mm512_loadu_si512(last);
    choice.bits = _mm512_loadu_si512(bits);
    return choice;
}

/* `windows`: of either register. */
static struct wide make_wide(const struct hc_window_values *values, const uint8_t windows[2][4])
{
    const int16_t *p = values->polynomial;
    const unsigned k = values->code.k;
    uint8_t spread[64];
    for (unsigned i = 0; i < 64; i++)
        spread[i] = (uint8_t)(i / 8 * k + i % 8);
    return (struct wide){8 * k,
                         _mm512_loadu_si512(spread),
                         {make_choice(k, windows[0]), make_choice(k, windows[1])},
                         _mm512_set1_epi16((short)values->code.multiplier),
                         _mm512_set1_epi16(p[0]),
                         _mm512_set1_epi16(p[1]),
                         _mm512_set1_epi16(p[2]),
                         _mm512_set1_epi16(p[3])};
}

/* The places of the windows chosen, of each eighth of the tile's octets. k >= 5, so that 64 bytes from any eighth but
 * the last are the tile's. */
INLINE struct four wide_places(const struct wide *w, const struct choice *choice, const uint8_t *codes)
{
    struct four p;
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *at = codes + i * w->bytes + choice->first;
        __m512i octets = i < 3 ? _mm512_permutexvar_epi8(w->spread, _mm512_loadu_si512(at))
                               : _mm512_permutex2var_epi8(_mm512_maskz_loadu_epi8(choice->left, at), choice->last,
                                                          _mm512_loadu_si512(codes));
        p.v[i] = _mm512_mullo_epi16(_mm512_multishift_epi64_epi8(choice->bits, octets), w->multiplier);
    }
    return p;
}

INLINE struct four times(struct four a, struct four b)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        a.v[i] = _mm512_mulhrs_epi16(a.v[i], b.v[i]);
    return a;
}

/* Four registers side by side: one is a chain of instructions that wait for each other. `above`: L = 16. */
INLINE struct four wide_values(const struct wide *w, struct four x, const bool above)
{
    struct four x2, v;
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        x.v[i] = _mm512_or_si512(x.v[i], w->half_step);
        x2.v[i] = _mm512_mulhrs_epi16(x.v[i], above ? _mm512_adds_epi16(x.v[i], _mm512_set1_epi16(1)) : x.v[i]);
    }
    struct four x4 = times(x2, x2), x8 = times(x4, x4), x16 = times(x8, x8), x32 = times(x16, x16);
    struct four x64 = times(x32, x32);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        __m512i sum = _mm512_add_epi16(w->a, _mm512_mulhrs_epi16(x4.v[i], w->b));
        sum = _mm512_add_epi16(sum, _mm512_mulhrs_epi16(x64.v[i], w->c));
        v.v[i] = _mm512_add_epi16(_mm512_mulhrs_epi16(sum, x.v[i]), _mm512_set1_epi16(8));
        v.v[i] = _mm512_srai_epi16(v.v[i], 4);
    }
    return v;
}

/* Of rows g and g + 8. A register holds rows 2 i and 2 i + 1 of its half, 16 columns each. */
struct eighths {
    struct four half[2];
};

INLINE void add_wide_tile(const struct wide *w, const uint8_t *codes, const uint8_t *x, const bool above,
                          struct eighths *sum)
{
    const __m512i columns = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)x));
#pragma GCC unroll 2
    for (unsigned h = 0; h < 2; h++) {
        struct four v = wide_values(w, wide_places(w, &w->choices[h], codes), above);
#pragma GCC unroll 4
        for (unsigned i = 0; i < 4; i++)
            sum->half[h].v[i] = _mm512_dpwssd_epi32(sum->half[h].v[i], v.v[i], columns);
    }
}

/* Lane 4 (2 h + l) + i: row 8 h + 2 i + l. */
INLINE __m512i wide_sums(struct eighths sum)
{
    __m512i a = lane_sums(sum.half[0]), b = lane_sums(sum.half[1]);
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

static __m512i wide_lanes(void)
{
    uint32_t lane[HC_TILE];
    for (unsigned r = 0; r < HC_TILE; r++)
        lane[r] = 4 * (r / 8 * 2 + r % 2) + r / 2 % 4;
    return _mm512_loadu_si512(lane);
}

INLINE void wide_one(const struct hc_window_product *product, const bool above)
{
    static const uint8_t windows[2][4] = {{0, 1, 4, 5}, {2, 3, 6, 7}};
    const struct wide w = make_wide(product->values, windows);
    const struct activations x = activations(product, 0);
    const size_t tile_bytes = 4 * w.bytes;
    const __m512i lanes = wide_lanes();
    for (size_t first = 0; first < product->rows; first += HC_TILE) {
        const struct band band = make_band(product, first);
        const uint8_t *codes = band.codes;
        __m512 total = _mm512_setzero_ps();
        for (size_t tile = 0; tile < product->tile_columns;) {
            size_t end = least(product->tile_columns, tile + GROUP_TILES), group = tile / GROUP_TILES;
            struct eighths sum;
            memset(&sum, 0, sizeof sum);
            for (; tile < end; tile++, codes += tile_bytes)
                add_wide_tile(&w, codes, x.columns + tile * 2 * HC_TILE, above, &sum);
            total = add_group(total, &x, group, wide_sums(sum), false);
        }
        write_rows(&band, 0, lanes, total);
    }
}

/* How 32 bits of the 16 rows come together. */
struct wide_gather {
    __m512i front, back; /* two registers, 64-bit lanes: by t = 0, 1 and 2, 3, then by g */
    __m512i rows[2];     /* two of those, for the lower and the higher t: by rows */
};

static struct wide_gather make_wide_gather(void)
{
    uint32_t rows[2][HC_TILE];
    for (unsigned r = 0; r < HC_TILE; r++)
        for (unsigned t = 0; t < 2; t++)
            rows[t][r] = r / 4 % 2 * 16 + 8 * t + r % 4 * 2 + r / 8;
    return (struct wide_gather){_mm512_set_epi64(13, 9, 5, 1, 12, 8, 4, 0),
                                _mm512_set_epi64(15, 11, 7, 3, 14, 10, 6, 2),
                                {_mm512_loadu_si512(rows[0]), _mm512_loadu_si512(rows[1])}};
}

/* Every other register of a tile of a strip. */
INLINE void put_wide_half(const struct wide_gather *gather, struct four v, uint8_t *out)
{
    __m512i a = _mm512_permutex2var_epi64(v.v[0], gather->front, v.v[1]);
    __m512i b = _mm512_permutex2var_epi64(v.v[2], gather->front, v.v[3]);
    __m512i c = _mm512_permutex2var_epi64(v.v[0], gather->back, v.v[1]);
    __m512i d = _mm512_permutex2var_epi64(v.v[2], gather->back, v.v[3]);
    _mm512_store_si512(out, _mm512_permutex2var_epi32(a, gather->rows[0], b));
    _mm512_store_si512(out + 128, _mm512_permutex2var_epi32(a, gather->rows[1], b));
    _mm512_store_si512(out + 256, _mm512_permutex2var_epi32(c, gather->rows[0], d));
    _mm512_store_si512(out + 384, _mm512_permutex2var_epi32(c, gather->rows[1], d));
}

static __m512i wide_strip_lanes(void)
{
    return _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

/* A tile of a strip: 2 columns of 16 bits of the 16 rows, eight times. */
INLINE void wide_strip(const struct hc_window_values *values, const uint8_t *codes, size_t tiles, const bool above,
                       uint8_t *out)
{
    static const uint8_t windows[2][4] = {{0, 1, 2, 3}, {4, 5, 6, 7}};
    const struct wide w = make_wide(values, windows);
    const struct wide_gather gather = make_wide_gather();
    for (size_t i = 0; i < tiles; i++, codes += 4 * w.bytes, out += 2 * HC_TILE_WEIGHTS) {
        put_wide_half(&gather, wide_values(&w, wide_places(&w, &w.choices[0], codes), above), out);
        put_wide_half(&gather, wide_values(&w, wide_places(&w, &w.choices[1], codes), above), out + 64);
    }
}

/* ---- Many positions ------------------------------------------------------------------------------------------- */

static void decode_strip(const struct hc_window_values *values, const uint8_t *codes, size_t tiles, uint8_t *out)
{
    switch (values->code.k) {
    case 1:
        narrow_strip(values, codes, tiles, 1, false, out);
        break;
    case 2:
        narrow_strip(values, codes, tiles, 2, false, out);
        break;
    case 3:
        narrow_strip(values, codes, tiles, 3, false, out);
        break;
    case 4:
        if (values->code.length <= INSIDE)
            narrow_strip(values, codes, tiles, 4, true, out);
        else
            narrow_strip(values, codes, tiles, 4, false, out);
        break;
    default:
        if (values->code.length == HC_WINDOW_MAX_LENGTH)
            wide_strip(values, codes, tiles, true, out);
        else
            wide_strip(values, codes, tiles, false, out);
    }
}

/* Activations of `count` positions, and where they are needed. */
struct side {
    struct activations x[SIDE];
    size_t first;
    __m512i lanes; /* where the strip has the rows */
};

/* The products of a group of a strip: `quarters` registers. */
INLINE void group_sums(const struct side *side, const uint8_t *strip, size_t at, size_t quarters, const bool narrow,
                       const unsigned count, __m512i sum[SIDE])
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++)
        sum[i] = _mm512_setzero_si512();
    for (size_t q = at; q < at + quarters; q++) {
        __m512i values = _mm512_load_si512(strip + 64 * q);
#pragma GCC unroll 8
        for (unsigned i = 0; i < count; i++) {
            int32_t four;
            memcpy(&four, side->x[i].columns + sizeof four * q, sizeof four);
            __m512i x = _mm512_set1_epi32(four);
            sum[i] = narrow ? _mm512_dpbusd_epi32(sum[i], values, x) : _mm512_dpwssd_epi32(sum[i], values, x);
        }
    }
}

INLINE void strip_times(const struct band *band, const struct side *side, const uint8_t *strip, const bool narrow,
                        const unsigned count)
{
    const size_t per_tile = narrow ? 4 : 8, all = band->product->tile_columns * per_tile;
    __m512 total[SIDE];
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++)
        total[i] = _mm512_setzero_ps();
    for (size_t at = 0, group = 0; at < all; at += GROUP_TILES * per_tile, group++) {
        __m512i sum[SIDE];
        group_sums(side, strip, at, least(all - at, GROUP_TILES * per_tile), narrow, count, sum);
#pragma GCC unroll 8
        for (unsigned i = 0; i < count; i++)
            total[i] = add_group(total[i], &side->x[i], group, sum[i], narrow);
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++)
        write_rows(band, side->first + i, side->lanes, total[i]);
}

INLINE void strip_positions(const struct band *band, const uint8_t *strip, size_t first, const bool narrow,
                            const unsigned count)
{
    struct side side = {.first = first,
                        .lanes = narrow ? narrow_lanes(band->product->values->code.k) : wide_strip_lanes()};
    for (unsigned i = 0; i < count; i++)
        side.x[i] = activations(band->product, first + i);
    strip_times(band, &side, strip, narrow, count);
}

INLINE void strip_product(const struct band *band, const uint8_t *strip, const bool narrow)
{
    size_t i = 0, n = band->product->n;
    for (; i + SIDE <= n; i += SIDE)
        strip_positions(band, strip, i, narrow, SIDE);
    if (n - i >= 4) {
        strip_positions(band, strip, i, narrow, 4);
        i += 4;
    }
    if (n - i >= 2) {
        strip_positions(band, strip, i, narrow, 2);
        i += 2;
    }
    if (i < n)
        strip_positions(band, strip, i, narrow, 1);
}

static void many(const struct hc_window_product *product)
{
    for (size_t first = 0; first < product->rows; first += HC_TILE) {
        const struct band band = make_band(product, first);
        decode_strip(product->values, band.codes, product->tile_columns, product->scratch);
        if (is_narrow(product->values->code.k))
            strip_product(&band, product->scratch, true);
        else
            strip_product(&band, product->scratch, false);
    }
}

static void one(const struct hc_window_product *product)
{
    switch (product->values->code.k) {
    case 1:
        narrow_one(product, 1, false);
        break;
    case 2:
        narrow_one(product, 2, false);
        break;
    case 3:
        narrow_one(product, 3, false);
        break;
    case 4:
        if (product->values->code.length <= INSIDE)
            narrow_one(product, 4, true);
        else
            narrow_one(product, 4, false);
        break;
    default:
        if (product->values->code.length == HC_WINDOW_MAX_LENGTH)
            wide_one(product, true);
        else
            wide_one(product, false);
    }
}

static void multiply(const struct hc_window_product *product)
{
    if (product->n == 1)
        one(product);
    else if (product->n > 1)
        many(product);
}

static size_t scratch_bytes(unsigned k, size_t tile_columns, size_t n)
{
    return n > 1 ? tile_columns * HC_TILE * tile_activations(k) : 0;
}

void hc_window_product_avx512(struct hc_window_product_ops *ops)
{
    *ops = (struct hc_window_product_ops){activation_bytes, activate, scratch_bytes, multiply};
}
