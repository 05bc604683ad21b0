#include "upload.h"

#include <string.h>

hc_status hc_cuda_upload_open(struct hc_cuda_upload *upload, struct hc_cuda_device *device, struct hc_error *error)
{
    void *pinned;
    *upload = (struct hc_cuda_upload){.device = device};
    hc_status status =
        hc_cuda_allocate_pinned(device, (size_t)HC_CUDA_UPLOAD_BUFFERS * HC_CUDA_UPLOAD_BYTES, &pinned, error);
    upload->pinned = pinned;
    for (int i = 0; status == HC_OK && i < HC_CUDA_UPLOAD_BUFFERS; i++)
        status = hc_cuda_check(device, cudaEventCreateWithFlags(&upload->sent[i], cudaEventDisableTiming),
                               "cudaEventCreateWithFlags", error);
    if (status != HC_OK)
        hc_cuda_upload_close(upload);
    return status;
}

void hc_cuda_upload_close(struct hc_cuda_upload *upload)
{
    if (upload->device && upload->device->stream)
        cudaStreamSynchronize(upload->device->stream);
    for (int i = 0; i < HC_CUDA_UPLOAD_BUFFERS; i++)
        if (upload->sent[i])
            cudaEventDestroy(upload->sent[i]);
    if (upload->device)
        hc_cuda_free_pinned(upload->device, upload->pinned);
    *upload = (struct hc_cuda_upload){0};
}

/* Through the buffer whose turn it is. */
static hc_status send(struct hc_cuda_upload *upload, void *to, const void *from, size_t bytes, struct hc_error *error)
{
    struct hc_cuda_device *device = upload->device;
    cudaEvent_t sent = upload->sent[upload->turn];
    uint8_t *buffer = upload->pinned + (size_t)upload->turn * HC_CUDA_UPLOAD_BYTES;
    hc_status status;
    HC_TRY(hc_cuda_check(device, cudaEventSynchronize(sent), "cudaEventSynchronize", error));
    memcpy(buffer, from, bytes);
    HC_TRY(hc_cuda_check(device, cudaMemcpyAsync(to, buffer, bytes, cudaMemcpyHostToDevice, device->stream),
                         "cudaMemcpyAsync to the device", error));
    HC_TRY(hc_cuda_check(device, cudaEventRecord(sent, device->stream), "cudaEventRecord", error));
    upload->turn = (upload->turn + 1) % HC_CUDA_UPLOAD_BUFFERS;
done:
    return status;
}

hc_status hc_cuda_upload_bytes(struct hc_cuda_upload *upload, void *to, const void *from, size_t bytes,
                               struct hc_error *error)
{
    hc_status status = hc_cuda_device_enter(upload->device, error);
    for (size_t at = 0; status == HC_OK && at < bytes; at += HC_CUDA_UPLOAD_BYTES) {
        size_t part = bytes - at < HC_CUDA_UPLOAD_BYTES ? bytes - at : HC_CUDA_UPLOAD_BYTES;
        status = send(upload, (uint8_t *)to + at, (const uint8_t *)from + at, part, error);
    }
    return status;
}
