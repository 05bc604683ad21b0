/* 32 weights at a time: consecutive stream positions are rows g and g + 8 of a tile. The arithmetic is that of the
 * AVX-512 tier, up to the last bit. */
#include "window_decode.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { GROUP = 32, GROUPS = HC_TILE_WEIGHTS / GROUP, MAX_BYTES = HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K };

/* How eight consecutive windows are cut from the 16 bytes that begin where they do, in both halves of a register. The
 * two windows of a pair lie in one 32-bit lane, as they take at most 6 + k + 16 bits; the pairs stand in the order 0,
 * 2, 1, 3: first those of row g, then those of row g + 8. */
struct cut {
    size_t bytes; /* of a tile: 32 k */
    unsigned k;
    __m256i shuffle, right, left;
};

static struct cut make_cut(unsigned k)
{
    uint8_t shuffle[32];
    uint32_t right[8], left[8];
    for (unsigned lane = 0; lane < 8; lane++) {
        unsigned pair = lane % 2 * 2 + lane / 2 % 2, bit = 2 * pair * k;
        for (unsigned i = 0; i < 4; i++)
            shuffle[4 * lane + i] = (uint8_t)(bit / 8 + i);
        right[lane] = bit % 8;
        left[lane] = 16 - bit % 8 - k;
    }
    return (struct cut){HC_TILE_WEIGHTS / 8 * k, k, _mm256_loadu_si256((const __m256i *)shuffle),
                        _mm256_loadu_si256((const __m256i *)right), _mm256_loadu_si256((const __m256i *)left)};
}

/* A tile with its beginning behind it, so that windows need not wrap around and 16 bytes can be read everywhere. */
struct cycle {
    uint8_t bytes[MAX_BYTES + 16];
};

INLINE void make_cycle(struct cycle *cycle, const uint8_t *codes, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 32)
        _mm256_storeu_si256((__m256i *)(cycle->bytes + i), _mm256_loadu_si256((const __m256i *)(codes + i)));
    memcpy(cycle->bytes + bytes, codes, 16);
}

/* The windows of the eights `low` and `low` + 2 of a tile; above their L bits stand newer ones. */
INLINE __m256i windows(const struct cut *cut, const struct cycle *cycle, unsigned low)
{
    const uint8_t *at = cycle->bytes + low * cut->k;
    __m256i bytes = _mm256_loadu2_m128i((const __m128i *)(at + 2 * cut->k), (const __m128i *)at);
    bytes = _mm256_shuffle_epi8(bytes, cut->shuffle);
    __m256i even = _mm256_srlv_epi32(bytes, cut->right), odd = _mm256_sllv_epi32(bytes, cut->left);
    return _mm256_blend_epi16(even, odd, 0xaa);
}

struct rows {
    __m256i upper, lower; /* g, g + 8: 16 numbers each */
};

/* The windows of group g in the order of rows. */
INLINE struct rows group(const struct cut *cut, const struct cycle *cycle, unsigned g)
{
    enum { ROW_ORDER = 0 | 2 << 2 | 1 << 4 | 3 << 6 };
    __m256i even = windows(cut, cycle, 4 * g), odd = windows(cut, cycle, 4 * g + 1);
    return (struct rows){_mm256_permute4x64_epi64(_mm256_unpacklo_epi32(even, odd), ROW_ORDER),
                         _mm256_permute4x64_epi64(_mm256_unpackhi_epi32(even, odd), ROW_ORDER)};
}

/* g in 16-bit fixed point: x with 15 fractional bits, the coefficients and the value with as many as their sum allows.
 */
struct curve {
    __m256i multiplier, a, b, c;
    __m256i half_step; /* in units of x; 0 at L = 16, where it is half a unit */
    __m256i above;     /* 1 at L = 16, else 0: the true x is half of that larger */
    __m256 unit;       /* of the value */
};

static struct curve make_curve(const struct hc_window_code *code)
{
    int fraction = 15;
    while ((code->a + code->b + code->c) * (1 << fraction) > 32760)
        fraction--;
    double one = 1 << fraction;
    unsigned half_step = code->length < 16 ? 1u << (15 - code->length) : 0;
    return (struct curve){_mm256_set1_epi16((short)code->multiplier),
                          _mm256_set1_epi16((short)(code->a * one + 0.5)),
                          _mm256_set1_epi16((short)(code->b * one + 0.5)),
                          _mm256_set1_epi16((short)(code->c * one + 0.5)),
                          _mm256_set1_epi16((short)half_step),
                          _mm256_set1_epi16(half_step == 0),
                          _mm256_set1_ps((float)(1 / one))};
}

/* The places are multiples of 2^(16-L), so the half step is or-ed in. At L = 16 the square of u + 1/2 is that of u
 * times u + 1, which is also where -32768 does not overflow; 32767 + 1 stays 32767. */
INLINE __m256i values(const struct curve *curve, __m256i windows)
{
    __m256i x = _mm256_or_si256(_mm256_mullo_epi16(windows, curve->multiplier), curve->half_step);
    __m256i x2 = _mm256_mulhrs_epi16(x, _mm256_adds_epi16(x, curve->above));
    __m256i x4 = _mm256_mulhrs_epi16(x2, x2);
    __m256i x8 = _mm256_mulhrs_epi16(x4, x4);
    __m256i x16 = _mm256_mulhrs_epi16(x8, x8);
    __m256i x32 = _mm256_mulhrs_epi16(x16, x16);
    __m256i x64 = _mm256_mulhrs_epi16(x32, x32);
    __m256i sum = _mm256_add_epi16(curve->a, _mm256_mulhrs_epi16(x4, curve->b));
    sum = _mm256_add_epi16(sum, _mm256_mulhrs_epi16(x64, curve->c));
    return _mm256_mulhrs_epi16(sum, x);
}

INLINE __m256 floats(const struct curve *curve, __m128i eight)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight)), curve->unit);
}

/* Writes 16 values of a row. */
INLINE void put_f32(__m256 left, __m256 right, float *out)
{
    _mm256_storeu_ps(out, left);
    _mm256_storeu_ps(out + 8, right);
}

INLINE void put_f16(__m256 left, __m256 right, uint16_t *out)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    _mm_storeu_si128((__m128i *)out, _mm256_cvtps_ph(left, NEAREST));
    _mm_storeu_si128((__m128i *)(out + 8), _mm256_cvtps_ph(right, NEAREST));
}

/* Rounded to nearest, ties away from zero. */
INLINE void put_bf16(__m256 left, __m256 right, uint16_t *out)
{
    enum { ROW_ORDER = 0 | 2 << 2 | 1 << 4 | 3 << 6 };
    const __m256i half = _mm256_set1_epi32(0x8000);
    __m256i first = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(left), half), 16);
    __m256i second = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(right), half), 16);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), ROW_ORDER);
    _mm256_storeu_si256((__m256i *)out, packed);
}

/* decode_f32 and its kin: the loop, around the put_f32 of a type. */
#define DECODE(type, element)                                                                                          \
    INLINE void row_##type(const struct curve *curve, __m256i windows, element *out)                                   \
    {                                                                                                                  \
        __m256i v = values(curve, windows);                                                                            \
        put_##type(floats(curve, _mm256_castsi256_si128(v)), floats(curve, _mm256_extracti128_si256(v, 1)), out);      \
    }                                                                                                                  \
                                                                                                                       \
    static void decode_##type(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles,             \
                              element *out, size_t stride)                                                             \
    {                                                                                                                  \
        const struct cut cut = make_cut(decoder->code->k);                                                             \
        const struct curve curve = make_curve(decoder->code);                                                          \
        struct cycle cycle;                                                                                            \
        for (size_t i = 0; i < tiles; i++, codes += cut.bytes, out += HC_TILE) {                                       \
            make_cycle(&cycle, codes, cut.bytes);                                                                      \
            for (unsigned g = 0; g < GROUPS; g++) {                                                                    \
                struct rows rows = group(&cut, &cycle, g);                                                             \
                row_##type(&curve, rows.upper, out + g * stride);                                                      \
                row_##type(&curve, rows.lower, out + (g + 8) * stride);                                                \
            }                                                                                                          \
        }                                                                                                              \
    }

DECODE(f32, float)
DECODE(f16, uint16_t)
DECODE(bf16, uint16_t)

/* Sixteen entries of the table, one by one. */
INLINE void look_up(const uint16_t *table, __m256i theta, float *out)
{
    uint16_t index[HC_TILE], half[HC_TILE];
    _mm256_storeu_si256((__m256i *)index, theta);
    for (unsigned i = 0; i < HC_TILE; i++)
        half[i] = table[index[i]];
    _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)half)));
    _mm256_storeu_ps(out + 8, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(half + 8))));
}

static void exact(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, float *out,
                  size_t stride)
{
    const struct cut cut = make_cut(decoder->code->k);
    const __m256i length = _mm256_set1_epi16((short)((1u << decoder->code->length) - 1));
    struct cycle cycle;
    for (size_t i = 0; i < tiles; i++, codes += cut.bytes, out += HC_TILE) {
        make_cycle(&cycle, codes, cut.bytes);
        for (unsigned g = 0; g < GROUPS; g++) {
            struct rows rows = group(&cut, &cycle, g);
            look_up(decoder->table, _mm256_and_si256(rows.upper, length), out + g * stride);
            look_up(decoder->table, _mm256_and_si256(rows.lower, length), out + (g + 8) * stride);
        }
    }
}

void hc_window_decode_avx2(struct hc_window_decode_ops *ops)
{
    *ops = (struct hc_window_decode_ops){exact, decode_f32, decode_f16, decode_bf16};
}
