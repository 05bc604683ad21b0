/* 32 metrics of 16 bits, or 16 of 32, in a register. */
#include "window_encode.h"

#include <immintrin.h>
#include <string.h>

typedef __m512i vec;
enum { VEC_BYTES = 64, LANE_BITS = 1 };

static inline vec vec_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline void vec_store(void *p, vec v)
{
    _mm512_storeu_si512(p, v);
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

static inline vec vec_add16(vec a, vec b)
{
    return _mm512_add_epi16(a, b);
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

static inline vec vec_min16(vec a, vec b)
{
    return _mm512_min_epu16(a, b);
}

static inline vec vec_min32(vec a, vec b)
{
    return _mm512_min_epu32(a, b);
}

/* A bit for every lane: a is not greater. */
static inline uint32_t vec_not_above16(vec a, vec b)
{
    return _mm512_cmple_epu16_mask(a, b);
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

#include "window_encode_lanes.inc"

void hc_window_encode_avx512(struct hc_window_encode_ops *ops)
{
    *ops = (struct hc_window_encode_ops){layout_bytes, prepare, scratch_bytes, tiles};
}
