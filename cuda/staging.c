#include "staging.h"

#include <string.h>

enum {
    ALIGNMENT = 256,
    /* Packed codes are read in words, two at a time: beyond their end, too. */
    PACKED_BYTES = HC_CUDA_CHUNK_PAIRS / 8 * HC_CUDA_CODE_BITS + ALIGNMENT,
    SLOT_BYTES = HC_CUDA_CHUNK * 4 * 2 + PACKED_BYTES + ALIGNMENT
};

static const size_t region_bytes[HC_CUDA_REGIONS] = {
    [HC_CUDA_RAW] = (size_t)HC_CUDA_CHUNK * 2,
    [HC_CUDA_WEIGHTS] = (size_t)HC_CUDA_CHUNK * sizeof(float),
    [HC_CUDA_DECODED] = (size_t)HC_CUDA_CHUNK * sizeof(float),
    [HC_CUDA_CODES] = (size_t)HC_CUDA_CHUNK_PAIRS * sizeof(uint32_t),
    [HC_CUDA_PACKED] = PACKED_BYTES,
    [HC_CUDA_TABLE] = ((size_t)1 << HC_CUDA_CODE_BITS) * sizeof(float[2]),
    [HC_CUDA_GRID] = HC_CUDA_GRIDS * sizeof(struct hc_pair_grid),
    [HC_CUDA_COUNTS] = HC_CUDA_CHUNK_BLOCKS * sizeof(uint32_t),
    [HC_CUDA_FAULTS] = sizeof(uint32_t),
    /* The largest: pair_try's. */
    [HC_CUDA_RESULTS] = (size_t)HC_CUDA_GRIDS * HC_CUDA_CHUNK_BLOCKS * sizeof(struct hc_pair_search),
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

hc_status hc_cuda_upload(struct hc_cuda_staging *staging, enum hc_cuda_region region, const void *from, size_t bytes,
                         struct hc_error *error)
{
    cudaError_t result =
        cudaMemcpyAsync(staging->region[region], from, bytes, cudaMemcpyHostToDevice, staging->device.stream);
    return hc_cuda_check(&staging->device, result, "cudaMemcpyAsync to the device", error);
}

hc_status hc_cuda_download(struct hc_cuda_staging *staging, enum hc_cuda_region region, void *to, size_t bytes,
                           struct hc_error *error)
{
    cudaError_t result =
        cudaMemcpyAsync(to, staging->region[region], bytes, cudaMemcpyDeviceToHost, staging->device.stream);
    return hc_cuda_check(&staging->device, result, "cudaMemcpyAsync from the device", error);
}

static hc_status allocate_arena(struct hc_cuda_staging *staging, struct hc_error *error)
{
    size_t bytes = 0, offset = 0;
    for (int i = 0; i < HC_CUDA_REGIONS; i++)
        bytes += aligned(region_bytes[i]);
    void *arena;
    hc_status status = hc_cuda_allocate(&staging->device, bytes, &arena, error);
    staging->arena = arena;
    for (int i = 0; status == HC_OK && i < HC_CUDA_REGIONS; i++) {
        staging->region[i] = staging->arena + offset;
        offset += aligned(region_bytes[i]);
    }
    return status;
}

static hc_status allocate_slots(struct hc_cuda_staging *staging, struct hc_error *error)
{
    void *pinned;
    hc_status status = hc_cuda_allocate_pinned(&staging->device, (size_t)HC_CUDA_SLOTS * SLOT_BYTES, &pinned, error);
    staging->pinned = pinned;
    for (int i = 0; status == HC_OK && i < HC_CUDA_SLOTS; i++) {
        struct hc_cuda_slot *slot = &staging->slot[i];
        slot->weights = staging->pinned + (size_t)i * SLOT_BYTES;
        slot->results = slot->weights + HC_CUDA_CHUNK * sizeof(float);
        slot->faults = (void *)(slot->results + HC_CUDA_CHUNK * sizeof(float));
        slot->packed = slot->results + HC_CUDA_CHUNK * sizeof(float) + ALIGNMENT;
        status = hc_cuda_check(&staging->device, cudaEventCreateWithFlags(&slot->done, cudaEventDisableTiming),
                               "cudaEventCreateWithFlags", error);
    }
    return status;
}

hc_status hc_cuda_staging_open(struct hc_cuda_staging *staging, const char *spec, struct hc_error *error)
{
    memset(staging, 0, sizeof *staging);
    hc_status status = hc_cuda_device_open(&staging->device, spec, error);
    if (status == HC_OK)
        status = allocate_arena(staging, error);
    if (status == HC_OK)
        status = allocate_slots(staging, error);
    if (status != HC_OK)
        hc_cuda_staging_close(staging);
    return status;
}

void hc_cuda_staging_close(struct hc_cuda_staging *staging)
{
    if (staging->device.stream) {
        cudaSetDevice(staging->device.ordinal);
        cudaStreamSynchronize(staging->device.stream);
    }
    for (int i = 0; i < HC_CUDA_SLOTS; i++)
        if (staging->slot[i].done)
            cudaEventDestroy(staging->slot[i].done);
    hc_cuda_free_pinned(&staging->device, staging->pinned);
    hc_cuda_free(&staging->device, staging->arena);
    hc_cuda_device_close(&staging->device);
    memset(staging, 0, sizeof *staging);
}
