#include "writer.h"

#include "meter.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    COMMIT_BYTES = 256 << 20, /* at most so much work is lost when the process is killed, */
    COMMIT_SECONDS = 2,       /* or so much time, but for the tensor at hand and what waits to be written */
    JOB_BYTES = 4 << 20,
};

static const double attend_every = 0.1; /* seconds, while a caller waits */

/* Something to be done, and what it is done with. */
struct job {
    struct job *next;
    hc_status (*act)(struct hc_writer *writer, struct job *job, struct hc_error *error);
    json_t *record;
    bool truncate;
    uint64_t at; /* an offset, or a size */
    size_t bytes;
    uint8_t data[];
};

struct hc_writer {
    struct hc_journal *journal;
    struct hc_out out;
    uint64_t unsynced;  /* bytes written since the last commit */
    double last_commit; /* as hc_now tells it */
    hc_status (*attend)(void *user, struct hc_error *error);
    void *user;
    double attended; /* when, as hc_now tells it */
    pthread_t thread;
    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t changed;
    struct job *first, **end; /* jobs that are not done, in order */
    size_t bytes;             /* that they take */
    bool closing;
    hc_status status; /* the first failure */
    struct hc_error error;
};

/* ---- What the thread does ------------------------------------------------------------------- */

static hc_status commit(struct hc_writer *writer, struct hc_error *error)
{
    if (writer->journal->pending_bytes == 0)
        return HC_OK;
    hc_status status = hc_out_sync(&writer->out, error);
    if (status == HC_OK)
        status = hc_journal_commit(writer->journal, error);
    else
        hc_journal_drop(writer->journal);
    writer->unsynced = 0;
    writer->last_commit = hc_now();
    return status;
}

static hc_status do_open(struct hc_writer *writer, struct job *job, struct hc_error *error)
{
    return hc_out_open(&writer->out, (const char *)job->data, job->truncate, error);
}

static hc_status do_write(struct hc_writer *writer, struct job *job, struct hc_error *error)
{
    hc_status status = hc_out_write_at(&writer->out, job->at, job->data, job->bytes, error);
    hc_out_start_sync(&writer->out, job->at, job->bytes);
    writer->unsynced += job->bytes;
    return status;
}

static hc_status do_record(struct hc_writer *writer, struct job *job, struct hc_error *error)
{
    hc_status status = hc_journal_add(writer->journal, job->record, error);
    job->record = NULL;
    bool due = writer->unsynced >= COMMIT_BYTES || hc_now() - writer->last_commit >= COMMIT_SECONDS;
    return status == HC_OK && due ? commit(writer, error) : status;
}

static hc_status do_commit(struct hc_writer *writer, struct job *job, struct hc_error *error)
{
    (void)job;
    return commit(writer, error);
}

static hc_status do_finish(struct hc_writer *writer, struct job *job, struct hc_error *error)
{
    hc_status status;
    HC_TRY(commit(writer, error));
    HC_TRY(hc_out_resize(&writer->out, job->at, error));
    HC_TRY(hc_out_finish(&writer->out, error));
done:
    return status;
}

/* ---- The thread ----------------------------------------------------------------------------- */

static size_t size_of(const struct job *job)
{
    return sizeof *job + job->bytes;
}

static void free_job(struct job *job)
{
    json_decref(job->record);
    free(job);
}

static void remove_first(struct hc_writer *writer)
{
    struct job *job = writer->first;
    writer->first = job->next;
    if (!writer->first)
        writer->end = &writer->first;
    writer->bytes -= size_of(job);
    pthread_cond_broadcast(&writer->changed);
    free_job(job);
}

/* The first job, with the mutex held before and after; one that waits counts until it is done. */
static void do_first(struct hc_writer *writer)
{
    struct job *job = writer->first;
    struct hc_error error = {""};
    pthread_mutex_unlock(&writer->mutex);
    hc_status status = job->act(writer, job, &error);
    pthread_mutex_lock(&writer->mutex);
    writer->status = status;
    writer->error = error;
}

static void *work(void *argument)
{
    struct hc_writer *writer = argument;
    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        while (!writer->first && !writer->closing)
            pthread_cond_wait(&writer->changed, &writer->mutex);
        if (!writer->first)
            break;
        if (writer->status == HC_OK)
            do_first(writer);
        remove_first(writer);
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

/* ---- From beginning to end ------------------------------------------------------------------ */

static void destroy(struct hc_writer *writer)
{
    hc_out_close(&writer->out);
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

/* Waits by the clock of hc_now. */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

hc_status hc_writer_begin(struct hc_writer **out, struct hc_journal *journal,
                          hc_status (*attend)(void *user, struct hc_error *error), void *user, struct hc_error *error)
{
    struct hc_writer *writer = calloc(1, sizeof *writer);
    *out = NULL;
    if (!writer)
        return hc_no_memory(error);
    writer->journal = journal;
    writer->attend = attend;
    writer->user = user;
    writer->out.fd = -1;
    writer->last_commit = hc_now();
    writer->end = &writer->first;
    pthread_mutex_init(&writer->mutex, NULL);
    init_condition(&writer->changed);
    if (pthread_create(&writer->thread, NULL, work, writer) != 0) {
        destroy(writer);
        return hc_fail(error, HC_ERR_MEMORY, "no memory for the thread that writes, or too many threads");
    }
    *out = writer;
    return HC_OK;
}

/* With the mutex held. */
static hc_status first_failure(const struct hc_writer *writer, struct hc_error *error)
{
    if (writer->status != HC_OK && error)
        *error = writer->error;
    return writer->status;
}

hc_status hc_writer_end(struct hc_writer *writer, struct hc_error *error)
{
    if (!writer)
        return HC_OK;
    pthread_mutex_lock(&writer->mutex);
    writer->closing = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    hc_status status = first_failure(writer, error), committed = commit(writer, status == HC_OK ? error : NULL);
    destroy(writer);
    return status == HC_OK ? committed : status;
}

/* ---- What it is told ------------------------------------------------------------------------ */

/* NULL if memory is out. */
static struct job *new_job(hc_status (*act)(struct hc_writer *writer, struct job *job, struct hc_error *error),
                           const void *data, size_t bytes)
{
    struct job *job = malloc(sizeof *job + bytes);
    if (job) {
        *job = (struct job){.act = act, .bytes = bytes};
        memcpy(job->data, data, bytes);
    }
    return job;
}

/* Waits, with the mutex held before and after, until something has changed or it is time to attend; a failure of that
 * ends the caller's waiting. */
static hc_status wait_attending(struct hc_writer *writer, struct hc_error *error)
{
    double due = writer->attended + attend_every;
    const struct timespec until = {.tv_sec = (time_t)due, .tv_nsec = (long)(1e9 * (due - floor(due)))};
    pthread_cond_timedwait(&writer->changed, &writer->mutex, &until);
    if (hc_now() < due)
        return HC_OK;
    pthread_mutex_unlock(&writer->mutex);
    hc_status status = writer->attend(writer->user, error);
    writer->attended = hc_now();
    pthread_mutex_lock(&writer->mutex);
    return status;
}

/* Takes the job (NULL: memory was out) once there is room. */
static hc_status give(struct hc_writer *writer, struct job *job, struct hc_error *error)
{
    if (!job)
        return hc_no_memory(error);
    pthread_mutex_lock(&writer->mutex);
    hc_status status = HC_OK;
    while (status == HC_OK && writer->status == HC_OK && writer->bytes + size_of(job) > HC_WRITER_BYTES)
        status = wait_attending(writer, error);
    if (status == HC_OK)
        status = first_failure(writer, error);
    if (status == HC_OK) {
        *writer->end = job;
        writer->end = &job->next;
        writer->bytes += size_of(job);
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->mutex);
    if (status != HC_OK)
        free_job(job);
    return status;
}

hc_status hc_writer_open(struct hc_writer *writer, const char *path, bool truncate, struct hc_error *error)
{
    struct job *job = new_job(do_open, path, strlen(path) + 1);
    if (job)
        job->truncate = truncate;
    return give(writer, job, error);
}

hc_status hc_writer_write(struct hc_writer *writer, uint64_t offset, const void *data, size_t bytes,
                          struct hc_error *error)
{
    hc_status status = HC_OK;
    for (size_t at = 0; status == HC_OK && at < bytes; at += JOB_BYTES) {
        size_t rest = bytes - at;
        struct job *job = new_job(do_write, (const uint8_t *)data + at, rest < JOB_BYTES ? rest : JOB_BYTES);
        if (job)
            job->at = offset + at;
        status = give(writer, job, error);
    }
    return status;
}

hc_status hc_writer_record(struct hc_writer *writer, json_t *record, struct hc_error *error)
{
    struct job *job = record ? new_job(do_record, "", 0) : NULL;
    if (job)
        job->record = record;
    else
        json_decref(record);
    return give(writer, job, error);
}

hc_status hc_writer_commit(struct hc_writer *writer, struct hc_error *error)
{
    return give(writer, new_job(do_commit, "", 0), error);
}

hc_status hc_writer_finish(struct hc_writer *writer, uint64_t size, struct hc_error *error)
{
    struct job *job = new_job(do_finish, "", 0);
    if (job)
        job->at = size;
    return give(writer, job, error);
}

/* ---- What it answers ------------------------------------------------------------------------ */

hc_status hc_writer_check(struct hc_writer *writer, struct hc_error *error)
{
    pthread_mutex_lock(&writer->mutex);
    hc_status status = first_failure(writer, error);
    pthread_mutex_unlock(&writer->mutex);
    return status;
}

hc_status hc_writer_wait(struct hc_writer *writer, struct hc_error *error)
{
    pthread_mutex_lock(&writer->mutex);
    hc_status status = HC_OK;
    while (status == HC_OK && writer->first)
        status = wait_attending(writer, error);
    if (status == HC_OK)
        status = first_failure(writer, error);
    pthread_mutex_unlock(&writer->mutex);
    return status;
}

const struct hc_out *hc_writer_out(const struct hc_writer *writer)
{
    return &writer->out;
}
