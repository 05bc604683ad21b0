/* Eight codes of up to 24 bits at a time: they take as many whole bytes as a code has bits. Needs AVX2. */
#ifndef HC_KERNELS_COMMON_BITS_AVX2_H
#define HC_KERNELS_COMMON_BITS_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { HC_EIGHT_MAX_BITS = 24 };

/* How to take eight codes of `bits` bits out of that many bytes, four from each half of them. */
struct hc_eight {
    __m256i bytes;  /* for each code, the four bytes from the one it begins in, within its half */
    __m256i shifts; /* where in that byte */
    __m256i mask;
    size_t second; /* byte in which the second half begins */
};

/* The first code begins in bit `first` of its byte, 0..7. */
static inline struct hc_eight hc_eight_init(unsigned bits, unsigned first)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const unsigned second = (4 * bits + first) / 8;
    __m256i begin = _mm256_mullo_epi32(lane, _mm256_set1_epi32((int)bits));
    begin = _mm256_add_epi32(begin, _mm256_set1_epi32((int)first));
    __m256i half = _mm256_set_m128i(_mm_set1_epi32((int)second), _mm_setzero_si128());
    __m256i byte = _mm256_sub_epi32(_mm256_srli_epi32(begin, 3), half);
    return (struct hc_eight){
        .bytes =
            _mm256_add_epi32(_mm256_mullo_epi32(byte, _mm256_set1_epi32(0x01010101)), _mm256_set1_epi32(0x03020100)),
        .shifts = _mm256_and_si256(begin, _mm256_set1_epi32(7)),
        .mask = _mm256_set1_epi32((1 << bits) - 1),
        .second = second,
    };
}

/* Bytes that hc_eight_unpack reads at `in`, more than it needs. */
static inline size_t hc_eight_reads(const struct hc_eight *eight)
{
    return eight->second + 16;
}

static inline __m256i hc_eight_unpack(const struct hc_eight *eight, const uint8_t *in)
{
    __m128i first = _mm_loadu_si128((const __m128i *)in);
    __m128i second = _mm_loadu_si128((const __m128i *)(in + eight->second));
    __m256i spread = _mm256_shuffle_epi8(_mm256_set_m128i(second, first), eight->bytes);
    return _mm256_and_si256(_mm256_srlv_epi32(spread, eight->shifts), eight->mask);
}

#endif
