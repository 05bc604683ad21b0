/* Second pass of `pair`: how far the pairs reach.
 *
 * For one block of n weights (1 <= n <= HC_BLOCK; odd: the last pair's y is grid->pad):
 * max_distance2 is the largest dx*dx + dy*dy with dx = (double)x - centre[0], dy likewise (each
 * operation rounded to double, no fma); outer counts pairs with |dx| > half or |dy| > half.
 * Reads centre, half and pad of the grid, nothing else. Weights are finite.
 */
#ifndef HC_KERNELS_PAIR_EXTENT_H
#define HC_KERNELS_PAIR_EXTENT_H

#include "common/pair.h"

struct hc_pair_extent {
    double max_distance2;
    uint64_t outer;
};

struct hc_pair_extent_ops {
    void (*block)(const float *weights, size_t n, const struct hc_pair_grid *grid, struct hc_pair_extent *out);
};

void hc_pair_extent_c(struct hc_pair_extent_ops *ops);
void hc_pair_extent_avx2(struct hc_pair_extent_ops *ops);
void hc_pair_extent_avx512(struct hc_pair_extent_ops *ops);

#endif
