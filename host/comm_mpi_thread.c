#include "comm_mpi_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* One for the process, as MPI is. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool runs;
    void (*job)(void *data); /* to be done; NULL: it is done */
    void *data;
} thread = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *serve(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&thread.mutex);
    for (;;) {
        while (!thread.job)
            pthread_cond_wait(&thread.changed, &thread.mutex);
        pthread_mutex_unlock(&thread.mutex);
        thread.job(thread.data);
        pthread_mutex_lock(&thread.mutex);
        thread.job = NULL;
        pthread_cond_broadcast(&thread.changed);
    }
    return NULL;
}

static bool start(void)
{
    pthread_condattr_t attributes;
    pthread_t id;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    thread.runs = pthread_cond_init(&thread.changed, &attributes) == 0 && pthread_create(&id, NULL, serve, NULL) == 0;
    pthread_condattr_destroy(&attributes);
    if (thread.runs)
        pthread_detach(id);
    return thread.runs;
}

static struct timespec in(double seconds)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    double end = (double)time.tv_nsec * 1e-9 + seconds;
    time.tv_sec += (time_t)end;
    time.tv_nsec = (long)((end - (double)(time_t)end) * 1e9);
    return time;
}

/* With the mutex held. Whether the thread was free to do it, and has done it in time. */
static bool is_done(void (*job)(void *data), void *data, const struct timespec *end)
{
    if (thread.job)
        return false;
    thread.job = job;
    thread.data = data;
    pthread_cond_broadcast(&thread.changed);
    while (thread.job && pthread_cond_timedwait(&thread.changed, &thread.mutex, end) != ETIMEDOUT)
        continue;
    return !thread.job;
}

hc_status hc_mpi_thread_run(void (*job)(void *data), void *data, double seconds, const char *late,
                            struct hc_error *error)
{
    const struct timespec end = in(seconds);
    pthread_mutex_lock(&thread.mutex);
    bool runs = thread.runs || start(), done = runs && is_done(job, data, &end);
    pthread_mutex_unlock(&thread.mutex);
    if (!runs)
        return hc_fail(error, HC_ERR_MEMORY, "no memory for the thread that begins and ends MPI, or too many threads");
    return done ? HC_OK : hc_fail(error, HC_ERR_RANKS, "%s within %g s", late, seconds);
}
