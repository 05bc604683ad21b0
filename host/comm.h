/* Communication between *ranks*: processes that mpirun started, threads of one process (crew.h), or one rank alone, to
 * whom every call is nothing.
 *
 * All ranks of a comm call the same functions in the same order, with the same sizes; a call returns when its rank's
 * part is done. Data lies in memory of the host: between GPUs, cuda/ has NCCL, which it sets up through one of these.
 * `what` names the operation for messages: "the column norms of model.layers.3.mlp.up_proj.weight".
 *
 * A rank that cannot go on calls `abort`. Then the call of every other rank, the one under way or the next, fails with
 * HC_ERR_RANKS and a message that names the rank, the operation and the reason. So it does if a rank is gone, or has
 * not come within the timeout and does not attend either. After that everything fails: a comm is not mended.
 */
#ifndef HC_HOST_COMM_H
#define HC_HOST_COMM_H

#include "error.h"

#include <stddef.h>

/* How numbers of all ranks become one. F32 sums are the same on every rank; their order is the backend's own. */
enum hc_reduction { HC_SUM_I64, HC_SUM_F32, HC_MAX_I64, HC_MAX_F32, HC_MAX_F64 };

static inline size_t hc_reduction_bytes(enum hc_reduction how)
{
    return how == HC_SUM_F32 || how == HC_MAX_F32 ? 4 : 8;
}

struct hc_comm {
    const struct hc_comm_table *table; /* NULL: alone */
    void *state;
    int rank, ranks;
    int local_rank, local_ranks; /* among those on this machine */
    int machine;                 /* the lowest rank on it */
    /* Seconds; INFINITY: for ever. Who neither calls nor attends for so long is lost, even if it works: such as the
     * first rank while it copies a file or publishes, if that takes longer. */
    double timeout;
    double waited; /* seconds that this rank has waited already for what it calls next, elsewhere: for messages */
    struct hc_error lost; /* what hc_comm_attend found, for those whose callers cannot hand it on; else empty */
    /* Asked several times a second while a call waits; false ends it with HC_ERR_CANCELLED. NULL: never asked. */
    bool (*go_on)(void *user);
    void *user;
};

struct hc_comm_table {
    const char *name;
    /* Also right for a comm that failed, and then it waits for nobody. */
    void (*destroy)(struct hc_comm *comm);
    hc_status (*all_reduce)(struct hc_comm *comm, void *data, size_t count, enum hc_reduction how, const char *what,
                            struct hc_error *error);
    /* bytes[r]: how many rank r has; in `all` they lie in the order of the ranks. `mine` may be where they belong in
     * `all`. */
    hc_status (*all_gather)(struct hc_comm *comm, const void *mine, void *all, const size_t *bytes, const char *what,
                            struct hc_error *error);
    hc_status (*broadcast)(struct hc_comm *comm, int root, void *data, size_t bytes, const char *what,
                           struct hc_error *error);
    /* A send may return before the other rank has received, when `data` is free again; it may as well wait until that
     * rank receives, so two ranks must not both send to each other first. */
    hc_status (*send)(struct hc_comm *comm, int to, const void *data, size_t bytes, const char *what,
                      struct hc_error *error);
    hc_status (*receive)(struct hc_comm *comm, int from, void *data, size_t bytes, const char *what,
                         struct hc_error *error);
    hc_status (*barrier)(struct hc_comm *comm, const char *what, struct hc_error *error);
    /* Tells the others why; they end. Does not wait. */
    void (*abort)(struct hc_comm *comm, const char *why);
    /* Whether it has failed, as far as this rank can know without waiting: for those who wait for something else, such
     * as a GPU that waits for that of another rank. NULL: nobody knows. */
    bool (*is_broken)(struct hc_comm *comm);
    /* As hc_comm_attend. NULL: it has nothing to say. */
    hc_status (*attend)(struct hc_comm *comm, bool stopping, const char *what, struct hc_error *error);
};

/* Joins the ranks that mpirun started, or is alone. Once in a process. HC_ERR_RANKS: not all have come within the
 * timeout, or within 20 seconds if that is less. HC_ERR_MEMORY: also if a thread cannot be made. HC_ERR_UNSUPPORTED:
 * there are several, and this library was built without MPI. */
hc_status hc_comm_world(struct hc_comm *comm, double timeout, struct hc_error *error);
void hc_comm_alone(struct hc_comm *comm);

/* Of the table, or nothing where there is one rank. Waits until all ranks have come to their end. A process that dies
 * after that spoils nothing any more and goes unsaid, but MPI makes the others wait for it as long as for joining. */
void hc_comm_destroy(struct hc_comm *comm);
hc_status hc_comm_all_reduce(struct hc_comm *comm, void *data, size_t count, enum hc_reduction how, const char *what,
                             struct hc_error *error);
hc_status hc_comm_all_gather(struct hc_comm *comm, const void *mine, void *all, const size_t *bytes, const char *what,
                             struct hc_error *error);
hc_status hc_comm_broadcast(struct hc_comm *comm, int root, void *data, size_t bytes, const char *what,
                            struct hc_error *error);
hc_status hc_comm_barrier(struct hc_comm *comm, const char *what, struct hc_error *error);
void hc_comm_abort(struct hc_comm *comm, const char *why);

/* For a rank that works alone while others may wait for it: tells those who ask that it is at work, and whether the
 * comm has failed. Who calls it at least twice within the timeout is not taken for lost. Does not wait, unless
 * `stopping`: the rank has been asked to end, perhaps because another has failed, and news of that may take a moment.
 */
hc_status hc_comm_attend(struct hc_comm *comm, bool stopping, const char *what, struct hc_error *error);

/* Whether all ranks have the same text, such as what identifies a run; else HC_ERR_DIFFERENT names a rank that has not
 * what rank 0 has. */
hc_status hc_comm_agree(struct hc_comm *comm, const char *text, const char *what, struct hc_error *error);

/* What backends say: HC_ERR_RANKS, and a message that names the ranks, the reason, and the operation `what`. */
hc_status hc_comm_failed(struct hc_error *error, int rank, const char *why, const char *what);
/* here[r]: rank r has spoken within so many seconds. */
hc_status hc_comm_silent(struct hc_error *error, const bool *here, int ranks, double seconds, const char *what);

#endif
