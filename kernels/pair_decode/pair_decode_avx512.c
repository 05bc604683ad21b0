#include "pair_decode.h"

#include "common/bits_avx512.h"

static size_t block(const uint8_t *in, size_t pairs, unsigned bits, const float (*table)[2], uint32_t entries,
                    float *out)
{
    const struct hc_octet octet = hc_octet_init(bits);
    const __m512i limit = _mm512_set1_epi64(entries);
    size_t left = (pairs * bits + 7) / 8, strays = 0;
    for (size_t i = 0; i < pairs; i += 8) {
        __mmask8 here = pairs - i < 8 ? (__mmask8)((1U << (pairs - i)) - 1) : 0xff;
        __m512i codes = hc_octet_unpack(&octet, in, left);
        /* Of all eight, also where there is no pair: bits left over at the end must not lead out of the table. */
        __mmask8 stray = _mm512_cmpge_epu64_mask(codes, limit);
        if (stray != 0) {
            strays += (size_t)__builtin_popcount(stray & here);
            codes = _mm512_mask_mov_epi64(codes, stray, _mm512_setzero_si512());
        }
        __m512i values = _mm512_i64gather_epi64(codes, table, 8);
        _mm512_mask_storeu_epi64(out + 2 * i, here, values);
        in += bits;
        left -= left < bits ? left : bits;
    }
    return strays;
}

void hc_pair_decode_avx512(struct hc_pair_decode_ops *ops)
{
    ops->block = block;
}
