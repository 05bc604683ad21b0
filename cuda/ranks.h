/* The other ranks of a runtime: by NCCL where each of them has a GPU of its own, which can be recorded; else through
 * memory of the host, where every exchange waits for the stream. */
#ifndef HC_CUDA_RANKS_H
#define HC_CUDA_RANKS_H

#include "comm_nccl.h"

enum { HC_CUDA_MARKS = 512 /* more exchanges than a step has */ };

/* What ranks do together: float32 on the device. */
struct hc_cuda_rank_operation {
    enum {
        HC_CUDA_MEET /* once, before all others */,
        HC_CUDA_ALL_REDUCE,
        HC_CUDA_GATHER,
        HC_CUDA_SEND,
        HC_CUDA_RECEIVE
    } kind;
    int other;                  /* who receives it, or sends it */
    size_t n;                   /* of a gathering: of all ranks */
    struct hc_cuda_parts parts; /* of a gathering */
};

struct hc_cuda_ranks {
    struct hc_comm *comm;               /* NULL: alone */
    struct ncclComm *nccl;              /* NULL: through the host */
    void *host;                         /* pinned, for that */
    size_t room;                        /* of it, in bytes */
    size_t *bytes;                      /* of every rank, in a gathering there */
    struct hc_cuda_rank_operation last; /* that was queued */
    cudaEvent_t marks[HC_CUDA_MARKS];   /* behind exchanges since the last wait; NULL: not yet needed */
    unsigned marked, passed;            /* of them */
    bool lost;                          /* given up: whatever needs other ranks fails */
    struct hc_error fault;              /* why */
};

/* All ranks of `comm`, which outlives it, call it. */
hc_status hc_cuda_ranks_join(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, struct hc_comm *comm,
                             struct hc_error *error);
/* Whether what they do may be recorded. */
bool hc_cuda_ranks_record(const struct hc_cuda_ranks *ranks);
/* x: what it is about; of a gathering, all parts, one behind the other. */
hc_status hc_cuda_ranks_exchange(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device,
                                 const struct hc_cuda_rank_operation *what, float *x, struct hc_error *error);

/* Waits for the stream, but not for ranks that are gone, or do not come in time: the time begins anew with every
 * exchange that is done, as far as NCCL does them and they are not recorded. So a rank that lives, but works for longer
 * than the timeout between two exchanges, counts as silent; a recorded step, which is of one token, counts as a whole.
 * Where it fails, the graphs are destroyed, and then the others are given up, which ends what is under way. */
hc_status hc_cuda_ranks_wait(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, struct hc_error *error);
void hc_cuda_ranks_give_up(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, const struct hc_error *why);

/* Also right for one that is alone. Nothing is under way. */
void hc_cuda_ranks_leave(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device);

#endif
