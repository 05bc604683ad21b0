/* Large uploads, from memory that may be a mapped file, through pinned buffers that take turns: the next one is filled
 * while the last one travels. */
#ifndef HC_CUDA_UPLOAD_H
#define HC_CUDA_UPLOAD_H

#include "device.h"

#include <stdint.h>

enum { HC_CUDA_UPLOAD_BYTES = 1 << 22, HC_CUDA_UPLOAD_BUFFERS = 2 };

struct hc_cuda_upload {
    struct hc_cuda_device *device;
    uint8_t *pinned;
    cudaEvent_t sent[HC_CUDA_UPLOAD_BUFFERS];
    unsigned turn;
};

hc_status hc_cuda_upload_open(struct hc_cuda_upload *upload, struct hc_cuda_device *device, struct hc_error *error);
/* Waits for what is under way; also right for an all-zero one. */
void hc_cuda_upload_close(struct hc_cuda_upload *upload);

/* All of it: copied, and queued; `from` is free when it returns. */
hc_status hc_cuda_upload_bytes(struct hc_cuda_upload *upload, void *to, const void *from, size_t bytes,
                               struct hc_error *error);

#endif
