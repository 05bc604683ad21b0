#include "bitpack.h"

#include "common/bits_avx2.h"

static void unpack(const uint8_t *in, size_t n, unsigned bits, uint32_t *codes)
{
    size_t i = 0, left = (n * bits + 7) / 8;
    if (bits <= HC_EIGHT_MAX_BITS) {
        const struct hc_eight eight = hc_eight_init(bits, 0);
        for (; n - i >= 8 && left >= hc_eight_reads(&eight); i += 8, in += bits, left -= bits)
            _mm256_storeu_si256((__m256i *)(codes + i), hc_eight_unpack(&eight, in));
    }
    struct hc_bitpack_ops plain;
    hc_bitpack_c(&plain);
    plain.unpack(in, n - i, bits, codes + i);
}

/* Packing stays plain C's. */
void hc_bitpack_avx2(struct hc_bitpack_ops *ops)
{
    ops->unpack = unpack;
}
