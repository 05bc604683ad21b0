#include "device.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATTERN = 0xff /* of floats: NaN */, BAND = 1024, MAX_BUFFERS = 64 };

static struct {
    uint8_t *memory; /* band, contents, and a band behind or nothing */
    size_t behind;
    size_t bytes;
} buffers[MAX_BUFFERS];
static size_t buffer_count;

static void succeeded(struct check *c, const char *call, cudaError_t result)
{
    if (result != cudaSuccess) {
        char what[128];
        snprintf(what, sizeof what, "%s: %s", call, cudaGetErrorName(result));
        check_fail(c, what, CHECK_WHOLE, INFINITY);
    }
}

static uint8_t *new_buffer(struct check *c, size_t bytes, size_t behind)
{
    uint8_t *memory = NULL;
    if (buffer_count == MAX_BUFFERS) {
        check_fail(c, "too many device buffers", CHECK_WHOLE, INFINITY);
        return NULL;
    }
    succeeded(c, "cudaMalloc", cudaMalloc((void **)&memory, BAND + bytes + behind));
    if (!memory)
        return NULL;
    succeeded(c, "cudaMemset", cudaMemset(memory, PATTERN, BAND + bytes + behind));
    buffers[buffer_count].memory = memory;
    buffers[buffer_count].behind = behind;
    buffers[buffer_count++].bytes = bytes;
    return memory + BAND;
}

void *device_buffer(struct check *c, size_t bytes)
{
    return new_buffer(c, bytes, BAND);
}

void *device_copy(struct check *c, const void *data, size_t bytes)
{
    void *memory = new_buffer(c, bytes, 0);
    if (memory)
        succeeded(c, "cudaMemcpy", cudaMemcpy(memory, data, bytes, cudaMemcpyHostToDevice));
    return memory;
}

void *device_zeros(struct check *c, size_t bytes)
{
    void *memory = device_buffer(c, bytes);
    if (memory)
        succeeded(c, "cudaMemset", cudaMemset(memory, 0, bytes));
    return memory;
}

/* The one that every launcher works on. What was set up before, on the default stream, is complete. */
cudaStream_t device_stream(struct check *c)
{
    succeeded(c, "cudaDeviceSynchronize", cudaDeviceSynchronize());
    return cudaStreamPerThread;
}

void device_launched(struct check *c, const char *launcher, cudaError_t result)
{
    succeeded(c, launcher, result);
}

void device_fetch(struct check *c, const void *device, void *host, size_t bytes)
{
    succeeded(c, "cudaStreamSynchronize", cudaStreamSynchronize(cudaStreamPerThread));
    succeeded(c, "cudaMemcpy", cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
}

static void check_band(struct check *c, const uint8_t *device, size_t bytes, const char *what)
{
    uint8_t band[BAND];
    device_fetch(c, device, band, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (band[i] != PATTERN)
            check_fail(c, what, i, INFINITY);
}

void device_end(struct check *c)
{
    succeeded(c, "cudaStreamSynchronize", cudaStreamSynchronize(cudaStreamPerThread));
    for (size_t i = 0; i < buffer_count; i++) {
        check_band(c, buffers[i].memory, BAND, "written before a device buffer: band");
        check_band(c, buffers[i].memory + BAND + buffers[i].bytes, buffers[i].behind,
                   "written beyond a device buffer: band");
        cudaFree(buffers[i].memory);
    }
    buffer_count = 0;
}
