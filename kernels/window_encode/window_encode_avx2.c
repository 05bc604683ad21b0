/* 32 metrics of 8 bits, 16 of 16, or 8 of 32, in a register. */
#include "window_encode.h"

#include <immintrin.h>
#include <string.h>

typedef __m256i vec;
enum { VEC_BYTES = 32, LANE_BITS = 2, LEVEL_BYTES = 2 };

static inline vec vec_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline void vec_store(void *p, vec v)
{
    _mm256_storeu_si256(p, v);
}

static inline __m128i vec_low(vec v)
{
    return _mm256_castsi256_si128(v);
}

static inline vec vec_fill8(uint8_t x)
{
    return _mm256_set1_epi8((char)x);
}

static inline vec vec_fill16(int16_t x)
{
    return _mm256_set1_epi16(x);
}

static inline vec vec_fill32(uint32_t x)
{
    return _mm256_set1_epi32((int32_t)x);
}

/* `bytes` bytes, 2 to 32, again and again. */
static inline vec vec_spread(const unsigned bytes, const void *p)
{
    int64_t x = 0;
    if (bytes < 16)
        memcpy(&x, p, bytes);
    switch (bytes) {
    case 2:
        return _mm256_set1_epi16((int16_t)x);
    case 4:
        return _mm256_set1_epi32((int32_t)x);
    case 8:
        return _mm256_set1_epi64x(x);
    case 16:
        return _mm256_broadcastsi128_si256(_mm_loadu_si128(p));
    default:
        return vec_load(p);
    }
}

/* Held to 255. */
static inline vec vec_adds8(vec a, vec b)
{
    return _mm256_adds_epu8(a, b);
}

static inline vec vec_add16(vec a, vec b)
{
    return _mm256_add_epi16(a, b);
}

/* Of numbers that are not negative; held to 32767. */
static inline vec vec_adds16(vec a, vec b)
{
    return _mm256_adds_epi16(a, b);
}

static inline vec vec_add32(vec a, vec b)
{
    return _mm256_add_epi32(a, b);
}

static inline vec vec_sub16(vec a, vec b)
{
    return _mm256_sub_epi16(a, b);
}

static inline vec vec_sub32(vec a, vec b)
{
    return _mm256_sub_epi32(a, b);
}

static inline vec vec_subs16(vec a, vec b)
{
    return _mm256_subs_epi16(a, b);
}

/* (a b + 2^14) >> 15. */
static inline vec vec_mulhrs16(vec a, vec b)
{
    return _mm256_mulhrs_epi16(a, b);
}

/* (a a) >> 4 of the low halves of 32 bits; the high halves are 0. */
static inline vec vec_square32(vec a)
{
    return _mm256_srli_epi32(_mm256_madd_epi16(a, a), 4);
}

static inline vec vec_min8(vec a, vec b)
{
    return _mm256_min_epu8(a, b);
}

static inline vec vec_min16(vec a, vec b)
{
    return _mm256_min_epu16(a, b);
}

static inline vec vec_min32(vec a, vec b)
{
    return _mm256_min_epu32(a, b);
}

/* All bits of a byte. */
typedef vec vec_mask8;

/* Whether a is not greater. */
static inline vec_mask8 vec_not_above8(vec a, vec b)
{
    return _mm256_cmpeq_epi8(vec_min8(a, b), a);
}

/* a where it is set, else b. */
static inline vec vec_choose8(vec_mask8 mask, vec a, vec b)
{
    return _mm256_blendv_epi8(b, a, mask);
}

/* A bit for every byte. */
static inline void vec_note8(uint8_t *to, vec_mask8 mask)
{
    int bits = _mm256_movemask_epi8(mask);
    memcpy(to, &bits, sizeof bits);
}

/* Two bits for every lane: a equals b. */
static inline uint32_t vec_equal16(vec a, vec b)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi16(a, b));
}

/* Bytes 0, 2, 4 .. of a, then of b. */
static inline vec vec_even8(vec a, vec b)
{
    const vec low = _mm256_set1_epi16(0xff);
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low)), 0xd8);
}

/* Bytes 1, 3, 5 .. of a, then of b. */
static inline vec vec_odd8(vec a, vec b)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8)), 0xd8);
}

/* Elements 0, 2, 4 .. of a, then of b: metrics, so none is negative. */
static inline vec vec_even16(vec a, vec b)
{
    const vec low = _mm256_set1_epi32(0xffff);
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low)), 0xd8);
}

/* Elements 1, 3, 5 .. of a, then of b. */
static inline vec vec_odd16(vec a, vec b)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16)), 0xd8);
}

static inline vec vec_even32(vec a, vec b)
{
    __m256 pairs = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), 0xd8);
}

static inline vec vec_odd32(vec a, vec b)
{
    __m256 pairs = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), 0xd8);
}

/* The even elements of a, then its odd ones. */
static inline vec vec_split16(vec a)
{
    return _mm256_blend_epi32(vec_even16(a, a), vec_odd16(a, a), 0xf0);
}

/* Byte i of every 16 is that of a at index i. */
static inline vec vec_shuffle(vec a, vec index)
{
    return _mm256_shuffle_epi8(a, index);
}

/* What costs are computed from, in all lanes; there is no instruction that would look them up. */
struct costs {
    vec weight, importance, scale;
};

/* weight: halved. */
static inline struct costs make_costs(bool weighted, const int16_t *level, int16_t weight, int16_t importance,
                                      unsigned shift)
{
    (void)weighted;
    (void)level;
    return (struct costs){vec_fill16(weight), vec_fill16(importance), vec_fill16((int16_t)(1 << (15 - shift)))};
}

static inline vec narrow_costs(bool weighted, const struct costs *costs, const uint8_t *values)
{
    vec d = vec_sub16(costs->weight, vec_load(values));
    if (weighted)
        d = vec_mulhrs16(d, costs->importance);
    return vec_mulhrs16(vec_mulhrs16(d, d), costs->scale);
}

/* By their halved values: 16 of either half of both lanes. */
static inline vec costs_of(bool weighted, const struct costs *costs, const uint8_t *values)
{
    return _mm256_packus_epi16(narrow_costs(weighted, costs, values), narrow_costs(weighted, costs, values + 32));
}

/* The levels of 64 codes, as costs_of takes them: of 32, those whose costs go to the low halves of a register's lanes
 * come first. */
static inline void put_levels(const int16_t *level, const uint8_t *levels, uint8_t *out)
{
    int16_t *values = (int16_t *)(void *)out;
    for (unsigned i = 0; i < 64; i++)
        values[(i & 32) + (i >> 3 & 1) * 16 + (i >> 4 & 1) * 8 + i % 8] = (int16_t)(level[levels[i]] >> 1);
}

#include "window_encode_lanes.inc"

void hc_window_encode_avx2(struct hc_window_encode_ops *ops)
{
    *ops = (struct hc_window_encode_ops){layout_bytes, prepare, scratch_bytes, tiles};
}
