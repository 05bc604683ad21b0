/* What the operations of the `window` method share: the tile, the winding, and the value of a code.
 *
 * A *tile* is 16 x 16 weights, stored as a cyclic string of 256 k bits: bit i is bit i mod 8 of byte i / 8. Weight t
 * (a *stream position*) has the code theta_t, the L bits that begin at bit t k, least significant first; its *place*
 * on the winding is the 16-bit number u = theta A 2^(16-L) mod 2^16, in two's complement; its value is g(x) with
 *     x = (u + 2^(15-L)) / 2^15,   g(x) = x (a + b x^4 + c x^64),
 * an odd function close to the inverse normal distribution function of (1 + x) / 2. The odd multiplier A and the
 * coefficients belong to (k, L) and are fitted so that weights are coded best when they have unit variance
 * (bench/multipliers prints them).
 */
#ifndef HC_KERNELS_COMMON_WINDOW_H
#define HC_KERNELS_COMMON_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HC_TILE = 16, /* rows and columns of a tile */
    HC_TILE_WEIGHTS = 256,
    HC_WINDOW_MAX_K = 8,      /* bits per weight: 1 to 6, and 8 */
    HC_WINDOW_MIN_LENGTH = 8, /* bits of a code */
    HC_WINDOW_MAX_LENGTH = 16,
};

/* The constants of one (k, L). */
struct hc_window_code {
    uint8_t k, length;
    uint16_t multiplier; /* A 2^(16-L) mod 2^16, A odd */
    double a, b, c;
};

/* NULL unless k is 1 to 6 or 8 and length is 8 to 16. */
const struct hc_window_code *hc_window_code_find(unsigned k, unsigned length);

static inline int16_t hc_window_place(uint32_t theta, uint16_t multiplier)
{
    uint16_t place = (uint16_t)(theta * multiplier);
    return (int16_t)(place < 0x8000 ? place : (int)place - 0x10000);
}

/* g at a place, in double: every operation rounded once, x^64 by six squarings. */
double hc_window_value(const struct hc_window_code *code, int16_t place);

/* The normative value of every code: g rounded to float32, that to half precision (ties to even). table: 2^length
 * entries, by theta. */
void hc_window_table(const struct hc_window_code *code, uint16_t *table);

/* The order of a tile, that of the A operand of mma.m16n8k16: position 8 lane + j, lane = 4 g + t, is row g (j = 0, 1,
 * 4, 5) or g + 8 (2, 3, 6, 7) and column 2 t + j mod 2, 8 more from j = 4 on. */
static inline unsigned hc_window_row(unsigned position)
{
    return (position >> 5) + ((position >> 1 & 1) << 3);
}
static inline unsigned hc_window_column(unsigned position)
{
    return (position >> 3 & 3) << 1 | (position & 1) | (position >> 2 & 1) << 3;
}

#endif
