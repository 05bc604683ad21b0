/* CUDA version of pair_extent.h: many blocks at once.
 *
 * weights: n >= 1 of them, aligned to 8 bytes; grid: one; out: one result per block of HC_BLOCK weights. All in
 * device memory. Queues on `stream`, returns the launch error. */
#ifndef HC_KERNELS_PAIR_EXTENT_CUDA_H
#define HC_KERNELS_PAIR_EXTENT_CUDA_H

#include <cuda_runtime_api.h>

#include "pair_extent/pair_extent.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_pair_extent_cuda(const float *weights, size_t n, const struct hc_pair_grid *grid,
                                struct hc_pair_extent *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
