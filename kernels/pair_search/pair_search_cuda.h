/* CUDA version of pair_search.h: many blocks, and several grids, at once. The same bits as the CPU's.
 *
 * weights: blocks of HC_BLOCK, aligned to 8 bytes. All pointers are device memory. Launchers queue on `stream`
 * and return the launch error. */
#ifndef HC_KERNELS_PAIR_SEARCH_CUDA_H
#define HC_KERNELS_PAIR_SEARCH_CUDA_H

#include <cuda_runtime_api.h>

#include "pair_search/pair_search.h"

#ifdef __cplusplus
extern "C" {
#endif

/* pair_search.block over n >= 1 weights and grid_count grids: block b with grid g to out[g * blocks + b], where
 * blocks = ceil(n / HC_BLOCK). counts: how many weights each block holds, beginning at b * HC_BLOCK; NULL:
 * all of the n. codes: NULL, or, with one grid and no counts, room for (n + 1) / 2. */
cudaError_t hc_pair_search_cuda(const float *weights, size_t n, const uint32_t *counts,
                                const struct hc_pair_grid *grids, size_t grid_count, uint32_t *codes,
                                struct hc_pair_search *out, cudaStream_t stream);

/* pair_search.outer over n >= 1 weights: those of block b to out + b * HC_BLOCK, their number to counts[b]. out:
 * room for n + 1 floats, aligned to 8 bytes. */
cudaError_t hc_pair_outer_cuda(const float *weights, size_t n, const struct hc_pair_grid *grid, float *out,
                               uint32_t *counts, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
