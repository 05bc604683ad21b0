/* Decoding of `window`: the codes of a row of tiles to the values of its weights, as the method codes them: unit scale,
 * still transformed.
 *
 * codes: `tiles` tiles of 32 k bytes, side by side; no alignment, no byte beyond them is read. out: 16 rows of 16 tiles
 * values, row r at out + r stride (in elements, at least 16 tiles); no alignment.
 *
 * `exact` gives the normative values, those of the table, which are half-precision numbers; all tiers give the same.
 * f32, f16 and bf16 are for speed: |fast - exact| <= HC_WINDOW_DECODE_BOUND for every code of every (k, L), to which
 * bf16 adds its own rounding, 2^-8 of the value. Plain C gives the normative values there too (bf16: rounded to
 * nearest, ties to even); what a vector tier gives depends on nothing but the code.
 */
#ifndef HC_KERNELS_WINDOW_DECODE_H
#define HC_KERNELS_WINDOW_DECODE_H

#include "common/window.h"

#define HC_WINDOW_DECODE_BOUND 0x1p-8

struct hc_window_decoder {
    const struct hc_window_code *code;
    const uint16_t *table; /* hc_window_table: 2^length entries by theta, not owned */
};

struct hc_window_decode_ops {
    void (*exact)(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, float *out,
                  size_t stride);
    void (*f32)(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, float *out, size_t stride);
    void (*f16)(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, uint16_t *out,
                size_t stride);
    void (*bf16)(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, uint16_t *out,
                 size_t stride);
};

/* The code of stream position t. */
static inline uint32_t hc_window_theta(const uint8_t *codes, unsigned k, unsigned length, unsigned t)
{
    unsigned bit = t * k, bytes = HC_TILE_WEIGHTS / 8 * k;
    uint32_t word = 0;
    for (unsigned i = 0; i < 3; i++)
        word |= (uint32_t)codes[(bit / 8 + i) % bytes] << 8 * i;
    return word >> bit % 8 & ((1u << length) - 1);
}

void hc_window_decode_c(struct hc_window_decode_ops *ops);
void hc_window_decode_avx2(struct hc_window_decode_ops *ops);
void hc_window_decode_avx512(struct hc_window_decode_ops *ops);

#endif
