/* Codes of `bits` bits each (1..32) as one string of bits.
 *
 * Code i takes the bits i*bits .. i*bits + bits - 1 of the string; bit j of the string is bit j mod 8
 * of byte j / 8 (least significant first). pack writes (n * bits + 7) / 8 bytes, the unused bits of
 * the last one 0, and never touches more; codes must be below 2^bits. unpack reads those bytes and no
 * more.
 */
#ifndef HC_KERNELS_BITPACK_H
#define HC_KERNELS_BITPACK_H

#include <stddef.h>
#include <stdint.h>

struct hc_bitpack_ops {
    void (*pack)(const uint32_t *codes, size_t n, unsigned bits, uint8_t *out);
    void (*unpack)(const uint8_t *in, size_t n, unsigned bits, uint32_t *codes);
};

void hc_bitpack_c(struct hc_bitpack_ops *ops);
void hc_bitpack_avx2(struct hc_bitpack_ops *ops);
void hc_bitpack_avx512(struct hc_bitpack_ops *ops);

#endif
