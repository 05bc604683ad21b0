/* CUDA version of rms_norm.h: the sum of squares in float32 in an order of its own, which depends on width alone: so a
 * few units in the last place from the CPU's. All pointers are device memory; the launcher queues on `stream`, and
 * returns the launch error. */
#ifndef HC_KERNELS_RMS_NORM_CUDA_H
#define HC_KERNELS_RMS_NORM_CUDA_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* rows x width; out may be x. */
cudaError_t hc_rms_norm_cuda(const float *x, const float *gain, size_t rows, size_t width, float epsilon, float *out,
                             cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
