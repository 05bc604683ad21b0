#include "job.h"

#include <string.h>

#include "convert/convert_cuda.h"

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
    cudaStreamSynchronize(job->staging->device.stream);
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

/* Half the bytes cross the bus for the two 16-bit types, which the device converts itself; everything else but F32 is
 * converted here. */
hc_status hc_cuda_load_weights(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct hc_tensor *tensor = job->piece->tensor;
    uint64_t first = job->piece->first + job->first + slot->first;
    size_t count = (size_t)slot->count;
    bool half = tensor->type == HC_TYPE_F16 || tensor->type == HC_TYPE_BF16;
    float *weights = hc_cuda_region_of(job, HC_CUDA_WEIGHTS);
    const void *raw = hc_cuda_region_of(job, HC_CUDA_RAW);
    cudaStream_t stream = job->staging->device.stream;
    hc_status status;

    if (!half || tensor->permuted_heads != 0) {
        hc_tensor_read(tensor, job->kernels, first, count, (float *)(void *)slot->weights);
        return hc_cuda_upload(job->staging, HC_CUDA_WEIGHTS, slot->weights, count * sizeof(float), job->error);
    }
    memcpy(slot->weights, tensor->data + first * sizeof(uint16_t), count * sizeof(uint16_t));
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_RAW, slot->weights, count * sizeof(uint16_t), job->error));
    if (tensor->type == HC_TYPE_F16)
        HC_TRY(hc_cuda_launched(job, hc_f16_to_f32_cuda(raw, count, weights, stream), "f16_to_f32"));
    else
        HC_TRY(hc_cuda_launched(job, hc_bf16_to_f32_cuda(raw, count, weights, stream), "bf16_to_f32"));
done:
    return status;
}
