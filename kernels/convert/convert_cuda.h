/* CUDA version of convert.h, for the two types that files of large models hold.
 *
 * Pointers are device memory, in aligned to 2 bytes and out to 4. Launchers queue on `stream` and return the launch
 * error. */
#ifndef HC_KERNELS_CONVERT_CUDA_H
#define HC_KERNELS_CONVERT_CUDA_H

#include <cuda_runtime_api.h>

#include "convert/convert.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_f16_to_f32_cuda(const uint16_t *in, size_t n, float *out, cudaStream_t stream);
cudaError_t hc_bf16_to_f32_cuda(const uint16_t *in, size_t n, float *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
