#include "gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ranks.h"

struct gpu {
    struct hc_cuda_device device;
    struct hc_cuda_ranks ranks;
    float *data;
    uint32_t *widths; /* of every rank, in a gathering */
    bool emulated;
    hc_status status; /* of the first failure */
    struct hc_error fault;
};

/* A failure is kept: what is under way then is given up, not waited for. */
static hc_status keep(struct gpu *gpu, hc_status status, const struct hc_error *error)
{
    if (gpu->status == HC_OK && status != HC_OK) {
        gpu->status = status;
        gpu->fault = *error;
    }
    return status;
}

static hc_status look_at(struct gpu *gpu, struct hc_error *error)
{
    struct cudaDeviceProp properties;
    cudaError_t result = cudaGetDeviceProperties(&properties, gpu->device.ordinal);
    hc_status status = hc_cuda_check(&gpu->device, result, "cudaGetDeviceProperties", error);
    gpu->emulated = status == HC_OK && strstr(properties.name, "(cuemu)");
    return status;
}

hc_status gpu_open(struct gpu **out, struct hc_comm *comm, size_t count, struct hc_error *error)
{
    char number[16];
    void *data;
    struct gpu *gpu = calloc(1, sizeof *gpu);
    *out = gpu;
    if (!gpu)
        return hc_no_memory(error);
    gpu->widths = malloc((size_t)comm->ranks * sizeof *gpu->widths);
    hc_status status = gpu->widths ? HC_OK : hc_no_memory(error);
    HC_TRY(status);
    snprintf(number, sizeof number, "%d", comm->local_rank);
    HC_TRY(hc_cuda_device_open(&gpu->device, number, error));
    HC_TRY(look_at(gpu, error));
    HC_TRY(hc_cuda_allocate(&gpu->device, count * sizeof *gpu->data, &data, error));
    gpu->data = data;
    HC_TRY(hc_cuda_ranks_join(&gpu->ranks, &gpu->device, comm, error));
done:
    return keep(gpu, status, error);
}

void gpu_close(struct gpu *gpu)
{
    if (!gpu)
        return;
    if (gpu->status != HC_OK)
        hc_cuda_ranks_give_up(&gpu->ranks, &gpu->device, &gpu->fault);
    hc_cuda_ranks_leave(&gpu->ranks, &gpu->device);
    hc_cuda_free(&gpu->device, gpu->data);
    hc_cuda_device_close(&gpu->device);
    free(gpu->widths);
    free(gpu);
}

bool gpu_is_emulated(const struct gpu *gpu)
{
    return gpu->emulated;
}

const char *gpu_way(const struct gpu *gpu)
{
    return gpu->ranks.nccl ? "GPUs, NCCL" : "GPUs, through the host";
}

static hc_status copy(struct gpu *gpu, void *to, const void *from, size_t count, struct hc_error *error)
{
    hc_status status = hc_cuda_device_enter(&gpu->device, error);
    if (status == HC_OK)
        status = hc_cuda_check(&gpu->device,
                               cudaMemcpyAsync(to, from, count * sizeof(float), cudaMemcpyDefault, gpu->device.stream),
                               "cudaMemcpyAsync", error);
    return status == HC_OK ? gpu_wait(gpu, error) : keep(gpu, status, error);
}

hc_status gpu_write(struct gpu *gpu, const float *data, size_t count, struct hc_error *error)
{
    return copy(gpu, gpu->data, data, count, error);
}

hc_status gpu_read(struct gpu *gpu, float *data, size_t count, struct hc_error *error)
{
    return copy(gpu, data, gpu->data, count, error);
}

hc_status gpu_all_reduce(struct gpu *gpu, size_t count, struct hc_error *error)
{
    const struct hc_cuda_rank_operation sum = {.kind = HC_CUDA_ALL_REDUCE, .n = count};
    return keep(gpu, hc_cuda_ranks_exchange(&gpu->ranks, &gpu->device, &sum, gpu->data, error), error);
}

hc_status gpu_all_gather(struct gpu *gpu, const size_t *bytes, struct hc_error *error)
{
    const struct hc_comm *comm = gpu->ranks.comm;
    struct hc_cuda_rank_operation what = {.kind = HC_CUDA_GATHER,
                                          .parts = {gpu->data, gpu->widths, 1, comm->rank, comm->ranks}};
    for (int r = 0; r < comm->ranks; r++) {
        gpu->widths[r] = (uint32_t)(bytes[r] / sizeof *gpu->data);
        what.n += gpu->widths[r];
        what.parts.mine += r < comm->rank ? gpu->widths[r] : 0;
    }
    return keep(gpu, hc_cuda_ranks_exchange(&gpu->ranks, &gpu->device, &what, gpu->data, error), error);
}

hc_status gpu_wait(struct gpu *gpu, struct hc_error *error)
{
    return keep(gpu, hc_cuda_ranks_wait(&gpu->ranks, &gpu->device, error), error);
}
