#include "blas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

void hc_cuda_blas_close(struct hc_cuda_blas *blas)
{
    if (blas->handle)
        blas->destroy(blas->handle);
    if (blas->library)
        dlclose(blas->library);
    *blas = (struct hc_cuda_blas){0};
}

/* The version that this was built for, as the loader finds it, or where it was at build time. */
static hc_status load(struct hc_cuda_blas *blas, struct hc_error *error)
{
    char name[64], path[1024];
    snprintf(name, sizeof name, "libcublas.so.%d", CUBLAS_VER_MAJOR);
    snprintf(path, sizeof path, "%s/%s", HC_CUBLAS_FOLDER, name);
    blas->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!blas->library)
        blas->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (blas->library)
        return HC_OK;
    const char *why = dlerror();
    return hc_fail(error, HC_ERR_DEVICE, "cuBLAS does not load: dlopen of %s, and of %s: %s", name, path,
                   why ? why : "no reason");
}

/* function: where its address goes. */
static hc_status find(const struct hc_cuda_blas *blas, const char *name, void *function, struct hc_error *error)
{
    void *address = dlsym(blas->library, name);
    memcpy(function, &address, sizeof address);
    if (address)
        return HC_OK;
    const char *why = dlerror();
    return hc_fail(error, HC_ERR_DEVICE, "cuBLAS does not load: dlsym of %s: %s", name, why ? why : "no reason");
}

static hc_status find_all(struct hc_cuda_blas *blas, struct hc_error *error)
{
    hc_status status;
    HC_TRY(load(blas, error));
    HC_TRY(find(blas, "cublasCreate_v2", &blas->create, error));
    HC_TRY(find(blas, "cublasDestroy_v2", &blas->destroy, error));
    HC_TRY(find(blas, "cublasSetStream_v2", &blas->set_stream, error));
    HC_TRY(find(blas, "cublasSetWorkspace_v2", &blas->set_workspace, error));
    HC_TRY(find(blas, "cublasGemmEx", &blas->gemm_ex, error));
    HC_TRY(find(blas, "cublasGetStatusString", &blas->status_string, error));
done:
    if (status != HC_OK)
        hc_cuda_blas_close(blas);
    return status;
}

static hc_status succeeded(const struct hc_cuda_blas *blas, const struct hc_cuda_device *device, cublasStatus_t result,
                           const char *call, struct hc_error *error)
{
    return result == CUBLAS_STATUS_SUCCESS ? HC_OK
                                           : hc_fail(error, HC_ERR_DEVICE, "CUDA device %d: %s: %s", device->ordinal,
                                                     call, blas->status_string(result));
}

hc_status hc_cuda_blas_open(struct hc_cuda_blas *blas, const struct hc_cuda_device *device, void *workspace,
                            size_t bytes, struct hc_error *error)
{
    hc_status status;
    if (!blas->library)
        HC_TRY(find_all(blas, error));
    if (!blas->handle)
        HC_TRY(succeeded(blas, device, blas->create(&blas->handle), "cublasCreate", error));
    HC_TRY(succeeded(blas, device, blas->set_stream(blas->handle, device->stream), "cublasSetStream", error));
    /* After the stream, which resets it. */
    HC_TRY(succeeded(blas, device, blas->set_workspace(blas->handle, workspace, bytes), "cublasSetWorkspace", error));
done:
    return status;
}

cublasStatus_t hc_cuda_blas_multiply(const struct hc_cuda_blas *blas, const struct hc_cuda_gemm *gemm)
{
    const float one = 1, zero = 0;
    return blas->gemm_ex(blas->handle, CUBLAS_OP_T, CUBLAS_OP_N, (int)gemm->rows, (int)gemm->n, (int)gemm->columns,
                         &one, gemm->weights, gemm->type, (int)gemm->row_stride, gemm->x, gemm->type,
                         (int)gemm->x_stride, &zero, gemm->sums, CUDA_R_32F, (int)gemm->rows, CUBLAS_COMPUTE_32F,
                         CUBLAS_GEMM_DEFAULT);
}
