/* One CUDA device: a stream, and what went wrong on it.
 *
 * Every call to CUDA goes through hc_cuda_check. The first that fails *poisons* the device: its message is kept and
 * returned for everything that is asked of the device afterwards. The process lives on.
 */
#ifndef HC_CUDA_DEVICE_H
#define HC_CUDA_DEVICE_H

#include <cuda_runtime_api.h>
#include <stdbool.h>

#include "error.h"

struct hc_cuda_device {
    int ordinal;
    cudaStream_t stream;
    bool poisoned;
    struct hc_error fault; /* why */
};

/* Opens a device of compute capability 8.0 or newer; `spec`: "" for the first, or its number. On failure (a number that
 * is none: HC_ERR_ARGUMENT; else HC_ERR_DEVICE) nothing is left open. */
hc_status hc_cuda_device_open(struct hc_cuda_device *device, const char *spec, struct hc_error *error);

/* As struct hc_backend says, by the device's multiprocessors and their clock, as it states them. */
double hc_cuda_device_speed(const char *spec);

/* Waits for the device; also right for a poisoned or an all-zero device. What was allocated on it is freed before. */
void hc_cuda_device_close(struct hc_cuda_device *device);

/* HC_OK if `result` is success; else poisons the device with a message that names the call. */
hc_status hc_cuda_check(struct hc_cuda_device *device, cudaError_t result, const char *call, struct hc_error *error);

/* Makes the device current for this thread, or fails as a poisoned one does. Every operation begins with it. */
hc_status hc_cuda_device_enter(struct hc_cuda_device *device, struct hc_error *error);

/* Memory of the device, and pinned memory of the host. Where there is not enough, the message says how much was wanted
 * and how much there is, and the device is as good as before. Freeing NULL does nothing. */
hc_status hc_cuda_allocate(struct hc_cuda_device *device, size_t bytes, void **memory, struct hc_error *error);
void hc_cuda_free(struct hc_cuda_device *device, void *memory);
hc_status hc_cuda_allocate_pinned(struct hc_cuda_device *device, size_t bytes, void **memory, struct hc_error *error);
void hc_cuda_free_pinned(struct hc_cuda_device *device, void *memory);

#endif
