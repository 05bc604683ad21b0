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
    unsigned bits;
    size_t second; /* byte in which the second half begins */
};

static inline struct hc_eight hc_eight_init(unsigned bits)
{
    uint8_t bytes[32];
    uint32_t shifts[8];
    size_t second = 4 * bits / 8;
    for (unsigned i = 0; i < 8; i++) {
        shifts[i] = i * bits % 8;
        for (unsigned j = 0; j < 4; j++)
            bytes[4 * i + j] = (uint8_t)(i * bits / 8 - (i < 4 ? 0 : second) + j);
    }
    return (struct hc_eight){
        .bytes = _mm256_loadu_si256((const __m256i *)bytes),
        .shifts = _mm256_loadu_si256((const __m256i *)shifts),
        .mask = _mm256_set1_epi32((1 << bits) - 1),
        .bits = bits,
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
