#include "bitpack.h"

#include "common/bits_avx512.h"

/* How eight codes become a string. Shifted to its place within its first byte, a code spans at most 5 bytes; from 7
 * bits on, no byte holds more than two codes, and they are neighbours: an even one and an odd one. */
struct weave {
    __m512i shifts;
    __m512i even, odd;           /* source of each byte of the string */
    __mmask64 has_even, has_odd; /* bytes that hold such a code */
};

enum { LEAST_BITS = 7 };

static struct weave weave_init(unsigned bits)
{
    struct weave weave = {0};
    uint8_t source[2][64] = {{0}};
    uint64_t present[2] = {0}, shifts[8];
    for (unsigned i = 0; i < 8; i++) {
        unsigned first = i * bits / 8, last = (i * bits + bits - 1) / 8;
        shifts[i] = i * bits % 8;
        for (unsigned byte = first; byte <= last; byte++) {
            source[i % 2][byte] = (uint8_t)(8 * i + byte - first);
            present[i % 2] |= UINT64_C(1) << byte;
        }
    }
    weave.shifts = _mm512_loadu_si512(shifts);
    weave.even = _mm512_loadu_si512(source[0]);
    weave.odd = _mm512_loadu_si512(source[1]);
    weave.has_even = present[0];
    weave.has_odd = present[1];
    return weave;
}

static inline __m256i weave_eight(const struct weave *weave, __m256i codes)
{
    __m512i placed = _mm512_sllv_epi64(_mm512_cvtepu32_epi64(codes), weave->shifts);
    __m512i even = _mm512_maskz_permutexvar_epi8(weave->has_even, weave->even, placed);
    __m512i odd = _mm512_maskz_permutexvar_epi8(weave->has_odd, weave->odd, placed);
    return _mm512_castsi512_si256(_mm512_or_si512(even, odd));
}

static void pack(const uint32_t *codes, size_t n, unsigned bits, uint8_t *out)
{
    if (bits < LEAST_BITS) {
        struct hc_bitpack_ops plain;
        hc_bitpack_c(&plain);
        plain.pack(codes, n, bits, out);
        return;
    }
    const struct weave weave = weave_init(bits);
    for (size_t i = 0; i < n; i += 8, out += bits) {
        size_t count = n - i < 8 ? n - i : 8;
        __mmask8 here = (__mmask8)((1U << count) - 1);
        __mmask32 bytes = (__mmask32)((UINT64_C(1) << (count * bits + 7) / 8) - 1);
        _mm256_mask_storeu_epi8(out, bytes, weave_eight(&weave, _mm256_maskz_loadu_epi32(here, codes + i)));
    }
}

static void unpack(const uint8_t *in, size_t n, unsigned bits, uint32_t *codes)
{
    const struct hc_octet octet = hc_octet_init(bits);
    size_t left = (n * bits + 7) / 8;
    for (size_t i = 0; i < n; i += 8) {
        __mmask8 here = n - i < 8 ? (__mmask8)((1U << (n - i)) - 1) : 0xff;
        _mm256_mask_storeu_epi32(codes + i, here, _mm512_cvtepi64_epi32(hc_octet_unpack(&octet, in, left)));
        in += bits;
        left -= left < bits ? left : bits;
    }
}

void hc_bitpack_avx512(struct hc_bitpack_ops *ops)
{
    ops->pack = pack;
    ops->unpack = unpack;
}
