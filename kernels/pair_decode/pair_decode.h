/* Decoding of `pair`: packed codes to weights.
 *
 * in: (pairs * bits + 7) / 8 bytes as bitpack.h lays them out, codes of 1..24 bits. table: `entries` pairs
 * of floats, at least one: the decoded value of every code (host code makes it in double and rounds once). out: 2 *
 * pairs floats. Reads no byte beyond the stated ones and no entry beyond the table: the result is the
 * number of codes that were not below entries (decoded as entry 0); 0 for sound input.
 * All tiers give the same bits.
 */
#ifndef HC_KERNELS_PAIR_DECODE_H
#define HC_KERNELS_PAIR_DECODE_H

#include <stddef.h>
#include <stdint.h>

struct hc_pair_decode_ops {
    size_t (*block)(const uint8_t *in, size_t pairs, unsigned bits, const float (*table)[2], uint32_t entries,
                    float *out);
};

void hc_pair_decode_c(struct hc_pair_decode_ops *ops);
void hc_pair_decode_avx2(struct hc_pair_decode_ops *ops);
void hc_pair_decode_avx512(struct hc_pair_decode_ops *ops);

#endif
