#include "job.h"

#include <string.h>

#include "convert/convert_cuda.h"
#include "convert/convert_rows_cuda.h"

struct hc_cuda_job hc_cuda_job_of(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first,
                                  uint64_t count, struct hc_error *error)
{
    return (struct hc_cuda_job){.staging = engine->state,
                                .kernels = engine->kernels,
                                .error = error,
                                .piece = piece,
                                .first = first,
                                .count = count,
                                .chunk = HC_CUDA_CHUNK};
}

hc_status hc_cuda_launched(const struct hc_cuda_job *job, cudaError_t result, const char *what)
{
    return hc_cuda_check(&job->staging->device, result, what, job->error);
}

static hc_status retire(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    if (!slot->busy)
        return HC_OK;
    slot->busy = false;
    hc_status status = hc_cuda_launched(job, cudaEventSynchronize(slot->done), "cudaEventSynchronize");
    return status == HC_OK ? job->collect(job, slot) : status;
}

void hc_cuda_settle(struct hc_cuda_job *job)
{
    hc_cuda_staging_wait(job->staging);
    for (int i = 0; i < HC_CUDA_SLOTS; i++)
        job->staging->slot[i].busy = false;
}

hc_status hc_cuda_run(struct hc_cuda_job *job)
{
    struct hc_cuda_staging *staging = job->staging;
    hc_status status = HC_OK;
    int turn = 0;

    for (uint64_t at = 0; at < job->count; at += job->chunk, turn = (turn + 1) % HC_CUDA_SLOTS) {
        struct hc_cuda_slot *slot = &staging->slot[turn];
        HC_TRY(retire(job, slot));
        slot->first = at;
        slot->count = job->count - at < job->chunk ? job->count - at : job->chunk;
        HC_TRY(job->submit(job, slot));
        HC_TRY(hc_cuda_launched(job, cudaEventRecord(slot->done, staging->device.stream), "cudaEventRecord"));
        slot->busy = true;
    }
    for (int i = 0; i < HC_CUDA_SLOTS; i++)
        HC_TRY(retire(job, &staging->slot[(turn + i) % HC_CUDA_SLOTS]));
done:
    if (status != HC_OK)
        hc_cuda_settle(job);
    return status;
}

static hc_status copy(const struct hc_cuda_job *job, void *to, const void *from, size_t bytes)
{
    return hc_cuda_launched(job,
                            cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, job->staging->device.stream),
                            "cudaMemcpyAsync on the device");
}

/* Weights on their way to the device, to pinned memory of the slot. */
static void stage(const struct hc_cuda_job *job, const struct hc_cuda_slot *slot, size_t width)
{
    const struct hc_tensor *tensor = job->piece->tensor;
    uint64_t first = job->piece->first + job->first + slot->first;
    size_t count = (size_t)slot->count;

    if (width == sizeof(float))
        hc_tensor_read(tensor, job->kernels, first, count, (float *)(void *)slot->weights);
    else
        memcpy(slot->weights, tensor->data + first * width, count * width);
}

/* Uploads what is staged, beside the kernels; those that follow wait for it. The slot was retired, so nobody reads any
 * more what lies there. */
static hc_status upload(struct hc_cuda_job *job, struct hc_cuda_slot *slot, void *to, size_t bytes)
{
    cudaStream_t uploads = job->staging->uploads;
    hc_status status;
    HC_TRY(hc_cuda_launched(job, cudaMemcpyAsync(to, slot->weights, bytes, cudaMemcpyHostToDevice, uploads),
                            "cudaMemcpyAsync to the device"));
    HC_TRY(hc_cuda_launched(job, cudaEventRecord(slot->uploaded, uploads), "cudaEventRecord"));
    HC_TRY(hc_cuda_launched(job, cudaStreamWaitEvent(job->staging->device.stream, slot->uploaded, 0),
                            "cudaStreamWaitEvent"));
done:
    return status;
}

/* Brings the slot's weights to its room on the device: from what is held of the piece, if they are there. Else they are
 * uploaded, and held. */
static hc_status bring(struct hc_cuda_job *job, struct hc_cuda_slot *slot, void *to, size_t width)
{
    struct hc_cuda_held *held = &job->staging->held;
    uint64_t first = job->first + slot->first, end = first + slot->count;
    bool holds = held->tensor == job->piece->tensor && held->first == job->piece->first;
    size_t bytes = (size_t)slot->count * width;
    hc_status status;

    if (holds && hc_cuda_has(held, first, end))
        return copy(job, to, held->memory + first * width, bytes);
    stage(job, slot, width);
    HC_TRY(upload(job, slot, to, bytes));
    if (holds) {
        HC_TRY(copy(job, held->memory + first * width, to, bytes));
        hc_cuda_has_now(held, first, end);
    }
done:
    return status;
}

hc_status hc_cuda_load_weights(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct hc_tensor *tensor = job->piece->tensor;
    size_t count = (size_t)slot->count, width = hc_cuda_width(tensor);
    const void *raw = slot->on_device_raw;
    cudaStream_t stream = job->staging->device.stream;
    hc_status status;

    if (width == sizeof(float))
        return bring(job, slot, slot->on_device, width);
    HC_TRY(bring(job, slot, slot->on_device_raw, width));
    if (tensor->type == HC_TYPE_F16)
        HC_TRY(hc_cuda_launched(job, hc_f16_to_f32_cuda(raw, count, slot->on_device, stream), "f16_to_f32"));
    else
        HC_TRY(hc_cuda_launched(job, hc_bf16_to_f32_cuda(raw, count, slot->on_device, stream), "bf16_to_f32"));
done:
    return status;
}

/* Halves lie where weights of 16 bits would be uploaded: nothing is while it decodes. */
hc_status hc_cuda_fetch_decoded(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    size_t count = (size_t)slot->count, bytes = count * hc_type_block_bytes(job->type);
    hc_status status;
    if (job->type == HC_TYPE_F32)
        return hc_cuda_download(job->staging, HC_CUDA_DECODED, slot->results, bytes, job->error);
    HC_TRY(hc_cuda_launched(job,
                            hc_convert_to_cuda(hc_cuda_region_of(job, HC_CUDA_DECODED), count, job->type,
                                               hc_cuda_region_of(job, HC_CUDA_RAW), job->staging->device.stream),
                            "convert_to"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_RAW, slot->results, bytes, job->error));
done:
    return status;
}

void hc_cuda_take_decoded(const struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    size_t width = hc_type_block_bytes(job->type);
    memcpy((uint8_t *)job->out + slot->first * width, slot->results, slot->count * width);
}
