#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
        return hc_fail(error, HC_ERR_DEVICE, "there is no CUDA device %d: %d %s here, counted from 0", device->ordinal,
                       count, count == 1 ? "is" : "are");
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

double hc_cuda_device_speed(const char *spec)
{
    /* Data sheet of the A100 (80 GB, SXM): its multiprocessors, and their boost clock in kHz. */
    static const double a100_processors = 108, a100_clock = 1.41e6;
    int ordinal, processors = 0, clock = 0;

    if (parse_ordinal(spec, &ordinal, NULL) != HC_OK)
        return 0;
    if (cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, ordinal) != cudaSuccess ||
        cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, ordinal) != cudaSuccess) {
        cudaGetLastError(); /* nobody fails for it */
        return 0;
    }
    return processors > 0 && clock > 0 ? processors * (double)clock / (a100_processors * a100_clock) : 0;
}

/* What is wanted, rounded up. */
static size_t mebibytes(size_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

hc_status hc_cuda_allocate(struct hc_cuda_device *device, size_t bytes, void **memory, struct hc_error *error)
{
    size_t available = 0, total = 0;
    *memory = NULL;
    hc_status status = hc_cuda_device_enter(device, error);
    if (status != HC_OK)
        return status;
    cudaError_t result = cudaMalloc(memory, bytes);
    if (result != cudaErrorMemoryAllocation)
        return hc_cuda_check(device, result, "cudaMalloc", error);
    cudaGetLastError(); /* it was no fault */
    status = hc_cuda_check(device, cudaMemGetInfo(&available, &total), "cudaMemGetInfo", error);
    return status == HC_OK ? hc_fail(error, HC_ERR_DEVICE,
                                     "CUDA device %d is out of memory: %zu MiB wanted, %zu MiB of its %zu MiB are free",
                                     device->ordinal, mebibytes(bytes), available >> 20, total >> 20)
                           : status;
}

void hc_cuda_free(struct hc_cuda_device *device, void *memory)
{
    if (memory && cudaSetDevice(device->ordinal) == cudaSuccess)
        cudaFree(memory);
}

hc_status hc_cuda_allocate_pinned(struct hc_cuda_device *device, size_t bytes, void **memory, struct hc_error *error)
{
    *memory = NULL;
    hc_status status = hc_cuda_device_enter(device, error);
    if (status != HC_OK)
        return status;
    cudaError_t result = cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
    if (result != cudaErrorMemoryAllocation)
        return hc_cuda_check(device, result, "cudaHostAlloc", error);
    cudaGetLastError();
    const size_t free = (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    return hc_fail(error, HC_ERR_MEMORY,
                   "out of memory: %zu MiB of pinned host memory wanted for CUDA device %d, %zu MiB are free",
                   mebibytes(bytes), device->ordinal, free >> 20);
}

void hc_cuda_free_pinned(struct hc_cuda_device *device, void *memory)
{
    if (memory && cudaSetDevice(device->ordinal) == cudaSuccess)
        cudaFreeHost(memory);
}

hc_status hc_cuda_device_open(struct hc_cuda_device *device, const char *spec, struct hc_error *error)
{
    hc_status status;

    memset(device, 0, sizeof *device);
    HC_TRY(parse_ordinal(spec, &device->ordinal, error));
    HC_TRY(choose(device, error));
    HC_TRY(hc_cuda_check(device, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking),
                         "cudaStreamCreateWithFlags", error));
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
        cudaStreamDestroy(device->stream);
    }
    /* What failed here, or before, must not turn up in the next call of somebody else's. */
    cudaGetLastError();
    memset(device, 0, sizeof *device);
}
