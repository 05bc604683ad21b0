#include "ranks.h"

#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Seconds: a token's work is shorter than SPIN, so that sleeping does not add to it; then the others are asked for. */
static const double SPIN = 0.02, ASK = 0.1;
/* By which they may come later than this one, where all give up. */
static const double GRACE = 2;

bool hc_cuda_ranks_record(const struct hc_cuda_ranks *ranks)
{
    return !ranks->comm || ranks->nccl;
}

struct text {
    char text[96];
};

static struct text name_of(const struct hc_cuda_rank_operation *what)
{
    struct text name;
    if (what->kind == HC_CUDA_MEET)
        snprintf(name.text, sizeof name.text, "the meeting of the GPUs");
    else if (what->kind == HC_CUDA_ALL_REDUCE)
        snprintf(name.text, sizeof name.text, "the sum of %zu activations", what->n);
    else if (what->kind == HC_CUDA_GATHER)
        snprintf(name.text, sizeof name.text, "the gathering of %zu activations", what->n);
    else
        snprintf(name.text, sizeof name.text, "%zu activations %s rank %d", what->n,
                 what->kind == HC_CUDA_SEND ? "to" : "from", what->other);
    return name;
}

/* ---- Through the host ----------------------------------------------------------------------- */

/* What the last exchange left is on the device by then. */
static hc_status make_room(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, size_t bytes,
                           struct hc_error *error)
{
    if (bytes <= ranks->room)
        return HC_OK;
    hc_cuda_free_pinned(device, ranks->host);
    ranks->room = 0;
    hc_status status = hc_cuda_allocate_pinned(device, bytes, &ranks->host, error);
    ranks->room = status == HC_OK ? bytes : 0;
    return status;
}

static hc_status synchronize(struct hc_cuda_device *device, struct hc_error *error)
{
    return hc_cuda_check(device, cudaStreamSynchronize(device->stream), "cudaStreamSynchronize", error);
}

/* What this rank gives away, and where it lies among what is exchanged. */
struct given {
    const float *from;
    size_t first, n;
};

static struct given given_by(const struct hc_cuda_rank_operation *what, const float *x)
{
    const struct hc_cuda_parts *parts = &what->parts;
    if (what->kind != HC_CUDA_GATHER)
        return (struct given){x, 0, what->kind == HC_CUDA_RECEIVE ? 0 : what->n};
    struct given mine = {parts->mine, 0, hc_cuda_part(parts, parts->rank)};
    for (int r = 0; r < parts->rank; r++)
        mine.first += hc_cuda_part(parts, r);
    return mine;
}

static hc_status gather_on_host(struct hc_cuda_ranks *ranks, const struct hc_cuda_rank_operation *what, float *x,
                                struct hc_error *error)
{
    for (int r = 0; r < ranks->comm->ranks; r++)
        ranks->bytes[r] = hc_cuda_part(&what->parts, r) * sizeof *x;
    return hc_comm_all_gather(ranks->comm, x + given_by(what, x).first, x, ranks->bytes, name_of(what).text, error);
}

static hc_status exchange_on_host(struct hc_cuda_ranks *ranks, const struct hc_cuda_rank_operation *what,
                                  struct hc_error *error)
{
    struct hc_comm *comm = ranks->comm;
    void *x = ranks->host;
    const struct text name = name_of(what);
    const size_t bytes = what->n * sizeof(float);
    switch (what->kind) {
    case HC_CUDA_SEND:
        return comm->table->send(comm, what->other, x, bytes, name.text, error);
    case HC_CUDA_RECEIVE:
        return comm->table->receive(comm, what->other, x, bytes, name.text, error);
    case HC_CUDA_GATHER:
        return gather_on_host(ranks, what, x, error);
    default:
        return hc_comm_all_reduce(comm, x, what->n, HC_SUM_F32, name.text, error);
    }
}

static hc_status through_host(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device,
                              const struct hc_cuda_rank_operation *what, float *x, struct hc_error *error)
{
    const size_t bytes = what->n * sizeof *x;
    const struct given given = given_by(what, x);
    hc_status status;
    HC_TRY(synchronize(device, error));
    HC_TRY(make_room(ranks, device, bytes, error));
    if (given.n > 0)
        HC_TRY(hc_cuda_check(device,
                             cudaMemcpyAsync((float *)ranks->host + given.first, given.from, given.n * sizeof *x,
                                             cudaMemcpyDeviceToHost, device->stream),
                             "cudaMemcpyAsync from the device", error));
    HC_TRY(synchronize(device, error));
    HC_TRY(exchange_on_host(ranks, what, error));
    if (what->kind != HC_CUDA_SEND)
        HC_TRY(hc_cuda_check(device, cudaMemcpyAsync(x, ranks->host, bytes, cudaMemcpyHostToDevice, device->stream),
                             "cudaMemcpyAsync to the device", error));
done:
    return status;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bool is_broken(struct hc_comm *comm)
{
    return comm->table && comm->table->is_broken && comm->table->is_broken(comm);
}

/* Ranks that wait for the same have given up by now, too, and come: the comm names those that do not. */
static hc_status find_silent(struct hc_comm *comm, const char *what, struct hc_error *error)
{
    const double timeout = comm->timeout;
    comm->timeout = timeout < GRACE ? timeout : GRACE;
    comm->waited = timeout;
    hc_status status = hc_comm_barrier(comm, what, error);
    comm->timeout = timeout;
    comm->waited = 0;
    return status == HC_OK ? hc_fail(error, HC_ERR_RANKS, "%s: not done within %g seconds", what, timeout) : status;
}

/* Why to wait no longer; HC_OK: for nothing. What the host knows says more than what NCCL does. */
static hc_status ask(const struct hc_cuda_ranks *ranks, const struct hc_cuda_device *device, double waited,
                     struct hc_error *error)
{
    struct hc_comm *comm = ranks->comm;
    const struct text name = name_of(&ranks->last);
    struct hc_error fault;
    hc_status status = HC_OK;
    if (is_broken(comm))
        status = hc_comm_barrier(comm, name.text, error);
    if (status == HC_OK && hc_nccl_fault(ranks->nccl, device, &fault) != HC_OK)
        status = hc_fail(error, HC_ERR_RANKS, "%s: %s", name.text, fault.text);
    if (status == HC_OK && comm->go_on && !comm->go_on(comm->user))
        status = hc_fail(error, HC_ERR_CANCELLED, "interrupted");
    return status == HC_OK && waited > comm->timeout ? find_silent(comm, name.text, error) : status;
}

/* How long this rank has waited: at all, since it last asked, and for the exchange that is under way. */
struct patience {
    double begin, asked, since;
};

static struct patience begin_to_wait(void)
{
    const double time = now();
    return (struct patience){time, time, time};
}

/* Whether exchanges are done that were not when it was last called. */
static bool moves(struct hc_cuda_ranks *ranks)
{
    const unsigned before = ranks->passed;
    while (ranks->passed < ranks->marked && cudaEventQuery(ranks->marks[ranks->passed]) == cudaSuccess)
        ranks->passed++;
    cudaGetLastError(); /* one that is not done is no fault */
    return ranks->passed > before;
}

static hc_status wait_a_little(struct hc_cuda_ranks *ranks, const struct hc_cuda_device *device,
                               struct patience *patience, struct hc_error *error)
{
    const double time = now();
    if (time - patience->begin > SPIN)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    if (time - patience->asked <= ASK)
        return HC_OK;
    patience->asked = time;
    if (moves(ranks))
        patience->since = time;
    return ask(ranks, device, time - patience->since, error);
}

/* The stream's state; NotReady where the others are not to be waited for. */
static cudaError_t poll(struct hc_cuda_ranks *ranks, const struct hc_cuda_device *device, hc_status *status,
                        struct hc_error *error)
{
    struct patience patience = begin_to_wait();
    cudaError_t result;
    while ((result = cudaStreamQuery(device->stream)) == cudaErrorNotReady && *status == HC_OK) {
        cudaGetLastError(); /* it was no fault */
        *status = wait_a_little(ranks, device, &patience, error);
    }
    return result;
}

/* Until NCCL has done on the host what it was asked for: to meet, or to connect, it needs the other ranks. */
static hc_status settle(struct hc_cuda_ranks *ranks, const struct hc_cuda_device *device, struct hc_error *error)
{
    struct patience patience = begin_to_wait();
    hc_status status = HC_OK;
    while (status == HC_OK && hc_nccl_is_busy(ranks->nccl))
        status = wait_a_little(ranks, device, &patience, error);
    return status == HC_OK ? hc_nccl_fault(ranks->nccl, device, error) : status;
}

/* ---- Exchanges ------------------------------------------------------------------------------ */

static hc_status tell(const struct hc_cuda_ranks *ranks, struct hc_error *error)
{
    return hc_fail(error, HC_ERR_RANKS, "%s", ranks->fault.text);
}

static hc_status queue(const struct hc_cuda_ranks *ranks, const struct hc_cuda_device *device,
                       const struct hc_cuda_rank_operation *what, float *x, struct hc_error *error)
{
    switch (what->kind) {
    case HC_CUDA_SEND:
        return hc_nccl_send(ranks->nccl, device, what->other, x, what->n, error);
    case HC_CUDA_RECEIVE:
        return hc_nccl_receive(ranks->nccl, device, what->other, x, what->n, error);
    case HC_CUDA_GATHER:
        return hc_nccl_all_gather(ranks->nccl, device, &what->parts, x, error);
    default:
        return hc_nccl_all_reduce(ranks->nccl, device, x, what->n, error);
    }
}

/* Behind an exchange, to see that it is done. A recorded one has none: nobody could ask for it. */
static hc_status mark(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, struct hc_error *error)
{
    cudaEvent_t *event = &ranks->marks[ranks->marked];
    enum cudaStreamCaptureStatus recording;
    hc_status status;
    HC_TRY(hc_cuda_check(device, cudaStreamIsCapturing(device->stream, &recording), "cudaStreamIsCapturing", error));
    if (recording != cudaStreamCaptureStatusNone || ranks->marked == HC_CUDA_MARKS)
        goto done;
    if (!*event)
        HC_TRY(hc_cuda_check(device, cudaEventCreateWithFlags(event, cudaEventDisableTiming),
                             "cudaEventCreateWithFlags", error));
    HC_TRY(hc_cuda_check(device, cudaEventRecord(*event, device->stream), "cudaEventRecord", error));
    ranks->marked++;
done:
    return status;
}

hc_status hc_cuda_ranks_exchange(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device,
                                 const struct hc_cuda_rank_operation *what, float *x, struct hc_error *error)
{
    if (ranks->lost)
        return tell(ranks, error);
    if (!ranks->nccl)
        return through_host(ranks, device, what, x, error);
    ranks->last = *what;
    hc_status status = queue(ranks, device, what, x, error);
    if (status == HC_OK)
        status = settle(ranks, device, error);
    return status == HC_OK ? mark(ranks, device, error) : status;
}

hc_status hc_cuda_ranks_wait(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, struct hc_error *error)
{
    hc_status status = HC_OK;
    if (!ranks->nccl)
        return synchronize(device, error);
    cudaError_t result = poll(ranks, device, &status, error);
    if (status == HC_OK && result != cudaSuccess) /* a fault of NCCL's, or one of the device's own */
        status = ask(ranks, device, 0, error);
    ranks->marked = ranks->passed = 0;
    return status == HC_OK ? hc_cuda_check(device, result, "cudaStreamQuery", error) : status;
}

/* ---- Coming and going ----------------------------------------------------------------------- */

hc_status hc_cuda_ranks_join(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, struct hc_comm *comm,
                             struct hc_error *error)
{
    bool direct;
    *ranks = (struct hc_cuda_ranks){.comm = comm};
    ranks->bytes = malloc((size_t)comm->ranks * sizeof *ranks->bytes);
    if (!ranks->bytes)
        return hc_no_memory(error);
    hc_status status = hc_cuda_device_enter(device, error);
    if (status == HC_OK)
        status = hc_runtime_direct(comm, hc_nccl_is_here(), &direct, error);
    if (status == HC_OK && direct)
        status = hc_nccl_open(&ranks->nccl, device, comm, error);
    if (status == HC_OK && ranks->nccl)
        status = settle(ranks, device, error);
    if (status == HC_OK)
        return HC_OK;
    hc_nccl_close(ranks->nccl, true);
    ranks->nccl = NULL;
    return status;
}

void hc_cuda_ranks_give_up(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device, const struct hc_error *why)
{
    if (!ranks->nccl)
        return;
    ranks->lost = true;
    ranks->fault = *why;
    hc_comm_abort(ranks->comm, why->text);
    hc_nccl_close(ranks->nccl, true);
    ranks->nccl = NULL;
    cudaStreamSynchronize(device->stream);
    cudaGetLastError();
}

void hc_cuda_ranks_leave(struct hc_cuda_ranks *ranks, struct hc_cuda_device *device)
{
    hc_nccl_close(ranks->nccl, device->poisoned || (ranks->comm && is_broken(ranks->comm)));
    hc_cuda_free_pinned(device, ranks->host);
    free(ranks->bytes);
    for (unsigned i = 0; i < HC_CUDA_MARKS && ranks->marks[i]; i++)
        cudaEventDestroy(ranks->marks[i]);
    *ranks = (struct hc_cuda_ranks){.comm = NULL};
}
