/* CUDA version of compare.h: many blocks of HC_BLOCK weights at once.
 *
 * weights, decoded: n >= 1 of them; out: one result per block (the last may be shorter). All in device memory. Queues
 * on `stream`, returns the launch error. */
#ifndef HC_KERNELS_COMPARE_CUDA_H
#define HC_KERNELS_COMPARE_CUDA_H

#include <cuda_runtime_api.h>

#include "compare/compare.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_compare_cuda(const float *weights, const float *decoded, size_t n, struct hc_compare *out,
                            cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
