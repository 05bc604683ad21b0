/* CUDA version of hadamard.h.
 *
 * data: device memory, aligned to 4 bytes; n >= 1. Queues on `stream`, returns the launch error. */
#ifndef HC_KERNELS_HADAMARD_CUDA_H
#define HC_KERNELS_HADAMARD_CUDA_H

#include <cuda_runtime_api.h>

#include "hadamard/hadamard.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_hadamard_cuda(float *data, size_t n, unsigned block, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
