/* Rows of stored matrices on a GPU. All pointers are device memory; launchers queue on `stream`, and return the launch
 * error. */
#ifndef HC_KERNELS_CONVERT_ROWS_CUDA_H
#define HC_KERNELS_CONVERT_ROWS_CUDA_H

#include <cuda_runtime_api.h>
#include <hyperc/hyperc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* out: n x columns floats, the rows of these numbers, zeros for a negative one; type: F32, F16 or BF16. n <= 65535. */
cudaError_t hc_convert_rows_cuda(const void *matrix, hc_type type, size_t columns, const int32_t *rows, size_t n,
                                 float *out, cudaStream_t stream);

/* n numbers, to nearest, ties to even; type: F16 or BF16. */
cudaError_t hc_convert_to_cuda(const float *x, size_t n, hc_type type, void *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
