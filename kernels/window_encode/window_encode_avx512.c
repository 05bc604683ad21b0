/* 64 metrics of 8 bits, 32 of 16, or 16 of 32, in a register. */
#include "window_encode.h"

#include <immintrin.h>
#include <string.h>

typedef __m512i vec;
enum { VEC_BYTES = 64, LANE_BITS = 1, LEVEL_BYTES = 1 };

static inline vec vec_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline void vec_store(void *p, vec v)
{
    _mm512_storeu_si512(p, v);
}

static inline __m128i vec_low(vec v)
{
    return _mm512_castsi512_si128(v);
}

static inline vec vec_fill8(uint8_t x)
{
    return _mm512_set1_epi8((char)x);
}

static inline vec vec_fill16(int16_t x)
{
    return _mm512_set1_epi16(x);
}

static inline vec vec_fill32(uint32_t x)
{
    return _mm512_set1_epi32((int32_t)x);
}

/* `bytes` bytes, 2 to 64, again and again. */
static inline vec vec_spread(const unsigned bytes, const void *p)
{
    int64_t x = 0;
    if (bytes < 16)
        memcpy(&x, p, bytes);
    switch (bytes) {
    case 2:
        return _mm512_set1_epi16((int16_t)x);
    case 4:
        return _mm512_set1_epi32((int32_t)x);
    case 8:
        return _mm512_set1_epi64(x);
    case 16:
        return _mm512_broadcast_i32x4(_mm_loadu_si128(p));
    case 32:
        return _mm512_broadcast_i64x4(_mm256_loadu_si256(p));
    default:
        return vec_load(p);
    }
}

/* Held to 255. */
static inline vec vec_adds8(vec a, vec b)
{
    return _mm512_adds_epu8(a, b);
}

static inline vec vec_add16(vec a, vec b)
{
    return _mm512_add_epi16(a, b);
}

/* Of numbers that are not negative; held to 32767. */
static inline vec vec_adds16(vec a, vec b)
{
    return _mm512_adds_epi16(a, b);
}

static inline vec vec_add32(vec a, vec b)
{
    return _mm512_add_epi32(a, b);
}

static inline vec vec_sub16(vec a, vec b)
{
    return _mm512_sub_epi16(a, b);
}

static inline vec vec_sub32(vec a, vec b)
{
    return _mm512_sub_epi32(a, b);
}

static inline vec vec_subs16(vec a, vec b)
{
    return _mm512_subs_epi16(a, b);
}

/* (a b + 2^14) >> 15. */
static inline vec vec_mulhrs16(vec a, vec b)
{
    return _mm512_mulhrs_epi16(a, b);
}

/* (a a) >> 4 of the low halves of 32 bits; the high halves are 0. */
static inline vec vec_square32(vec a)
{
    return _mm512_srli_epi32(_mm512_madd_epi16(a, a), 4);
}

static inline vec vec_min8(vec a, vec b)
{
    return _mm512_min_epu8(a, b);
}

static inline vec vec_min16(vec a, vec b)
{
    return _mm512_min_epu16(a, b);
}

static inline vec vec_min32(vec a, vec b)
{
    return _mm512_min_epu32(a, b);
}

/* A bit for every byte. */
typedef __mmask64 vec_mask8;

/* Whether a is not greater. */
static inline vec_mask8 vec_not_above8(vec a, vec b)
{
    return _mm512_cmple_epu8_mask(a, b);
}

/* a where it is set, else b. */
static inline vec vec_choose8(vec_mask8 mask, vec a, vec b)
{
    return _mm512_mask_blend_epi8(mask, b, a);
}

static inline void vec_note8(uint8_t *to, vec_mask8 mask)
{
    uint64_t bits = mask;
    memcpy(to, &bits, sizeof bits);
}

/* A bit for every lane: a equals b. */
static inline uint32_t vec_equal16(vec a, vec b)
{
    return _mm512_cmpeq_epi16_mask(a, b);
}

/* Every other byte of a, then of b, from `first` on. */
static inline vec every_other8(vec a, vec b, uint8_t first)
{
    const __m512i words = _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,
                                           12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    /* byte 2 i is 4 i, byte 2 i + 1 is 4 i + 2 */
    vec pick = _mm512_or_si512(_mm512_slli_epi16(words, 2), _mm512_slli_epi16(words, 10));
    pick = _mm512_add_epi8(pick, _mm512_set1_epi16((int16_t)(0x200 + first * 0x101)));
    return _mm512_permutex2var_epi8(a, pick, b);
}

static inline vec vec_even8(vec a, vec b)
{
    return every_other8(a, b, 0);
}

static inline vec vec_odd8(vec a, vec b)
{
    return every_other8(a, b, 1);
}

/* Elements 0, 2, 4 .. of a, then of b. */
static inline vec vec_even16(vec a, vec b)
{
    const vec pick = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24,
                                      22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_permutex2var_epi16(a, pick, b);
}

/* Elements 1, 3, 5 .. of a, then of b. */
static inline vec vec_odd16(vec a, vec b)
{
    const vec pick = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25,
                                      23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi16(a, pick, b);
}

static inline vec vec_even32(vec a, vec b)
{
    const vec pick = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_permutex2var_epi32(a, pick, b);
}

static inline vec vec_odd32(vec a, vec b)
{
    const vec pick = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi32(a, pick, b);
}

/* The even elements of a, then its odd ones. */
static inline vec vec_split16(vec a)
{
    return _mm512_mask_blend_epi32(0xff00, vec_even16(a, a), vec_odd16(a, a));
}

/* Byte i is that of a at index i. */
static inline vec vec_shuffle(vec a, vec index)
{
    return _mm512_permutexvar_epi8(index, a);
}

/* The costs of all levels, for one weight: those of 0 .. 63, then of 64 .. 127. */
struct costs {
    vec low, high;
};

/* weight: halved. */
static inline vec level_costs(bool weighted, const int16_t *level, int16_t weight, int16_t importance, unsigned shift)
{
    vec costs[2];
    for (unsigned i = 0; i < 2; i++) {
        vec d = vec_sub16(vec_fill16(weight), _mm512_srai_epi16(vec_load(level + 32 * i), 1));
        if (weighted)
            d = vec_mulhrs16(d, vec_fill16(importance));
        costs[i] = vec_mulhrs16(vec_mulhrs16(d, d), vec_fill16((int16_t)(1 << (15 - shift))));
    }
    const vec order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm512_permutexvar_epi64(order, _mm512_packus_epi16(costs[0], costs[1]));
}

static inline struct costs make_costs(bool weighted, const int16_t *level, int16_t weight, int16_t importance,
                                      unsigned shift)
{
    return (struct costs){level_costs(weighted, level, weight, importance, shift),
                          level_costs(weighted, level + 64, weight, importance, shift)};
}

/* By their numbers. */
static inline vec costs_of(bool weighted, const struct costs *costs, const uint8_t *levels)
{
    (void)weighted;
    return _mm512_permutex2var_epi8(costs->low, vec_load(levels), costs->high);
}

/* The levels of 64 codes, as costs_of takes them. */
static inline void put_levels(const int16_t *level, const uint8_t *levels, uint8_t *out)
{
    (void)level;
    memcpy(out, levels, 64);
}

#include "window_encode_lanes.inc"

void hc_window_encode_avx512(struct hc_window_encode_ops *ops)
{
    *ops = (struct hc_window_encode_ops){layout_bytes, prepare, scratch_bytes, tiles};
}
