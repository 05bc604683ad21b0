#include "device.h"

#include <stdlib.h>
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

static hc_status poison(struct hc_cuda_device *device, struct hc_error *error)
{
    device->poisoned = true;
    return hc_fail(error, HC_ERR_DEVICE, "%s", device->fault.text);
}

hc_status hc_cuda_check(struct hc_cuda_device *device, cudaError_t result, const char *call, struct hc_error *error)
{
    if (result == cudaSuccess)
        return HC_OK;
    /* Errors that come up between two operations also show here: the first one is the one to tell. */
    if (!device->poisoned)
        hc_fail(&device->fault, HC_ERR_DEVICE, "CUDA device %d: %s: %s (%s)", device->ordinal, call,
                cudaGetErrorString(result), cudaGetErrorName(result));
    return poison(device, error);
}

hc_status hc_cuda_device_enter(struct hc_cuda_device *device, struct hc_error *error)
{
    if (device->poisoned)
        return poison(device, error);
    return hc_cuda_check(device, cudaSetDevice(device->ordinal), "cudaSetDevice", error);
}

hc_status hc_cuda_upload(struct hc_cuda_device *device, enum hc_cuda_region region, const void *from, size_t bytes,
                         struct hc_error *error)
{
    cudaError_t result = cudaMemcpyAsync(device->region[region], from, bytes, cudaMemcpyHostToDevice, device->stream);
    return hc_cuda_check(device, result, "cudaMemcpyAsync to the device", error);
}

hc_status hc_cuda_download(struct hc_cuda_device *device, enum hc_cuda_region region, void *to, size_t bytes,
                           struct hc_error *error)
{
    cudaError_t result = cudaMemcpyAsync(to, device->region[region], bytes, cudaMemcpyDeviceToHost, device->stream);
    return hc_cuda_check(device, result, "cudaMemcpyAsync from the device", error);
}

static hc_status parse_ordinal(const char *spec, int *ordinal, struct hc_error *error)
{
    size_t digits = strspn(spec, "0123456789");
    if (digits > 4 || spec[digits] != '\0')
        return hc_fail(error, HC_ERR_ARGUMENT, "'cuda:%s' names no device; they are cuda:0, cuda:1, ...", spec);
    *ordinal = digits > 0 ? atoi(spec) : 0;
    return HC_OK;
}

static hc_status choose(struct hc_cuda_device *device, struct hc_error *error)
{
    int count = 0, major = 0, minor = 0;
    hc_status status;
    cudaError_t result = cudaGetDeviceCount(&count);

    if (result == cudaErrorNoDevice || result == cudaErrorInsufficientDriver || (result == cudaSuccess && count == 0))
        return hc_fail(error, HC_ERR_DEVICE, "no CUDA device: %s",
                       cudaGetErrorString(result == cudaSuccess ? cudaErrorNoDevice : result));
    HC_TRY(hc_cuda_check(device, result, "cudaGetDeviceCount", error));
    if (device->ordinal >= count)
        return hc_fail(error, HC_ERR_DEVICE, "there is no CUDA device %d: found %d, counted from 0", device->ordinal,
                       count);
    HC_TRY(hc_cuda_device_enter(device, error));
    HC_TRY(hc_cuda_check(device, cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device->ordinal),
                         "cudaDeviceGetAttribute", error));
    HC_TRY(hc_cuda_check(device, cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device->ordinal),
                         "cudaDeviceGetAttribute", error));
    if (major < 8)
        return hc_fail(error, HC_ERR_DEVICE, "CUDA device %d has compute capability %d.%d; 8.0 or newer is needed",
                       device->ordinal, major, minor);
done:
    return status;
}

static hc_status allocate_arena(struct hc_cuda_device *device, struct hc_error *error)
{
    size_t bytes = 0, available = 0, total = 0, offset = 0;
    for (int i = 0; i < HC_CUDA_REGIONS; i++)
        bytes += aligned(region_bytes[i]);

    cudaError_t result = cudaMalloc((void **)&device->arena, bytes);
    if (result == cudaErrorMemoryAllocation && cudaMemGetInfo(&available, &total) == cudaSuccess)
        return hc_fail(error, HC_ERR_DEVICE,
                       "CUDA device %d is out of memory: %zu MiB wanted, %zu MiB of its %zu MiB are free",
                       device->ordinal, bytes >> 20, available >> 20, total >> 20);
    hc_status status = hc_cuda_check(device, result, "cudaMalloc", error);
    if (status != HC_OK)
        return status;
    for (int i = 0; i < HC_CUDA_REGIONS; i++) {
        device->region[i] = device->arena + offset;
        offset += aligned(region_bytes[i]);
    }
    return HC_OK;
}

static hc_status allocate_slots(struct hc_cuda_device *device, struct hc_error *error)
{
    size_t bytes = (size_t)HC_CUDA_SLOTS * SLOT_BYTES;
    hc_status status;
    cudaError_t result = cudaHostAlloc((void **)&device->pinned, bytes, cudaHostAllocDefault);

    if (result == cudaErrorMemoryAllocation)
        return hc_fail(error, HC_ERR_MEMORY, "out of memory: %zu MiB of pinned host memory wanted for CUDA device %d",
                       bytes >> 20, device->ordinal);
    HC_TRY(hc_cuda_check(device, result, "cudaHostAlloc", error));
    for (int i = 0; i < HC_CUDA_SLOTS; i++) {
        struct hc_cuda_slot *slot = &device->slot[i];
        slot->weights = device->pinned + (size_t)i * SLOT_BYTES;
        slot->results = slot->weights + HC_CUDA_CHUNK * sizeof(float);
        slot->faults = (void *)(slot->results + HC_CUDA_CHUNK * sizeof(float));
        slot->packed = slot->results + HC_CUDA_CHUNK * sizeof(float) + ALIGNMENT;
        HC_TRY(hc_cuda_check(device, cudaEventCreateWithFlags(&slot->done, cudaEventDisableTiming),
                             "cudaEventCreateWithFlags", error));
    }
done:
    return status;
}

hc_status hc_cuda_device_open(struct hc_cuda_device *device, const char *spec, struct hc_error *error)
{
    hc_status status;

    memset(device, 0, sizeof *device);
    HC_TRY(parse_ordinal(spec, &device->ordinal, error));
    HC_TRY(choose(device, error));
    HC_TRY(hc_cuda_check(device, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking),
                         "cudaStreamCreateWithFlags", error));
    HC_TRY(allocate_arena(device, error));
    HC_TRY(allocate_slots(device, error));
done:
    if (status != HC_OK)
        hc_cuda_device_close(device);
    return status;
}

void hc_cuda_device_close(struct hc_cuda_device *device)
{
    if (device->stream) {
        cudaSetDevice(device->ordinal);
        cudaStreamSynchronize(device->stream);
    }
    for (int i = 0; i < HC_CUDA_SLOTS; i++)
        if (device->slot[i].done)
            cudaEventDestroy(device->slot[i].done);
    if (device->pinned)
        cudaFreeHost(device->pinned);
    if (device->arena)
        cudaFree(device->arena);
    if (device->stream)
        cudaStreamDestroy(device->stream);
    /* What failed here, or before, must not turn up in the next call of somebody else's. */
    cudaGetLastError();
    memset(device, 0, sizeof *device);
}
