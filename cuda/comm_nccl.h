/* NCCL between the GPUs of several ranks, each with a GPU of its own: threads of a process, processes, or both. */
#ifndef HC_CUDA_COMM_NCCL_H
#define HC_CUDA_COMM_NCCL_H

#include "comm.h"
#include "device.h"

struct ncclComm;

/* Whether this library was built with NCCL. */
bool hc_nccl_is_here(void);

/* All ranks of `comm` call it, each for its own device; *nccl is NULL if two of them have the same. Does not wait for
 * them to meet: it is of use, and what was queued is in the stream, only when hc_nccl_is_busy no longer says so. On
 * failure, too, *nccl is closed, as broken, if it is not NULL. */
hc_status hc_nccl_open(struct ncclComm **nccl, struct hc_cuda_device *device, struct hc_comm *comm,
                       struct hc_error *error);
/* Whether it is still at what it was last asked for. What became of that, hc_nccl_fault says. */
bool hc_nccl_is_busy(struct ncclComm *nccl);
/* broken: does not wait for others, and ends what is under way; so it does if they do not come within 2 s. Graphs that
 * know it are destroyed before. */
void hc_nccl_close(struct ncclComm *nccl, bool broken);

/* What ranks bring together: rows x widths[r] numbers of rank r (0: none), of which `mine` are this rank's. */
struct hc_cuda_parts {
    const float *mine;
    const uint32_t *widths;
    uint32_t rows;
    int rank, ranks;
};

static inline size_t hc_cuda_part(const struct hc_cuda_parts *parts, int rank)
{
    return (size_t)parts->rows * parts->widths[rank];
}

/* Queued on the device's stream, or recorded: float32, in place. */
hc_status hc_nccl_all_reduce(struct ncclComm *nccl, const struct hc_cuda_device *device, float *x, size_t n,
                             struct hc_error *error);
hc_status hc_nccl_send(struct ncclComm *nccl, const struct hc_cuda_device *device, int to, const float *x, size_t n,
                       struct hc_error *error);
hc_status hc_nccl_receive(struct ncclComm *nccl, const struct hc_cuda_device *device, int from, float *x, size_t n,
                          struct hc_error *error);

/* The parts one behind the other, in the order of the ranks. */
hc_status hc_nccl_all_gather(struct ncclComm *nccl, const struct hc_cuda_device *device,
                             const struct hc_cuda_parts *parts, float *all, struct hc_error *error);

/* What went wrong with something that was queued before; HC_OK: nothing, so far. */
hc_status hc_nccl_fault(struct ncclComm *nccl, const struct hc_cuda_device *device, struct hc_error *error);

#endif
