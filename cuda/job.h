/* One call of the engine: what is done to every chunk of a stretch of a piece, and what it is done with. */
#ifndef HC_CUDA_JOB_H
#define HC_CUDA_JOB_H

#include "staging.h"

struct hc_cuda_job {
    /* Fills the slot and queues the work on it, results to pinned memory of the slot. */
    hc_status (*submit)(struct hc_cuda_job *job, struct hc_cuda_slot *slot);
    /* Takes the results, once the work is complete. */
    hc_status (*collect)(struct hc_cuda_job *job, const struct hc_cuda_slot *slot);
    struct hc_cuda_staging *staging;
    const struct hc_kernels *kernels;
    struct hc_error *error;
    const struct hc_piece *piece;
    uint64_t first, count; /* the stretch */
    uint64_t chunk;        /* weights at a time; hc_cuda_load_weights takes HC_CUDA_CHUNK at most */
    void *out;             /* sums, codes or weights, as the operation says */
    hc_type type;          /* of weights that are decoded */
    /* Of `pair`: */
    size_t grids;
    unsigned bits;
    uint32_t entries;
    const uint8_t *codes;
    uint64_t faults; /* codes that are not in the table, so far */
    /* Of `window`: */
    const void *window; /* as the operation says */
};

/* A job in chunks of HC_CUDA_CHUNK weights, its functions yet to be set. */
struct hc_cuda_job hc_cuda_job_of(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first,
                                  uint64_t count, struct hc_error *error);

static inline void *hc_cuda_region_of(const struct hc_cuda_job *job, enum hc_cuda_region which)
{
    return job->staging->region[which];
}

/* HC_OK if a kernel was launched, or another call was successful; else poisons the device. */
hc_status hc_cuda_launched(const struct hc_cuda_job *job, cudaError_t result, const char *what);

/* Runs the job chunk by chunk. The host reads, fills and collects one slot while the device works on the other. When it
 * returns, failed or not, the device is done with the slots and with everything of the caller's. */
hc_status hc_cuda_run(struct hc_cuda_job *job);

/* Waits for the device, and frees the slots: the end of a job that failed. */
void hc_cuda_settle(struct hc_cuda_job *job);

/* Brings the slot's weights to slot->on_device. */
hc_status hc_cuda_load_weights(struct hc_cuda_job *job, struct hc_cuda_slot *slot);

/* Weights decoded to HC_CUDA_DECODED, on their way to job->out, in job->type: rounded, and copied to the slot; and from
 * there, once that is complete. */
hc_status hc_cuda_fetch_decoded(struct hc_cuda_job *job, const struct hc_cuda_slot *slot);
void hc_cuda_take_decoded(const struct hc_cuda_job *job, const struct hc_cuda_slot *slot);

static inline size_t hc_cuda_blocks_of(const struct hc_cuda_slot *slot)
{
    return (size_t)(slot->count + HC_BLOCK - 1) / HC_BLOCK;
}

#endif
