/* Device code: the normative value of one weight, from the codes of its row of tiles. */
#ifndef HC_KERNELS_WINDOW_DECODE_CUH
#define HC_KERNELS_WINDOW_DECODE_CUH

#include <cuda_fp16.h>

#include "window_decode/window_decode.h"

/* What a kernel needs of a coder. */
struct hc_window_lookup {
    const uint16_t *table;
    unsigned k, mask; /* of `length` bits */
};

static inline struct hc_window_lookup hc_window_lookup_of(const struct hc_window_code *code, const uint16_t *table)
{
    struct hc_window_lookup lookup = {table, code->k, (1u << code->length) - 1};
    return lookup;
}

/* The stream position of a row and a column of a tile: the inverse of hc_window_row and hc_window_column. */
static __device__ inline unsigned hc_window_position(unsigned row, unsigned column)
{
    unsigned lane = 4 * (row & 7) + (column >> 1 & 3);
    return 8 * lane + ((column >> 3) << 2 | (row >> 3) << 1 | (column & 1));
}

/* codes: of the row of tiles, aligned to 4 bytes; row: within it, 0 .. 15. A window of up to 16 bits lies in two words
 * of the tile, the first after the last. */
static __device__ inline float hc_window_exact(struct hc_window_lookup lookup, const uint8_t *codes, unsigned row,
                                               size_t column)
{
    unsigned words = HC_TILE_WEIGHTS / 32 * lookup.k;
    const uint32_t *tile = (const uint32_t *)codes + column / HC_TILE * words;
    unsigned bit = hc_window_position(row, (unsigned)(column % HC_TILE)) * lookup.k;
    unsigned word = bit / 32, next = word + 1 < words ? word + 1 : 0;
    uint32_t theta = __funnelshift_r(tile[word], tile[next], bit % 32) & lookup.mask;
    return __half2float(__ushort_as_half(lookup.table[theta]));
}

#endif
