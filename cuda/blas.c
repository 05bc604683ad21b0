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
static void *load(void)
{
    char name[64], path[1024];
    snprintf(name, sizeof name, "libcublas.so.%d", CUBLAS_VER_MAJOR);
    snprintf(path, sizeof path, "%s/%s", HC_CUBLAS_FOLDER, name);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    return library ? library : dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* function: where its address goes. */
static bool find(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address;
}

static hc_status find_all(struct hc_cuda_blas *blas, struct hc_error *error)
{
    blas->library = load();
    bool found = blas->library && find(blas->library, "cublasCreate_v2", &blas->create) &&
                 find(blas->library, "cublasDestroy_v2", &blas->destroy) &&
                 find(blas->library, "cublasSetStream_v2", &blas->set_stream) &&
                 find(blas->library, "cublasSetWorkspace_v2", &blas->set_workspace) &&
                 find(blas->library, "cublasGemmEx", &blas->gemm_ex) &&
                 find(blas->library, "cublasGetStatusString", &blas->status_string);
    if (found)
        return HC_OK;
    const char *why = dlerror();
    hc_status status = hc_fail(error, HC_ERR_DEVICE, "cuBLAS does not load: %s", why ? why : "no reason");
    hc_cuda_blas_close(blas);
    return status;
}

hc_status hc_cuda_blas_open(struct hc_cuda_blas *blas, const struct hc_cuda_device *device, void *workspace,
                            size_t bytes, struct hc_error *error)
{
    hc_status found = blas->library ? HC_OK : find_all(blas, error);
    if (found != HC_OK)
        return found;
    cublasStatus_t status = blas->handle ? CUBLAS_STATUS_SUCCESS : blas->create(&blas->handle);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = blas->set_stream(blas->handle, device->stream);
    if (status == CUBLAS_STATUS_SUCCESS) /* after the stream, which resets it */
        status = blas->set_workspace(blas->handle, workspace, bytes);
    return status == CUBLAS_STATUS_SUCCESS ? HC_OK
                                           : hc_fail(error, HC_ERR_DEVICE, "CUDA device %d: cuBLAS: %s",
                                                     device->ordinal, blas->status_string(status));
}
