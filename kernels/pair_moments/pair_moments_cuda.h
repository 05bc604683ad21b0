/* CUDA version of pair_moments.h: many blocks at once.
 *
 * weights: n >= 1 of them, device memory, aligned to 8 bytes. out: one result per block of HC_BLOCK weights (the
 * last may be shorter), device memory; the same bits as the CPU's. Queues on `stream`, returns the launch error. */
#ifndef HC_KERNELS_PAIR_MOMENTS_CUDA_H
#define HC_KERNELS_PAIR_MOMENTS_CUDA_H

#include <cuda_runtime_api.h>

#include "pair_moments/pair_moments.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_pair_moments_cuda(const float *weights, size_t n, struct hc_pair_moments *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
