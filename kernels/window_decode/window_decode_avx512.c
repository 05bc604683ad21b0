/* 32 weights at a time: consecutive stream positions are rows g and g + 8 of a tile. One permutation of bytes lays out
 * what every pair of neighbouring windows needs, one multishift cuts the windows, in the order of the output. */
#include "window_decode.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum { GROUP = 32, GROUPS = HC_TILE_WEIGHTS / GROUP };

/* How the windows of a group are cut from its bytes; depends on k alone. A 128-bit lane i holds columns 4 i .. 4 i + 3
 * of row g, then those of row g + 8: unpacking to 32 bits then separates the rows. */
struct cut {
    size_t bytes;         /* of a group: 4 k */
    __mmask64 here, last; /* those, and up to two of the next group; the last group has its next at the tile's start */
    __m512i inner, wrapped, bits;
};

/* Two windows that begin at an even position take at most 4 bytes: 6 + k + 16 bits. */
static struct cut make_cut(unsigned k)
{
    uint8_t inner[64], wrapped[64], bits[64];
    unsigned bytes = GROUP / 8 * k;
    for (unsigned o = 0; o < GROUP; o++) {
        unsigned column = o / 8 * 4 + o % 4, below = o / 4 % 2, slot = o / 2 % 2 * 4;
        unsigned position = column % 8 / 2 * 8 + column / 8 * 4 + below * 2;
        unsigned first = position * k / 8;
        for (unsigned i = 0; i < 2; i++) {
            unsigned at = o % 2 * 2 + i, byte = first + at, to = o / 4 * 8 + slot + at;
            inner[to] = (uint8_t)byte;
            wrapped[to] = (uint8_t)(byte < bytes ? byte : 64 + byte - bytes);
            bits[2 * o + i] = (uint8_t)(8 * slot + (position + o % 2) * k - 8 * first + 8 * i);
        }
    }
    return (struct cut){bytes,
                        (UINT64_C(1) << (bytes + 2)) - 1,
                        (UINT64_C(1) << bytes) - 1,
                        _mm512_loadu_si512(inner),
                        _mm512_loadu_si512(wrapped),
                        _mm512_loadu_si512(bits)};
}

/* The windows of group g; above their L bits stand newer ones. */
INLINE __m512i windows(const struct cut *cut, const uint8_t *codes, unsigned g)
{
    bool last = g == GROUPS - 1;
    __m512i here = _mm512_maskz_loadu_epi8(last ? cut->last : cut->here, codes + g * cut->bytes);
    if (last) {
        __m512i next = _mm512_maskz_loadu_epi8(0xf, codes);
        here = _mm512_permutex2var_epi8(here, cut->wrapped, next);
    } else {
        here = _mm512_permutexvar_epi8(cut->inner, here);
    }
    return _mm512_multishift_epi64_epi8(cut->bits, here);
}

/* g in 16-bit fixed point: x with 15 fractional bits, the coefficients and the value with as many as their sum allows.
 */
struct curve {
    __m512i multiplier, a, b, c;
    __m512i half_step; /* in units of x; 0 at L = 16, where it is half a unit */
    __m512i above;     /* 1 at L = 16, else 0: the true x is half of that larger */
    __m512i exponent;  /* the upper half of the float whose last place is that of the value */
    __m512 offset;     /* what such a float is too large by */
};

static struct curve make_curve(const struct hc_window_code *code)
{
    int fraction = 15;
    while ((code->a + code->b + code->c) * (1 << fraction) > 32760)
        fraction--;
    double one = 1 << fraction;
    unsigned half_step = code->length < 16 ? 1u << (15 - code->length) : 0;
    return (struct curve){_mm512_set1_epi16((short)code->multiplier),
                          _mm512_set1_epi16((short)(code->a * one + 0.5)),
                          _mm512_set1_epi16((short)(code->b * one + 0.5)),
                          _mm512_set1_epi16((short)(code->c * one + 0.5)),
                          _mm512_set1_epi16((short)half_step),
                          _mm512_set1_epi16(half_step == 0),
                          _mm512_set1_epi16((short)((127 + 23 - fraction) << 7)),
                          _mm512_set1_ps((float)(((1 << 23) + 32768) / one))};
}

/* Four groups side by side: one is a chain of some twenty instructions that wait for each other, and the processor
 * looks ahead too little to fill the time with the groups that follow. */
struct four {
    __m512i v0, v1, v2, v3;
};

INLINE struct four four_windows(const struct cut *cut, const uint8_t *codes, unsigned g)
{
    return (struct four){windows(cut, codes, g), windows(cut, codes, g + 1), windows(cut, codes, g + 2),
                         windows(cut, codes, g + 3)};
}

INLINE struct four product(struct four a, struct four b)
{
    return (struct four){_mm512_mulhrs_epi16(a.v0, b.v0), _mm512_mulhrs_epi16(a.v1, b.v1),
                         _mm512_mulhrs_epi16(a.v2, b.v2), _mm512_mulhrs_epi16(a.v3, b.v3)};
}

INLINE struct four add_term(struct four sum, struct four power, __m512i coefficient)
{
    return (struct four){_mm512_add_epi16(sum.v0, _mm512_mulhrs_epi16(power.v0, coefficient)),
                         _mm512_add_epi16(sum.v1, _mm512_mulhrs_epi16(power.v1, coefficient)),
                         _mm512_add_epi16(sum.v2, _mm512_mulhrs_epi16(power.v2, coefficient)),
                         _mm512_add_epi16(sum.v3, _mm512_mulhrs_epi16(power.v3, coefficient))};
}

INLINE __m512i place(const struct curve *curve, __m512i windows)
{
    return _mm512_or_si512(_mm512_mullo_epi16(windows, curve->multiplier), curve->half_step);
}

/* The places are multiples of 2^(16-L), so the half step is or-ed in. At L = 16 the square of u + 1/2 is that of u
 * times u + 1, which is also where -32768 does not overflow; 32767 + 1 stays 32767. */
INLINE __m512i square(const struct curve *curve, __m512i x)
{
    return _mm512_mulhrs_epi16(x, _mm512_adds_epi16(x, curve->above));
}

INLINE struct four values(const struct curve *curve, struct four w)
{
    struct four x = {place(curve, w.v0), place(curve, w.v1), place(curve, w.v2), place(curve, w.v3)};
    struct four x2 = {square(curve, x.v0), square(curve, x.v1), square(curve, x.v2), square(curve, x.v3)};
    struct four x4 = product(x2, x2);
    struct four x8 = product(x4, x4);
    struct four x16 = product(x8, x8);
    struct four x32 = product(x16, x16);
    struct four x64 = product(x32, x32);
    struct four sum = {curve->a, curve->a, curve->a, curve->a};
    return product(add_term(add_term(sum, x4, curve->b), x64, curve->c), x);
}

struct rows {
    __m512 upper, lower; /* g, g + 8 */
};

/* A float of the right exponent whose last 16 bits are the value, made positive, is the value and an offset. */
INLINE struct rows floats(const struct curve *curve, __m512i value)
{
    value = _mm512_xor_si512(value, _mm512_set1_epi16(INT16_MIN));
    __m512 upper = _mm512_castsi512_ps(_mm512_unpacklo_epi16(value, curve->exponent));
    __m512 lower = _mm512_castsi512_ps(_mm512_unpackhi_epi16(value, curve->exponent));
    return (struct rows){_mm512_sub_ps(upper, curve->offset), _mm512_sub_ps(lower, curve->offset)};
}

/* Writes rows g and g + 8 of a tile that begins at out. */
INLINE void put_f32(struct rows rows, float *out, size_t stride)
{
    _mm512_storeu_ps(out, rows.upper);
    _mm512_storeu_ps(out + 8 * stride, rows.lower);
}

INLINE void put_four_f32(const struct curve *curve, struct four four, float *out, size_t stride)
{
    put_f32(floats(curve, four.v0), out, stride);
    put_f32(floats(curve, four.v1), out + stride, stride);
    put_f32(floats(curve, four.v2), out + 2 * stride, stride);
    put_f32(floats(curve, four.v3), out + 3 * stride, stride);
}

/* Half a tile is computed while the other half is written. */
static void decode_f32(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, float *out,
                       size_t stride)
{
    const struct cut cut = make_cut(decoder->code->k);
    const struct curve curve = make_curve(decoder->code);
    for (size_t i = 0; i < tiles; i++, codes += GROUPS * cut.bytes, out += HC_TILE) {
        struct four upper = values(&curve, four_windows(&cut, codes, 0));
        struct four lower = values(&curve, four_windows(&cut, codes, 4));
        put_four_f32(&curve, upper, out, stride);
        put_four_f32(&curve, lower, out + 4 * stride, stride);
    }
}

/* The same in 16 bits. */
struct halves {
    __m256i upper, lower;
};

INLINE struct halves to_f16(struct rows rows)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return (struct halves){_mm512_cvtps_ph(rows.upper, NEAREST), _mm512_cvtps_ph(rows.lower, NEAREST)};
}

/* Rounded to nearest, ties away from zero. */
INLINE struct halves to_bf16(struct rows rows)
{
    const __m512i half = _mm512_set1_epi32(0x8000);
    __m512i upper = _mm512_add_epi32(_mm512_castps_si512(rows.upper), half);
    __m512i lower = _mm512_add_epi32(_mm512_castps_si512(rows.lower), half);
    return (struct halves){_mm512_cvtepi32_epi16(_mm512_srli_epi32(upper, 16)),
                           _mm512_cvtepi32_epi16(_mm512_srli_epi32(lower, 16))};
}

INLINE struct halves to_halves(const bool bf16, const struct curve *curve, __m512i value)
{
    return bf16 ? to_bf16(floats(curve, value)) : to_f16(floats(curve, value));
}

INLINE void put_one(struct halves halves, uint16_t *out, size_t stride)
{
    _mm256_storeu_si256((__m256i *)out, halves.upper);
    _mm256_storeu_si256((__m256i *)(out + 8 * stride), halves.lower);
}

INLINE void put_two(struct halves left, struct halves right, uint16_t *out, size_t stride)
{
    _mm512_storeu_si512(out, _mm512_inserti64x4(_mm512_castsi256_si512(left.upper), right.upper, 1));
    _mm512_storeu_si512(out + 8 * stride, _mm512_inserti64x4(_mm512_castsi256_si512(left.lower), right.lower, 1));
}

/* Groups g .. g + 3 of a tile, or of two side by side. */
INLINE void decode_one(const bool bf16, const struct cut *cut, const struct curve *curve, const uint8_t *codes,
                       unsigned g, uint16_t *out, size_t stride)
{
    struct four v = values(curve, four_windows(cut, codes, g));
    put_one(to_halves(bf16, curve, v.v0), out + g * stride, stride);
    put_one(to_halves(bf16, curve, v.v1), out + (g + 1) * stride, stride);
    put_one(to_halves(bf16, curve, v.v2), out + (g + 2) * stride, stride);
    put_one(to_halves(bf16, curve, v.v3), out + (g + 3) * stride, stride);
}

INLINE void decode_two(const bool bf16, const struct cut *cut, const struct curve *curve, const uint8_t *codes,
                       unsigned g, uint16_t *out, size_t stride)
{
    struct four v = values(curve, four_windows(cut, codes, g));
    struct four w = values(curve, four_windows(cut, codes + GROUPS * cut->bytes, g));
    put_two(to_halves(bf16, curve, v.v0), to_halves(bf16, curve, w.v0), out + g * stride, stride);
    put_two(to_halves(bf16, curve, v.v1), to_halves(bf16, curve, w.v1), out + (g + 1) * stride, stride);
    put_two(to_halves(bf16, curve, v.v2), to_halves(bf16, curve, w.v2), out + (g + 2) * stride, stride);
    put_two(to_halves(bf16, curve, v.v3), to_halves(bf16, curve, w.v3), out + (g + 3) * stride, stride);
}

/* Tiles in twos, so that a row gets whole cache lines: the 16 rows of a wide matrix share the sets of the cache, and
 * halves would not stay there until the tile beside them comes. */
INLINE void decode_halves(const bool bf16, const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles,
                          uint16_t *out, size_t stride)
{
    const struct cut cut = make_cut(decoder->code->k);
    const struct curve curve = make_curve(decoder->code);
    const size_t bytes = GROUPS * cut.bytes;
    for (; tiles >= 2; tiles -= 2, codes += 2 * bytes, out += (size_t)2 * HC_TILE) {
        decode_two(bf16, &cut, &curve, codes, 0, out, stride);
        decode_two(bf16, &cut, &curve, codes, 4, out, stride);
    }
    if (tiles) {
        decode_one(bf16, &cut, &curve, codes, 0, out, stride);
        decode_one(bf16, &cut, &curve, codes, 4, out, stride);
    }
}

static void decode_f16(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, uint16_t *out,
                       size_t stride)
{
    decode_halves(false, decoder, codes, tiles, out, stride);
}

static void decode_bf16(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, uint16_t *out,
                        size_t stride)
{
    decode_halves(true, decoder, codes, tiles, out, stride);
}

/* Sixteen entries of the table. Gathered in pairs that begin at an even entry, so that nothing behind the table is
 * read. */
INLINE __m512 look_up(const uint16_t *table, __m512i theta)
{
    __m512i pairs = _mm512_i32gather_epi32(_mm512_srli_epi32(theta, 1), table, 4);
    __m512i odd = _mm512_slli_epi32(_mm512_and_si512(theta, _mm512_set1_epi32(1)), 4);
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srlv_epi32(pairs, odd)));
}

static void exact(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, float *out,
                  size_t stride)
{
    const struct cut cut = make_cut(decoder->code->k);
    const __m512i length = _mm512_set1_epi16((short)((1u << decoder->code->length) - 1));
    const __m512i zero = _mm512_setzero_si512();
    for (size_t i = 0; i < tiles; i++, codes += GROUPS * cut.bytes, out += HC_TILE)
        for (unsigned g = 0; g < GROUPS; g++) {
            __m512i theta = _mm512_and_si512(windows(&cut, codes, g), length);
            _mm512_storeu_ps(out + g * stride, look_up(decoder->table, _mm512_unpacklo_epi16(theta, zero)));
            _mm512_storeu_ps(out + (g + 8) * stride, look_up(decoder->table, _mm512_unpackhi_epi16(theta, zero)));
        }
}

void hc_window_decode_avx512(struct hc_window_decode_ops *ops)
{
    *ops = (struct hc_window_decode_ops){exact, decode_f32, decode_f16, decode_bf16};
}
