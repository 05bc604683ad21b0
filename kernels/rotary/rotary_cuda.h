/* CUDA version of rotary.h. All pointers are device memory; launchers queue on `stream`, and return the launch error.
 */
#ifndef HC_KERNELS_ROTARY_CUDA_H
#define HC_KERNELS_ROTARY_CUDA_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* turns: n x 2 x count: for position *first + i the cosines, then the sines of the float32 product position
 * frequencies[d], taken as a double, to float32: now and then a neighbour of the CPU's number. n <= 65535. */
cudaError_t hc_rotary_turns_cuda(const uint32_t *first, size_t n, const float *frequencies, size_t count, float *turns,
                                 cudaStream_t stream);

/* x: n x heads x width, in place; turns: n x width, cosines and sines of every position. The same bits as the CPU's. n
 * <= 65535. */
cudaError_t hc_rotary_cuda(float *x, size_t n, size_t heads, size_t width, const float *turns, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
