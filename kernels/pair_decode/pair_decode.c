#include "pair_decode.h"

#include "common/bits.h"

static size_t block(const uint8_t *in, size_t pairs, unsigned bits, const float (*table)[2], uint32_t entries,
                    float *out)
{
    struct hc_bit_reader reader = hc_bit_reader_init(in, pairs, bits);
    size_t strays = 0;
    for (size_t i = 0; i < pairs; i++) {
        uint32_t code = hc_bit_reader_next(&reader, bits);
        if (code >= entries) {
            strays++;
            code = 0;
        }
        out[2 * i] = table[code][0];
        out[2 * i + 1] = table[code][1];
    }
    return strays;
}

void hc_pair_decode_c(struct hc_pair_decode_ops *ops)
{
    ops->block = block;
}
