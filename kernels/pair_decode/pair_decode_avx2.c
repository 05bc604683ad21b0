#include "pair_decode.h"

#include <string.h>

#include "common/bits_avx2.h"

static size_t block(const uint8_t *in, size_t pairs, unsigned bits, const float (*table)[2], uint32_t entries,
                    float *out)
{
    const struct hc_eight eight = hc_eight_init(bits, 0);
    const __m256i most = _mm256_set1_epi32((int32_t)(entries - 1));
    size_t i = 0, left = (pairs * bits + 7) / 8, strays = 0;
    for (; pairs - i >= 8 && left >= hc_eight_reads(&eight); i += 8, in += bits, left -= bits) {
        uint32_t codes[8];
        __m256i packed = hc_eight_unpack(&eight, in);
        /* All ones where a code is too large; codes are below 2^24, entries may be anything. */
        __m256i stray =
            _mm256_xor_si256(_mm256_cmpeq_epi32(_mm256_max_epu32(packed, most), most), _mm256_set1_epi32(-1));
        strays += (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(stray)));
        _mm256_storeu_si256((__m256i *)codes, _mm256_andnot_si256(stray, packed));
        for (int j = 0; j < 8; j++)
            memcpy(out + 2 * (i + (size_t)j), table[codes[j]], sizeof table[0]);
    }
    struct hc_pair_decode_ops plain;
    hc_pair_decode_c(&plain);
    return strays + plain.block(in, pairs - i, bits, table, entries, out + 2 * i);
}

void hc_pair_decode_avx2(struct hc_pair_decode_ops *ops)
{
    ops->block = block;
}
