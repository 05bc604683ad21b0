#include "comm_mpi_thread.h"

#include <errno.h>
#include <pthread.h>
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

bool hc_mpi_thread_run(void (*job)(void *data), void *data, double seconds)
{
    const struct timespec end = in(seconds);
    pthread_mutex_lock(&thread.mutex);
    bool given = (thread.runs || start()) && !thread.job;
    if (given) {
        thread.job = job;
        thread.data = data;
        pthread_cond_broadcast(&thread.changed);
    }
    while (given && thread.job && pthread_cond_timedwait(&thread.changed, &thread.mutex, &end) != ETIMEDOUT)
        continue;
    bool done = given && !thread.job;
    pthread_mutex_unlock(&thread.mutex);
    return done;
}
