/* Looking up codes of `pair` in the table of their pairs: scalar shifts and plain loads, which are faster than gathers.
 * Needs AVX2 and BMI2. */
#ifndef HC_KERNELS_COMMON_PAIR_AVX2_H
#define HC_KERNELS_COMMON_PAIR_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How to look up eight codes of `bits` bits (1..24), which take that many bytes. Codes come from words of 64 bits: four
 * from one where they fit whatever bit they begin in, else two. */
struct hc_lookup {
    const float (*table)[2];
    uint64_t mask;
    unsigned bits;
    /* The codes 0, 2, 4 and 6 begin in the bit `bit` of the byte `byte`. */
    size_t byte[4];
    unsigned bit[4];
};

enum { HC_LOOKUP_FOURS_BITS = 14 };

/* Code 0 begins in bit `first` of its byte, 0..7. */
static inline struct hc_lookup hc_lookup_init(const float (*table)[2], unsigned bits, unsigned first)
{
    struct hc_lookup lookup = {.table = table, .mask = (UINT64_C(1) << bits) - 1, .bits = bits};
    for (unsigned i = 0; i < 4; i++) {
        lookup.byte[i] = (2 * i * bits + first) / 8;
        lookup.bit[i] = (2 * i * bits + first) % 8;
    }
    return lookup;
}

static inline uint64_t hc_lookup_word(const struct hc_lookup *lookup, const uint8_t *in, unsigned i)
{
    uint64_t word;
    memcpy(&word, in + lookup->byte[i], sizeof word);
    return word >> lookup->bit[i];
}

/* The pairs of the two codes that `word` begins with. */
static inline __m128 hc_lookup_two(const struct hc_lookup *lookup, uint64_t word)
{
    const void *low = lookup->table[word & lookup->mask], *high = lookup->table[word >> lookup->bits & lookup->mask];
    return _mm_loadh_pi(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)low)), (const __m64 *)high);
}

/* The pairs of the codes 0 to 3 (half 0) or 4 to 7 (half 1), all below the entries of the table. Reads no byte at `in`
 * that hc_eight_unpack (bits_avx2.h) does not. `fours`, whether bits are at most HC_LOOKUP_FOURS_BITS, and `half` are
 * constants. */
static inline __attribute__((always_inline)) __m256 hc_lookup_four(const struct hc_lookup *lookup, const uint8_t *in,
                                                                   const unsigned half, const bool fours)
{
    uint64_t low = hc_lookup_word(lookup, in, 2 * half);
    uint64_t high = fours ? low >> 2 * lookup->bits : hc_lookup_word(lookup, in, 2 * half + 1);
    return _mm256_set_m128(hc_lookup_two(lookup, high), hc_lookup_two(lookup, low));
}

#endif
