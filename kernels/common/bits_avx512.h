/* Eight codes at a time: they take as many whole bytes as a code has bits. Needs AVX-512 VBMI. */
#ifndef HC_KERNELS_COMMON_BITS_AVX512_H
#define HC_KERNELS_COMMON_BITS_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* How to take eight codes of `bits` bits (1..32) out of that many bytes. */
struct hc_octet {
    __m512i bytes;  /* for each code, the bytes from the one it begins in */
    __m512i shifts; /* where in that byte */
    __m512i mask;
    unsigned bits;
};

static inline struct hc_octet hc_octet_init(unsigned bits)
{
    uint8_t bytes[64];
    uint64_t shifts[8];
    for (unsigned i = 0; i < 8; i++) {
        shifts[i] = i * bits % 8;
        for (unsigned j = 0; j < 8; j++)
            bytes[8 * i + j] = (uint8_t)(i * bits / 8 + j);
    }
    return (struct hc_octet){
        .bytes = _mm512_loadu_si512(bytes),
        .shifts = _mm512_loadu_si512(shifts),
        .mask = _mm512_set1_epi64((int64_t)((UINT64_C(1) << bits) - 1)),
        .bits = bits,
    };
}

/* Eight codes from the `left` bytes at `in`, of which no more than needed are read; those that are missing are 0. */
static inline __m512i hc_octet_unpack(const struct hc_octet *octet, const uint8_t *in, size_t left)
{
    size_t bytes = left < octet->bits ? left : octet->bits;
    __m256i string = _mm256_maskz_loadu_epi8((__mmask32)((UINT64_C(1) << bytes) - 1), in);
    __m512i spread = _mm512_permutexvar_epi8(octet->bytes, _mm512_castsi256_si512(string));
    return _mm512_and_si512(_mm512_srlv_epi64(spread, octet->shifts), octet->mask);
}

#endif
