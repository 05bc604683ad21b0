#include "gpu.h"

hc_status gpu_open(struct gpu **gpu, struct hc_comm *comm, size_t count, struct hc_error *error)
{
    (void)comm;
    (void)count;
    *gpu = NULL;
    return hc_fail(error, HC_ERR_UNSUPPORTED, "built without CUDA");
}

void gpu_close(struct gpu *gpu)
{
    (void)gpu;
}

bool gpu_is_emulated(const struct gpu *gpu)
{
    (void)gpu;
    return false;
}

const char *gpu_way(const struct gpu *gpu)
{
    (void)gpu;
    return "none";
}

hc_status gpu_write(struct gpu *gpu, const float *data, size_t count, struct hc_error *error)
{
    (void)data;
    return gpu_all_reduce(gpu, count, error);
}

hc_status gpu_read(struct gpu *gpu, float *data, size_t count, struct hc_error *error)
{
    (void)data;
    return gpu_all_reduce(gpu, count, error);
}

hc_status gpu_all_reduce(struct gpu *gpu, size_t count, struct hc_error *error)
{
    (void)count;
    return gpu_wait(gpu, error);
}

hc_status gpu_all_gather(struct gpu *gpu, const size_t *bytes, struct hc_error *error)
{
    (void)bytes;
    return gpu_wait(gpu, error);
}

hc_status gpu_wait(struct gpu *gpu, struct hc_error *error)
{
    (void)gpu;
    return hc_fail(error, HC_ERR_UNSUPPORTED, "built without CUDA");
}
