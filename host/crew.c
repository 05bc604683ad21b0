#include "crew.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Ranks meet in common memory, under one mutex. In a collective all arrive with their pointers, work on each other's
 * data, and leave together: who has met the others stays until the last is ready, whatever happens. What is sent is
 * copied. */

/* From one rank to another; in a list, the oldest first. */
struct letter {
    struct letter *next;
    size_t bytes;
    unsigned char data[];
};

/* What a rank brings to a meeting. */
struct offer {
    const char *kind;
    size_t size;
    void *data;
};

struct member {
    struct hc_crew *crew;
    struct hc_comm comm;
    pthread_t thread; /* but of rank 0 */
    struct offer offer;
    unsigned long meeting;       /* that it waits for */
    struct letter *const *inbox; /* that it waits at */
    hc_status status;            /* of its work */
    struct hc_error error;
};

struct hc_crew {
    int ranks, threads; /* that were started, and rank 0 */
    struct member *members;
    struct letter **letters; /* ranks x ranks: to, from */
    bool *waiting;
    pthread_mutex_t mutex;
    pthread_cond_t begin, end, changed; /* a run; anything between ranks */
    hc_crew_fn work;                    /* of the run */
    void *user;
    unsigned long run;
    int working;
    bool closing;
    int arrived, ready;
    unsigned long meetings, partings; /* that are over */
    /* The first failure of this run. */
    bool failed, verdict; /* verdict: the text is what every rank says, not the reason of one */
    int failed_rank;
    char text[sizeof(struct hc_error)];
};

/* ---- Failing and waiting -------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void note_failure(struct hc_crew *crew, int rank, const char *text, bool verdict)
{
    if (crew->failed)
        return;
    crew->failed = true;
    crew->verdict = verdict;
    crew->failed_rank = rank;
    snprintf(crew->text, sizeof crew->text, "%s", text);
    pthread_cond_broadcast(&crew->changed);
}

static hc_status relay_failure(const struct hc_crew *crew, const char *what, struct hc_error *error)
{
    return crew->verdict ? hc_fail(error, HC_ERR_RANKS, "%s", crew->text)
                         : hc_comm_failed(error, crew->failed_rank, crew->text, what);
}

static hc_status give_up(const struct member *member, const char *what, struct hc_error *error)
{
    struct hc_crew *crew = member->crew;
    struct hc_error text;
    hc_status status =
        hc_comm_silent(&text, crew->waiting, crew->ranks, member->comm.waited + member->comm.timeout, what);
    note_failure(crew, member->comm.rank, text.text, true);
    return hc_fail(error, status, "%s", text.text);
}

static hc_status cancel(const struct member *member, const char *what, struct hc_error *error)
{
    note_failure(member->crew, member->comm.rank, "cancelled", false);
    return hc_fail(error, HC_ERR_CANCELLED, "cancelled: %s", what);
}

/* Sleeps until something changes, but wakes several times a second. False: asked to stop. */
static bool doze(const struct member *member, double *asked)
{
    const struct hc_comm *comm = &member->comm;
    struct hc_crew *crew = member->crew;
    double wake = now() + 0.1;
    struct timespec until = {.tv_sec = (time_t)wake, .tv_nsec = (long)(1e9 * (wake - (double)(time_t)wake))};
    pthread_cond_timedwait(&crew->changed, &crew->mutex, &until);
    if (!comm->go_on || now() - *asked < 0.1)
        return true;
    pthread_mutex_unlock(&crew->mutex);
    bool go_on = comm->go_on(comm->user);
    pthread_mutex_lock(&crew->mutex);
    *asked = now();
    return go_on;
}

static bool has_met(const struct member *member)
{
    return member->crew->meetings != member->meeting;
}

static bool has_letter(const struct member *member)
{
    return *member->inbox;
}

/* With the mutex, but for while it sleeps. */
static hc_status wait_until(const struct member *member, bool (*come)(const struct member *member), const char *what,
                            struct hc_error *error)
{
    struct hc_crew *crew = member->crew;
    bool *waiting = &crew->waiting[member->comm.rank];
    hc_status status = HC_OK;
    double begin = now(), asked = begin;
    *waiting = true;
    while (status == HC_OK && !come(member)) {
        if (crew->failed)
            status = relay_failure(crew, what, error);
        else if (now() - begin > member->comm.timeout)
            status = give_up(member, what, error);
        else if (!doze(member, &asked) && !come(member))
            status = cancel(member, what, error);
    }
    *waiting = false;
    return status;
}

/* ---- Meetings ------------------------------------------------------------------------------- */

/* The last one looks whether all came for the same. */
static bool all_agree(struct hc_crew *crew, const char *what)
{
    const struct offer *first = &crew->members[0].offer;
    for (int r = 1; r < crew->ranks; r++) {
        const struct offer *offer = &crew->members[r].offer;
        if (offer->size == first->size && strcmp(offer->kind, first->kind) == 0)
            continue;
        struct hc_error error;
        hc_fail(&error, HC_ERR_RANKS, "rank %d and rank 0 do not do the same: %s", r, what);
        note_failure(crew, r, error.text, true);
        return false;
    }
    return true;
}

/* Waits until all are there. */
static hc_status meet(struct member *member, struct offer offer, const char *what, struct hc_error *error)
{
    struct hc_crew *crew = member->crew;
    hc_status status = HC_OK;
    pthread_mutex_lock(&crew->mutex);
    member->offer = offer;
    member->meeting = crew->meetings;
    if (crew->failed || (++crew->arrived == crew->ranks && !all_agree(crew, what))) {
        status = relay_failure(crew, what, error);
    } else if (crew->arrived == crew->ranks) {
        crew->arrived = 0;
        crew->meetings++;
        pthread_cond_broadcast(&crew->changed);
    } else {
        status = wait_until(member, has_met, what, error);
    }
    pthread_mutex_unlock(&crew->mutex);
    return status;
}

/* Waits until all are ready with what they met for, which takes no longer than it takes. */
static void part(struct hc_crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    unsigned long parting = crew->partings;
    if (++crew->ready == crew->ranks) {
        crew->ready = 0;
        crew->partings++;
        pthread_cond_broadcast(&crew->changed);
    }
    while (crew->partings == parting)
        pthread_cond_wait(&crew->changed, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}

/* ---- Reductions ----------------------------------------------------------------------------- */

#define FOLD(type, expression)                                                                                         \
    for (size_t i = 0; i < count; i++) {                                                                               \
        type a = ((type *)into)[i], b = ((const type *)from)[i];                                                       \
        ((type *)into)[i] = (expression);                                                                              \
    }                                                                                                                  \
    break

static void fold(void *into, const void *from, size_t count, enum hc_reduction how)
{
    switch (how) {
    case HC_SUM_I64:
        FOLD(uint64_t, a + b);
    case HC_SUM_F32:
        FOLD(float, a + b);
    case HC_MAX_I64:
        FOLD(int64_t, a > b ? a : b);
    case HC_MAX_F32:
        FOLD(float, a > b ? a : b);
    case HC_MAX_F64:
        FOLD(double, a > b ? a : b);
    }
}

/* The numbers first .. first + count - 1 of all ranks, in the order of the ranks. */
static void reduce(const struct hc_crew *crew, size_t first, size_t count, enum hc_reduction how)
{
    enum { BLOCK = 4096 };
    _Alignas(8) unsigned char sum[BLOCK];
    size_t width = hc_reduction_bytes(how), most = BLOCK / width;
    for (size_t at = first, n; at < first + count; at += n) {
        n = first + count - at < most ? first + count - at : most;
        memcpy(sum, (char *)crew->members[0].offer.data + at * width, n * width);
        for (int r = 1; r < crew->ranks; r++)
            fold(sum, (char *)crew->members[r].offer.data + at * width, n, how);
        for (int r = 0; r < crew->ranks; r++)
            memcpy((char *)crew->members[r].offer.data + at * width, sum, n * width);
    }
}

/* ---- The table ------------------------------------------------------------------------------ */

/* A part of the numbers for every rank. */
static hc_status crew_all_reduce(struct hc_comm *comm, void *data, size_t count, enum hc_reduction how,
                                 const char *what, struct hc_error *error)
{
    static const char *const kinds[] = {"sum i64", "sum f32", "max i64", "max f32", "max f64"};
    struct member *member = comm->state;
    size_t ranks = (size_t)comm->ranks, rank = (size_t)comm->rank;
    size_t each = count / ranks, more = count % ranks;
    hc_status status = meet(member, (struct offer){kinds[how], count, data}, what, error);
    if (status != HC_OK)
        return status;
    reduce(member->crew, rank * each + (rank < more ? rank : more), each + (rank < more), how);
    part(member->crew);
    return HC_OK;
}

static hc_status crew_all_gather(struct hc_comm *comm, const void *mine, void *all, const size_t *bytes,
                                 const char *what, struct hc_error *error)
{
    struct member *member = comm->state;
    size_t total = 0;
    for (int r = 0; r < comm->ranks; r++)
        total += bytes[r];
    hc_status status = meet(member, (struct offer){"gather", total, (void *)(uintptr_t)mine}, what, error);
    if (status != HC_OK)
        return status;
    char *to = all;
    for (int r = 0; r < comm->ranks; to += bytes[r], r++)
        if (bytes[r] > 0 && to != member->crew->members[r].offer.data)
            memcpy(to, member->crew->members[r].offer.data, bytes[r]);
    part(member->crew);
    return HC_OK;
}

static hc_status crew_broadcast(struct hc_comm *comm, int root, void *data, size_t bytes, const char *what,
                                struct hc_error *error)
{
    struct member *member = comm->state;
    hc_status status = meet(member, (struct offer){"broadcast", bytes, data}, what, error);
    if (status != HC_OK)
        return status;
    if (comm->rank != root)
        memcpy(data, member->crew->members[root].offer.data, bytes);
    part(member->crew);
    return HC_OK;
}

static hc_status crew_barrier(struct hc_comm *comm, const char *what, struct hc_error *error)
{
    return meet(comm->state, (struct offer){"barrier", 0, NULL}, what, error);
}

static struct letter **letters(const struct hc_crew *crew, int to, int from)
{
    return &crew->letters[to * crew->ranks + from];
}

static hc_status crew_send(struct hc_comm *comm, int to, const void *data, size_t bytes, const char *what,
                           struct hc_error *error)
{
    struct hc_crew *crew = ((struct member *)comm->state)->crew;
    struct letter *letter = malloc(sizeof *letter + bytes);
    if (!letter)
        return hc_no_memory(error);
    letter->next = NULL;
    letter->bytes = bytes;
    if (bytes > 0)
        memcpy(letter->data, data, bytes);
    pthread_mutex_lock(&crew->mutex);
    struct letter **last = letters(crew, to, comm->rank);
    while (*last)
        last = &(*last)->next;
    *last = letter;
    pthread_cond_broadcast(&crew->changed);
    hc_status status = crew->failed ? relay_failure(crew, what, error) : HC_OK;
    pthread_mutex_unlock(&crew->mutex);
    return status;
}

static hc_status crew_receive(struct hc_comm *comm, int from, void *data, size_t bytes, const char *what,
                              struct hc_error *error)
{
    struct member *member = comm->state;
    struct hc_crew *crew = member->crew;
    struct letter **inbox = letters(crew, comm->rank, from), *letter = NULL;
    pthread_mutex_lock(&crew->mutex);
    member->inbox = inbox;
    hc_status status = crew->failed ? relay_failure(crew, what, error) : wait_until(member, has_letter, what, error);
    if (status == HC_OK) {
        letter = *inbox;
        *inbox = letter->next;
    }
    pthread_mutex_unlock(&crew->mutex);
    if (status == HC_OK && letter->bytes != bytes)
        status = hc_fail(error, HC_ERR_RANKS, "rank %d sends %zu bytes, not %zu: %s", from, letter->bytes, bytes, what);
    else if (status == HC_OK && bytes > 0)
        memcpy(data, letter->data, bytes);
    free(letter);
    return status;
}

static void crew_abort(struct hc_comm *comm, const char *why)
{
    struct hc_crew *crew = ((struct member *)comm->state)->crew;
    pthread_mutex_lock(&crew->mutex);
    note_failure(crew, comm->rank, why, false);
    pthread_mutex_unlock(&crew->mutex);
}

static bool crew_is_broken(struct hc_comm *comm)
{
    struct hc_crew *crew = ((struct member *)comm->state)->crew;
    pthread_mutex_lock(&crew->mutex);
    bool failed = crew->failed;
    pthread_mutex_unlock(&crew->mutex);
    return failed;
}

/* It belongs to the crew. */
static void crew_destroy(struct hc_comm *comm)
{
    (void)comm;
}

static const struct hc_comm_table crew_table = {
    .name = "threads",
    .destroy = crew_destroy,
    .all_reduce = crew_all_reduce,
    .all_gather = crew_all_gather,
    .broadcast = crew_broadcast,
    .send = crew_send,
    .receive = crew_receive,
    .barrier = crew_barrier,
    .abort = crew_abort,
    .is_broken = crew_is_broken,
};

/* ---- Runs ----------------------------------------------------------------------------------- */

static void work(struct member *member)
{
    struct hc_crew *crew = member->crew;
    member->error.text[0] = 0;
    member->status = crew->work(crew->user, member->comm.rank, &member->error);
    if (member->status == HC_OK)
        return;
    pthread_mutex_lock(&crew->mutex); /* not by the comm: one rank alone has none to abort */
    note_failure(crew, member->comm.rank, member->error.text, false);
    pthread_mutex_unlock(&crew->mutex);
}

static void *live(void *user)
{
    struct member *member = user;
    struct hc_crew *crew = member->crew;
    unsigned long run = 0;
    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        while (crew->run == run && !crew->closing)
            pthread_cond_wait(&crew->begin, &crew->mutex);
        if (crew->closing)
            break;
        run = crew->run;
        pthread_mutex_unlock(&crew->mutex);
        work(member);
        pthread_mutex_lock(&crew->mutex);
        if (--crew->working == 0)
            pthread_cond_signal(&crew->end);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

static void forget_letters(struct hc_crew *crew)
{
    for (int i = 0; i < crew->ranks * crew->ranks; i++) {
        for (struct letter *letter = crew->letters[i], *next; letter; letter = next) {
            next = letter->next;
            free(letter);
        }
        crew->letters[i] = NULL;
    }
}

/* What the run gives: the failure that came first, not those that came of it. */
static hc_status result(const struct hc_crew *crew, struct hc_error *error)
{
    if (!crew->failed)
        return HC_OK;
    const struct member *first = &crew->members[crew->failed_rank];
    if (first->status == HC_OK)
        return hc_fail(error, HC_ERR_RANKS, "rank %d failed: %s", crew->failed_rank, crew->text);
    return hc_fail(error, first->status, "%s", first->error.text);
}

hc_status hc_crew_run(struct hc_crew *crew, hc_crew_fn fn, void *user, struct hc_error *error)
{
    pthread_mutex_lock(&crew->mutex);
    crew->work = fn;
    crew->user = user;
    crew->working = crew->ranks - 1;
    crew->run++;
    pthread_cond_broadcast(&crew->begin);
    pthread_mutex_unlock(&crew->mutex);
    work(&crew->members[0]);
    pthread_mutex_lock(&crew->mutex);
    while (crew->working > 0)
        pthread_cond_wait(&crew->end, &crew->mutex);
    hc_status status = result(crew, error);
    crew->failed = false;
    crew->arrived = 0;
    forget_letters(crew);
    pthread_mutex_unlock(&crew->mutex);
    return status;
}

/* ---- The crew ------------------------------------------------------------------------------- */

static void init_locks(struct hc_crew *crew)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->begin, NULL);
    pthread_cond_init(&crew->end, NULL);
    pthread_cond_init(&crew->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void init_member(struct hc_crew *crew, int rank, double timeout)
{
    struct member *member = &crew->members[rank];
    member->crew = crew;
    hc_comm_alone(&member->comm);
    if (crew->ranks == 1)
        return;
    member->comm = (struct hc_comm){.table = &crew_table,
                                    .state = member,
                                    .rank = rank,
                                    .ranks = crew->ranks,
                                    .local_rank = rank,
                                    .local_ranks = crew->ranks,
                                    .timeout = timeout};
}

hc_status hc_crew_create(struct hc_crew **out, int ranks, double timeout, struct hc_error *error)
{
    struct hc_crew *crew = calloc(1, sizeof *crew);
    *out = NULL;
    if (!crew)
        return hc_no_memory(error);
    hc_status status = HC_OK;
    size_t count = (size_t)ranks;
    crew->ranks = ranks;
    crew->threads = 1;
    init_locks(crew);
    crew->members = calloc(count, sizeof *crew->members);
    crew->letters = calloc(count * count, sizeof *crew->letters);
    crew->waiting = calloc(count, sizeof *crew->waiting);
    if (!crew->members || !crew->letters || !crew->waiting)
        HC_TRY(hc_no_memory(error));
    for (int r = 0; r < ranks; r++)
        init_member(crew, r, timeout);
    for (; crew->threads < ranks; crew->threads++)
        if (pthread_create(&crew->members[crew->threads].thread, NULL, live, &crew->members[crew->threads]) != 0)
            HC_TRY(hc_fail(error, HC_ERR_MEMORY, "cannot start a thread for rank %d", crew->threads));
done:
    if (status == HC_OK)
        *out = crew;
    else
        hc_crew_destroy(crew);
    return status;
}

void hc_crew_destroy(struct hc_crew *crew)
{
    if (!crew)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->closing = true;
    pthread_cond_broadcast(&crew->begin);
    pthread_mutex_unlock(&crew->mutex);
    for (int r = 1; r < crew->threads; r++)
        pthread_join(crew->members[r].thread, NULL);
    pthread_cond_destroy(&crew->changed);
    pthread_cond_destroy(&crew->end);
    pthread_cond_destroy(&crew->begin);
    pthread_mutex_destroy(&crew->mutex);
    free(crew->waiting);
    free(crew->letters);
    free(crew->members);
    free(crew);
}

struct hc_comm *hc_crew_comm(struct hc_crew *crew, int rank)
{
    return &crew->members[rank].comm;
}
