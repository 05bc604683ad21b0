/* CUDA version of silu.h: the same bits, but for NaN payloads. All pointers are device memory; launchers queue on
 * `stream`, and return the launch error. */
#ifndef HC_KERNELS_SILU_CUDA_H
#define HC_KERNELS_SILU_CUDA_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* gate[j] = silu(gate[j]) up[j] */
cudaError_t hc_silu_gate_cuda(float *gate, const float *up, size_t n, cudaStream_t stream);

/* x[j] += y[j] */
cudaError_t hc_add_cuda(float *x, const float *y, size_t n, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
