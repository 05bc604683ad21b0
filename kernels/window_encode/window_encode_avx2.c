/* 16 metrics of 16 bits, or 8 of 32, in a register. */
#include "window_encode.h"

#include <immintrin.h>
#include <string.h>

typedef __m256i vec;
enum { VEC_BYTES = 32, LANE_BITS = 2 };

static inline vec vec_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline void vec_store(void *p, vec v)
{
    _mm256_storeu_si256(p, v);
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

static inline vec vec_add16(vec a, vec b)
{
    return _mm256_add_epi16(a, b);
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

static inline vec vec_min16(vec a, vec b)
{
    return _mm256_min_epu16(a, b);
}

static inline vec vec_min32(vec a, vec b)
{
    return _mm256_min_epu32(a, b);
}

/* Two bits for every lane: a is not greater. */
static inline uint32_t vec_not_above16(vec a, vec b)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_min_epu16(a, b), a));
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

#include "window_encode_lanes.inc"

void hc_window_encode_avx2(struct hc_window_encode_ops *ops)
{
    *ops = (struct hc_window_encode_ops){layout_bytes, prepare, scratch_bytes, tiles};
}
