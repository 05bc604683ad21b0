/* Checks of CUDA launchers: device memory between guard bands, for one case at a time.
 *
 * A family's table (check_cuda_<family>.c, listed in registry_cuda.c) has rows of the slot CHECK_DEVICE: they run for
 * the tier cuda alone. A launcher is held against plain C (c->truth->kernels) on the same random input.
 */
#ifndef HC_CHECK_CUDA_DEVICE_H
#define HC_CHECK_CUDA_DEVICE_H

#include <cuda_runtime_api.h>

#include "../check.h"

/* Buffers on the device, 256-byte aligned, filled with NaN, or with a copy. A band of known bytes lies before them, and
 * directly behind those that are no copy; a copy ends with its allocation, so that an emulator, or compute-sanitizer,
 * sees what reads beyond it. NULL after a failure, which is noted. Valid until device_end. */
void *device_buffer(struct check *c, size_t bytes);
void *device_copy(struct check *c, const void *data, size_t bytes);
void *device_zeros(struct check *c, size_t bytes);

/* The stream to launch on. */
cudaStream_t device_stream(struct check *c);
/* Notes a launch that failed. */
void device_launched(struct check *c, const char *launcher, cudaError_t result);
/* Waits for the stream, and copies to the host. */
void device_fetch(struct check *c, const void *device, void *host, size_t bytes);
/* Ends a case: checks the bands of all its buffers, and frees them. */
void device_end(struct check *c);

#endif
