#include "bitpack.h"

#include <assert.h>

#include "common/bits.h"

static void pack(const uint32_t *codes, size_t n, unsigned bits, uint8_t *out)
{
    uint64_t waiting = 0;
    unsigned filled = 0; /* bits of `waiting`: below 32 between two codes */
    for (size_t i = 0; i < n; i++) {
        assert((uint64_t)codes[i] >> bits == 0);
        waiting |= (uint64_t)codes[i] << filled;
        filled += bits;
        if (filled >= 32) {
            hc_store_le32(out, (uint32_t)waiting);
            out += 4;
            waiting >>= 32;
            filled -= 32;
        }
    }
    for (; filled > 0; filled -= filled < 8 ? filled : 8) {
        *out++ = (uint8_t)waiting;
        waiting >>= 8;
    }
}

static void unpack(const uint8_t *in, size_t n, unsigned bits, uint32_t *codes)
{
    struct hc_bit_reader reader = hc_bit_reader_init(in, n, bits);
    for (size_t i = 0; i < n; i++)
        codes[i] = hc_bit_reader_next(&reader, bits);
}

void hc_bitpack_c(struct hc_bitpack_ops *ops)
{
    ops->pack = pack;
    ops->unpack = unpack;
}
