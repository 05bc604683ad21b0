#include "comm_mpi.h"

#include "comm_mpi_thread.h"

#include <errno.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Everything is begun without blocking and then waited for, so that a rank that waits can also listen: to *notices* of
 * other ranks, which travel on a communicator of their own, to whether the processes of this machine still live, and to
 * whether the user wants it to go on.
 *
 * Who waits calls the roll: after half of the timeout, so that there is time to answer, and after all of it, since an
 * answer must not be old. Who hears that while it waits answers that it is here; who hears it between its calls is at
 * work, and whoever waits begins to wait anew, even if another is silent: that one is found when nobody works any more.
 * Those who do not answer are lost, and the first rank to find so tells the others, who end with the same words.
 *
 * A rank tells the others before its failing call returns. After that it never calls MPI again, which might still write
 * to memory of operations that will never be complete. */

enum { TAG = 1, CHUNK = 1 << 26 /* bytes at once: counts are ints, and MPI keeps copies */ };

static const double look = 0.02, ask = 0.1; /* seconds between looking round, and between asking whether to go on */
static const double roll_call = 2;          /* how long answers are waited for */
/* Sending, or hearing, of a failure may take so long: half a second after SIGTERM mpirun kills. */
static const double last_words = 0.1;
static const double farewell = 0.3; /* between a failure and the end */

enum kind { ASKED, HERE, AT_WORK, FAILED, VERDICT, CANCELLED };

struct notice {
    enum kind kind;
    uint64_t roll;                      /* ASKED, and its answers HERE and AT_WORK: the asking rank's number of it */
    char text[sizeof(struct hc_error)]; /* FAILED: why; VERDICT: what all say */
};

struct outbox {
    struct notice notice;
    MPI_Request *requests; /* for every rank */
};

struct mpi {
    MPI_Comm data, control;
    bool ours;            /* it was begun here */
    pid_t *pids;          /* by rank; 0: cannot be seen from here */
    int *counts, *places; /* of a gathering */
    struct outbox roll, last;
    struct notice *answers; /* to every rank, with requests of their own */
    MPI_Request *answering;
    uint64_t rolls; /* that this rank has called */
    bool *present;  /* ranks that have answered the last one */
    bool at_work;   /* one of them is, or was when it answered an earlier one */
    bool broken;
    struct notice why; /* broken: this, of that rank */
    int who;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void nap(double seconds)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * seconds)}, NULL);
}

/* ---- Notices -------------------------------------------------------------------------------- */

/* Whether its process was on this machine, and is no more. */
static bool is_gone(const struct mpi *mpi, int rank)
{
    return mpi->pids[rank] && kill(mpi->pids[rank], 0) != 0 && errno == ESRCH;
}

static void begin_telling(const struct hc_comm *comm, struct outbox *box)
{
    const struct mpi *mpi = comm->state;
    for (int r = 0; r < comm->ranks; r++)
        if (r != comm->rank && !is_gone(mpi, r))
            MPI_Isend(&box->notice, sizeof box->notice, MPI_BYTE, r, TAG, mpi->control, &box->requests[r]);
}

static bool is_told(const struct hc_comm *comm, struct outbox *box)
{
    int done = 0;
    return MPI_Testall(comm->ranks, box->requests, &done, MPI_STATUSES_IGNORE) == MPI_SUCCESS && done;
}

static void call_roll(const struct hc_comm *comm)
{
    struct mpi *mpi = comm->state;
    if (!is_told(comm, &mpi->roll))
        return;
    for (int r = 0; r < comm->ranks; r++)
        mpi->present[r] = r == comm->rank;
    mpi->roll.notice = (struct notice){.kind = ASKED, .roll = ++mpi->rolls};
    begin_telling(comm, &mpi->roll);
}

/* Who has not taken the answer before gets no other. */
static void answer(const struct mpi *mpi, int rank, uint64_t roll, enum kind kind)
{
    int done = 0;
    if (MPI_Test(&mpi->answering[rank], &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done)
        return;
    mpi->answers[rank] = (struct notice){.kind = kind, .roll = roll};
    MPI_Isend(&mpi->answers[rank], sizeof mpi->answers[rank], MPI_BYTE, rank, TAG, mpi->control, &mpi->answering[rank]);
}

/* The last thing that is done with MPI. */
static void tell_end(const struct hc_comm *comm, enum kind kind, const char *text)
{
    struct mpi *mpi = comm->state;
    mpi->broken = true;
    mpi->who = comm->rank;
    mpi->why.kind = kind;
    snprintf(mpi->why.text, sizeof mpi->why.text, "%s", text);
    mpi->last.notice = mpi->why;
    begin_telling(comm, &mpi->last);
    for (double begin = now(); !is_told(comm, &mpi->last) && now() - begin < last_words;)
        nap(1e-3);
}

static void heed(struct mpi *mpi, const struct notice *notice, int from, enum kind self)
{
    switch (notice->kind) {
    case ASKED:
        answer(mpi, from, notice->roll, self);
        break;
    case HERE:
    case AT_WORK:
        mpi->present[from] |= notice->roll == mpi->rolls;
        mpi->at_work |= notice->kind == AT_WORK;
        break;
    default:
        mpi->broken = true;
        mpi->why = *notice;
        mpi->who = from;
    }
}

/* self: what this rank is, HERE or AT_WORK. Twice nothing is nothing: MPI may bring in what there is only after it has
 * said that there is none, and who attends may not ask again for long. */
static void listen_as(const struct hc_comm *comm, enum kind self)
{
    struct mpi *mpi = comm->state;
    MPI_Status status;
    struct notice notice;
    for (int nothing = 0; nothing < 2 && !mpi->broken;) {
        int some = 0;
        if (MPI_Iprobe(MPI_ANY_SOURCE, TAG, mpi->control, &some, &status) != MPI_SUCCESS)
            return;
        nothing = some ? 0 : nothing + 1;
        if (some && MPI_Recv(&notice, sizeof notice, MPI_BYTE, status.MPI_SOURCE, TAG, mpi->control,
                             MPI_STATUS_IGNORE) == MPI_SUCCESS)
            heed(mpi, &notice, status.MPI_SOURCE, self);
    }
}

/* What a call says once there was a failure. */
static hc_status relay(const struct mpi *mpi, const char *what, struct hc_error *error)
{
    switch (mpi->why.kind) {
    case FAILED:
        return hc_comm_failed(error, mpi->who, mpi->why.text, what);
    case CANCELLED:
        return hc_fail(error, HC_ERR_CANCELLED, "cancelled at rank %d: %s", mpi->who, what);
    default:
        return hc_fail(error, HC_ERR_RANKS, "%s", mpi->why.text);
    }
}

static hc_status end_with(const struct hc_comm *comm, const struct hc_error *text, struct hc_error *error)
{
    tell_end(comm, VERDICT, text->text);
    return hc_fail(error, HC_ERR_RANKS, "%s", text->text);
}

static hc_status mpi_failed(const struct hc_comm *comm, int code, const char *what, struct hc_error *error)
{
    struct hc_error text;
    char reason[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(code, reason, &length);
    hc_fail(&text, HC_ERR_RANKS, "MPI failed at rank %d: %s: %s", comm->rank, reason, what);
    return end_with(comm, &text, error);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* A rank that is gone, or -1. */
static int find_gone(const struct hc_comm *comm)
{
    const struct mpi *mpi = comm->state;
    for (int r = 0; r < comm->ranks; r++)
        if (is_gone(mpi, r))
            return r;
    return -1;
}

/* Who has gone may have said why before. */
static hc_status end_without(const struct hc_comm *comm, int gone, const char *what, struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    struct hc_error text;
    listen_as(comm, HERE);
    if (mpi->broken)
        return relay(mpi, what, error);
    hc_fail(&text, HC_ERR_RANKS, "rank %d is gone: %s", gone, what);
    return end_with(comm, &text, error);
}

/* What has befallen others. */
static hc_status find_failure(const struct hc_comm *comm, enum kind self, const char *what, struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    if (!mpi->broken)
        listen_as(comm, self);
    if (mpi->broken)
        return relay(mpi, what, error);
    int gone = find_gone(comm);
    return gone >= 0 ? end_without(comm, gone, what, error) : HC_OK;
}

/* For a rank that is asked to stop, as by mpirun, which does so when another has ended: news of that may still be on
 * its way. */
static hc_status await_news(const struct hc_comm *comm, enum kind self, const char *what, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (double begin = now(); status == HC_OK && now() - begin < last_words; nap(look))
        status = find_failure(comm, self, what, error);
    return status;
}

static hc_status cancel(const struct hc_comm *comm, const char *what, struct hc_error *error)
{
    hc_status status = await_news(comm, HERE, what, error);
    if (status != HC_OK)
        return status;
    tell_end(comm, CANCELLED, "");
    return relay(comm->state, what, error);
}

enum { ROLLS = 2 };

struct wait {
    double begin, looked, asked;
    int rolls; /* that were called since it began */
    double called;
};

/* Calls the roll when it is time; in the end those who do not answer are lost. */
static hc_status look_for_all(const struct hc_comm *comm, struct wait *wait, const char *what, struct hc_error *error)
{
    struct mpi *mpi = comm->state;
    struct hc_error text;
    double time = now();
    if (mpi->at_work) {
        mpi->at_work = false;
        wait->begin = time;
        wait->rolls = 0;
    }
    if (wait->rolls < ROLLS && time - wait->begin > comm->timeout * (wait->rolls + 1) / ROLLS) {
        wait->rolls++;
        wait->called = time;
        call_roll(comm);
    }
    if (wait->rolls < ROLLS || time - wait->called <= roll_call)
        return HC_OK;
    hc_comm_silent(&text, mpi->present, comm->ranks, comm->waited + comm->timeout, what);
    return end_with(comm, &text, error);
}

/* What else there is to do than to wait. */
static hc_status look_round(const struct hc_comm *comm, struct wait *wait, const char *what, struct hc_error *error)
{
    double time = now();
    wait->looked = time;
    hc_status status = find_failure(comm, HERE, what, error);
    if (status != HC_OK)
        return status;
    if (comm->go_on && time - wait->asked >= ask) {
        wait->asked = time;
        if (!comm->go_on(comm->user))
            return cancel(comm, what, error);
    }
    return look_for_all(comm, wait, what, error);
}

/* At first without letting go of the core, since most waits are short; then less and less eagerly. */
static void rest(double waited)
{
    if (waited > 1e-3)
        nap(waited < 16e-3 ? waited / 16 : 1e-3);
    else if (waited > 5e-5)
        sched_yield();
}

static hc_status wait_for(const struct hc_comm *comm, MPI_Request *request, const char *what, struct hc_error *error)
{
    double begin = now();
    struct wait wait = {.begin = begin, .looked = begin, .asked = begin};
    for (;;) {
        int done = 0, code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS)
            return mpi_failed(comm, code, what, error);
        if (done)
            return HC_OK;
        double time = now();
        hc_status status = time - wait.looked >= look ? look_round(comm, &wait, what, error) : HC_OK;
        if (status != HC_OK)
            return status;
        rest(time - begin);
    }
}

/* ---- Operations ----------------------------------------------------------------------------- */

/* Until now it was at work. */
static hc_status begin(const struct hc_comm *comm, const char *what, struct hc_error *error)
{
    struct mpi *mpi = comm->state;
    if (!mpi->broken)
        listen_as(comm, AT_WORK);
    mpi->at_work = false;
    return mpi->broken ? relay(mpi, what, error) : HC_OK;
}

/* `code`: of the call that made the request. */
static hc_status finish(const struct hc_comm *comm, int code, MPI_Request *request, const char *what,
                        struct hc_error *error)
{
    return code == MPI_SUCCESS ? wait_for(comm, request, what, error) : mpi_failed(comm, code, what, error);
}

static int least(size_t a, size_t b)
{
    return (int)(a < b ? a : b);
}

static hc_status mpi_all_reduce(struct hc_comm *comm, void *data, size_t count, enum hc_reduction how, const char *what,
                                struct hc_error *error)
{
    const MPI_Datatype types[] = {MPI_INT64_T, MPI_FLOAT, MPI_INT64_T, MPI_FLOAT, MPI_DOUBLE};
    const MPI_Op ops[] = {MPI_SUM, MPI_SUM, MPI_MAX, MPI_MAX, MPI_MAX};
    const struct mpi *mpi = comm->state;
    size_t width = hc_reduction_bytes(how);
    hc_status status = begin(comm, what, error);
    for (size_t at = 0; status == HC_OK && at < count; at += CHUNK / width) {
        MPI_Request request;
        int code = MPI_Iallreduce(MPI_IN_PLACE, (char *)data + at * width, least(count - at, CHUNK / width), types[how],
                                  ops[how], mpi->data, &request);
        status = finish(comm, code, &request, what, error);
    }
    return status;
}

/* Without `begin`. */
static hc_status spread(const struct hc_comm *comm, int root, char *data, size_t bytes, const char *what,
                        struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    hc_status status = HC_OK;
    for (size_t at = 0; status == HC_OK && at < bytes; at += CHUNK) {
        MPI_Request request;
        int code = MPI_Ibcast(data + at, least(bytes - at, CHUNK), MPI_BYTE, root, mpi->data, &request);
        status = finish(comm, code, &request, what, error);
    }
    return status;
}

static hc_status mpi_broadcast(struct hc_comm *comm, int root, void *data, size_t bytes, const char *what,
                               struct hc_error *error)
{
    hc_status status = begin(comm, what, error);
    return status == HC_OK ? spread(comm, root, data, bytes, what, error) : status;
}

/* What is too much for ints: every rank's part on its own. */
static hc_status gather_much(const struct hc_comm *comm, const void *mine, char *all, const size_t *bytes,
                             const char *what, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (int r = 0; status == HC_OK && r < comm->ranks; all += bytes[r], r++) {
        if (r == comm->rank && mine != all)
            memcpy(all, mine, bytes[r]);
        status = spread(comm, r, all, bytes[r], what, error);
    }
    return status;
}

static hc_status mpi_all_gather(struct hc_comm *comm, const void *mine, void *all, const size_t *bytes,
                                const char *what, struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    size_t total = 0, before = 0;
    for (int r = 0; r < comm->ranks; r++) {
        before += r < comm->rank ? bytes[r] : 0;
        total += bytes[r];
    }
    hc_status status = begin(comm, what, error);
    if (status != HC_OK || total > CHUNK)
        return status == HC_OK ? gather_much(comm, mine, all, bytes, what, error) : status;
    for (int r = 0, at = 0; r < comm->ranks; at += mpi->counts[r], r++) {
        mpi->counts[r] = (int)bytes[r];
        mpi->places[r] = at;
    }
    bool in_place = mine == (char *)all + before;
    MPI_Request request;
    int code = MPI_Iallgatherv(in_place ? MPI_IN_PLACE : mine, mpi->counts[comm->rank], MPI_BYTE, all, mpi->counts,
                               mpi->places, MPI_BYTE, mpi->data, &request);
    return finish(comm, code, &request, what, error);
}

static hc_status mpi_send(struct hc_comm *comm, int to, const void *data, size_t bytes, const char *what,
                          struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    hc_status status = begin(comm, what, error);
    for (size_t at = 0; status == HC_OK && at < bytes; at += CHUNK) {
        MPI_Request request;
        int code = MPI_Isend((const char *)data + at, least(bytes - at, CHUNK), MPI_BYTE, to, TAG, mpi->data, &request);
        status = finish(comm, code, &request, what, error);
    }
    return status;
}

static hc_status mpi_receive(struct hc_comm *comm, int from, void *data, size_t bytes, const char *what,
                             struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    hc_status status = begin(comm, what, error);
    for (size_t at = 0; status == HC_OK && at < bytes; at += CHUNK) {
        MPI_Request request;
        int code = MPI_Irecv((char *)data + at, least(bytes - at, CHUNK), MPI_BYTE, from, TAG, mpi->data, &request);
        status = finish(comm, code, &request, what, error);
    }
    return status;
}

static hc_status mpi_barrier(struct hc_comm *comm, const char *what, struct hc_error *error)
{
    const struct mpi *mpi = comm->state;
    MPI_Request request;
    hc_status status = begin(comm, what, error);
    return status == HC_OK ? finish(comm, MPI_Ibarrier(mpi->data, &request), &request, what, error) : status;
}

static void mpi_abort(struct hc_comm *comm, const char *why)
{
    const struct mpi *mpi = comm->state;
    if (!mpi->broken)
        tell_end(comm, FAILED, why);
}

static bool mpi_is_broken(struct hc_comm *comm)
{
    const struct mpi *mpi = comm->state;
    if (!mpi->broken)
        listen_as(comm, HERE);
    return mpi->broken || find_gone(comm) >= 0;
}

static hc_status mpi_attend(struct hc_comm *comm, bool stopping, const char *what, struct hc_error *error)
{
    return stopping ? await_news(comm, AT_WORK, what, error) : find_failure(comm, AT_WORK, what, error);
}

/* However impatient: programs start at different speeds. */
static double patience(double timeout)
{
    const double least = 20;
    return timeout > least ? timeout : least;
}

/* As hc_mpi_thread_run. `ours`: as in struct mpi. */
static hc_status do_with_mpi(bool ours, void (*job)(void *data), void *data, double timeout, const char *late,
                             struct hc_error *error)
{
    if (ours)
        return hc_mpi_thread_run(job, data, patience(timeout), late, error);
    job(data);
    return HC_OK;
}

static void leave(void *data)
{
    struct mpi *mpi = data;
    MPI_Comm_free(&mpi->control);
    MPI_Comm_free(&mpi->data);
    if (mpi->ours)
        MPI_Finalize();
}

static void mpi_destroy(struct hc_comm *comm)
{
    struct mpi *mpi = comm->state;
    comm->go_on = NULL;
    /* MPI_Finalize waits for all, also for one that has died since: the others have done their work, and end as if
     * nothing were, without what the thread still uses. */
    if (!mpi->broken && mpi_barrier(comm, "the end", NULL) == HC_OK &&
        do_with_mpi(mpi->ours, leave, mpi, comm->timeout, "not all ranks have left", NULL) != HC_OK)
        return;
    /* mpirun ends all as soon as one of them has ended with a failure: first let every rank say what it was. */
    if (mpi->broken)
        nap(farewell);
    free(mpi->roll.requests);
    free(mpi->last.requests);
    free(mpi->answering);
    free(mpi->answers);
    free(mpi->present);
    free(mpi->places);
    free(mpi->counts);
    free(mpi->pids);
    free(mpi);
}

static const struct hc_comm_table mpi_table = {
    .name = "MPI",
    .destroy = mpi_destroy,
    .all_reduce = mpi_all_reduce,
    .all_gather = mpi_all_gather,
    .broadcast = mpi_broadcast,
    .send = mpi_send,
    .receive = mpi_receive,
    .barrier = mpi_barrier,
    .abort = mpi_abort,
    .is_broken = mpi_is_broken,
    .attend = mpi_attend,
};

/* ---- Joining -------------------------------------------------------------------------------- */

/* A rank as others of its machine know it. Process numbers mean something only where they are given out together. */
struct neighbour {
    int rank;
    pid_t pid;
    uint64_t numbering;
};

static struct neighbour myself(int rank)
{
    struct stat numbering;
    bool known = stat("/proc/self/ns/pid", &numbering) == 0;
    return (struct neighbour){.rank = rank, .pid = getpid(), .numbering = known ? numbering.st_ino : 0};
}

/* Who else is on this machine. */
static hc_status meet_neighbours(struct hc_comm *comm, struct hc_error *error)
{
    struct mpi *mpi = comm->state;
    struct neighbour me = myself(comm->rank), *all = NULL;
    MPI_Comm local;
    if (MPI_Comm_split_type(mpi->data, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &local) != MPI_SUCCESS)
        return hc_fail(error, HC_ERR_RANKS, "MPI does not tell who shares a machine");
    MPI_Comm_set_errhandler(local, MPI_ERRORS_RETURN);
    MPI_Comm_rank(local, &comm->local_rank);
    MPI_Comm_size(local, &comm->local_ranks);
    all = calloc((size_t)comm->local_ranks, sizeof *all);
    hc_status status = all ? HC_OK : hc_no_memory(error);
    if (all && MPI_Allgather(&me, sizeof me, MPI_BYTE, all, sizeof me, MPI_BYTE, local) != MPI_SUCCESS)
        status = hc_fail(error, HC_ERR_RANKS, "MPI: the ranks of this machine do not find each other");
    for (int i = 0; status == HC_OK && i < comm->local_ranks; i++)
        if (me.numbering && all[i].numbering == me.numbering)
            mpi->pids[all[i].rank] = all[i].pid;
    if (status == HC_OK)
        comm->machine = all[0].rank;
    MPI_Comm_free(&local);
    free(all);
    return status;
}

static bool allocate(struct mpi *mpi, size_t ranks)
{
    mpi->pids = calloc(ranks, sizeof *mpi->pids);
    mpi->counts = calloc(ranks, sizeof *mpi->counts);
    mpi->places = calloc(ranks, sizeof *mpi->places);
    mpi->present = calloc(ranks, sizeof *mpi->present);
    mpi->answers = calloc(ranks, sizeof *mpi->answers);
    mpi->answering = malloc(ranks * sizeof(MPI_Request));
    mpi->roll.requests = malloc(ranks * sizeof(MPI_Request));
    mpi->last.requests = malloc(ranks * sizeof(MPI_Request));
    if (!mpi->pids || !mpi->counts || !mpi->places || !mpi->present || !mpi->answers || !mpi->answering ||
        !mpi->roll.requests || !mpi->last.requests)
        return false;
    for (size_t r = 0; r < ranks; r++)
        mpi->answering[r] = mpi->roll.requests[r] = mpi->last.requests[r] = MPI_REQUEST_NULL;
    return true;
}

/* What becomes of it when it is done in time. */
struct joining {
    struct hc_comm comm;
    bool ours;
    hc_status status;
    struct hc_error error;
};

static hc_status start_mpi(struct joining *joining)
{
    struct hc_comm *comm = &joining->comm;
    int threads = MPI_THREAD_SERIALIZED;
    if (joining->ours && MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &threads) != MPI_SUCCESS)
        return hc_fail(&joining->error, HC_ERR_RANKS, "MPI does not start");
    if (joining->ours) /* else it is the program's to say what its errors do */
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->ranks);
    if (threads < MPI_THREAD_SERIALIZED)
        return hc_fail(&joining->error, HC_ERR_UNSUPPORTED, "this MPI does not let any thread call it");
    return HC_OK;
}

/* The comm can be destroyed if it gets a table here. */
static hc_status meet(struct joining *joining)
{
    struct hc_comm *comm = &joining->comm;
    struct hc_error *error = &joining->error;
    struct mpi *mpi = calloc(1, sizeof *mpi);
    if (!mpi)
        return hc_no_memory(error);
    comm->table = &mpi_table;
    comm->state = mpi;
    mpi->ours = joining->ours;
    mpi->broken = true; /* until all is well */
    if (!allocate(mpi, (size_t)comm->ranks))
        return hc_no_memory(error);
    if (MPI_Comm_dup(MPI_COMM_WORLD, &mpi->data) != MPI_SUCCESS ||
        MPI_Comm_dup(MPI_COMM_WORLD, &mpi->control) != MPI_SUCCESS)
        return hc_fail(error, HC_ERR_RANKS, "MPI makes no communicators");
    MPI_Comm_set_errhandler(mpi->data, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(mpi->control, MPI_ERRORS_RETURN);
    hc_status status = meet_neighbours(comm, error);
    mpi->broken = status != HC_OK;
    return status;
}

static void join(void *data)
{
    struct joining *joining = data;
    joining->status = start_mpi(joining);
    if (joining->status != HC_OK)
        return;
    if (joining->comm.ranks > 1)
        joining->status = meet(joining);
    else if (joining->ours)
        MPI_Finalize();
}

hc_status hc_comm_mpi(struct hc_comm *comm, bool started, double timeout, struct hc_error *error)
{
    int running = 0, over = 0;
    hc_comm_alone(comm);
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    if (!running && !started)
        return HC_OK;
    if (over)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "MPI has ended in this process, and cannot begin again");
    struct joining *joining = calloc(1, sizeof *joining);
    if (!joining)
        return hc_no_memory(error);
    hc_comm_alone(&joining->comm);
    joining->comm.timeout = timeout;
    joining->ours = !running;
    hc_status status = do_with_mpi(joining->ours, join, joining, timeout, "not all ranks have joined", error);
    if (status == HC_ERR_RANKS)
        return status; /* the thread still uses it */
    if (status == HC_OK) {
        status = joining->status;
        *comm = joining->comm;
        if (status != HC_OK && error)
            *error = joining->error;
    }
    free(joining);
    return status;
}
