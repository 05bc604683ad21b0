/* cuBLAS, loaded where a network is prepared: its libraries take up to half a second to load, and most that hyperc does
 * needs none of them.
 */
#ifndef HC_CUDA_BLAS_H
#define HC_CUDA_BLAS_H

#include "device.h"

#include <cublas_v2.h>

/* Zeroed: not open. */
struct hc_cuda_blas {
    void *library;
    cublasHandle_t handle;
    /* The library's functions, by their own names. */
    __typeof__(&cublasCreate_v2) create;
    __typeof__(&cublasDestroy_v2) destroy;
    __typeof__(&cublasSetStream_v2) set_stream;
    __typeof__(&cublasSetWorkspace_v2) set_workspace;
    __typeof__(&cublasGemmEx) gemm_ex;
    __typeof__(&cublasGetStatusString) status_string;
};

/* sums (n x rows) = x (n x columns, x_stride apart) W^T, W rows x columns, row_stride apart; x in the type of W.
 * Pointers are device memory. */
struct hc_cuda_gemm {
    const void *weights, *x;
    cudaDataType_t type;
    uint32_t rows, columns, row_stride, x_stride, n;
    float *sums;
};

/* Opens it on the device's stream, if it is not open, to use `workspace`. HC_ERR_DEVICE: it is not there, or refuses;
 * the message names the call, and the
 * device is as good as before. In both cases to be closed. */
hc_status hc_cuda_blas_open(struct hc_cuda_blas *blas, const struct hc_cuda_device *device, void *workspace,
                            size_t bytes, struct hc_error *error);
void hc_cuda_blas_close(struct hc_cuda_blas *blas);

/* Queues the product, summed in float32. */
cublasStatus_t hc_cuda_blas_multiply(const struct hc_cuda_blas *blas, const struct hc_cuda_gemm *gemm);

#endif
