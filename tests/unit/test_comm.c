/* Ranks that are threads: every operation against what it must give, and that what fails fails everywhere, by name. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../comm_checks.h"
#include "crew.h"

enum { MOST_RANKS = 5 };

struct job {
    struct hc_crew *crew;
    int ranks;
    int culprit;  /* the rank that does what it must not */
    size_t count; /* of numbers */
    hc_status status[MOST_RANKS];
    struct hc_error error[MOST_RANKS]; /* of the rank's call */
};

static struct hc_crew *crew_of(int ranks, double timeout)
{
    struct hc_error error = {""};
    struct hc_crew *crew;
    cr_assert_eq(hc_crew_create(&crew, ranks, timeout, &error), HC_OK, "%s", error.text);
    return crew;
}

static void set_timeout(const struct job *job, double seconds)
{
    for (int r = 0; r < job->ranks; r++)
        hc_crew_comm(job->crew, r)->timeout = seconds;
}

/* ---- Operations ----------------------------------------------------------------------------- */

static hc_status operations(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    return check_operations(hc_crew_comm(job->crew, rank), job->count, error);
}

static hc_status agreement(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    return hc_comm_agree(hc_crew_comm(job->crew, rank), rank == job->culprit ? "that" : "this", "the input", error);
}

static void expect_sound(struct job *job, hc_crew_fn work)
{
    struct hc_error error = {""};
    cr_assert_eq(hc_crew_run(job->crew, work, job, &error), HC_OK, "%d ranks: %s", job->ranks, error.text);
}

Test(comm, every_operation_gives_what_it_must)
{
    static const size_t counts[] = {0, 1, 3, 1000, 100003};
    for (int ranks = 1; ranks <= MOST_RANKS; ranks++) {
        struct job job = {.crew = crew_of(ranks, 60), .ranks = ranks, .culprit = -1};
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            job.count = counts[i];
            expect_sound(&job, operations);
        }
        hc_crew_destroy(job.crew);
    }
}

/* Numbers whose sum depends on the order. */
static hc_status rounded_sum(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    static const float parts[MOST_RANKS] = {1e8f, 3.1f, -1e8f, 2.7f, 1.9f};
    float sum = parts[rank], in_order = 0;
    hc_status status =
        hc_comm_all_reduce(hc_crew_comm(job->crew, rank), &sum, 1, HC_SUM_F32, "a sum that is rounded", error);
    for (int r = 0; r < job->ranks; r++)
        in_order += parts[r];
    if (status == HC_OK && memcmp(&sum, &in_order, sizeof sum) != 0)
        status = hc_fail(error, HC_ERR_DIFFERENT, "%.9g is not %.9g", (double)sum, (double)in_order);
    return status;
}

Test(comm, floats_are_added_in_the_order_of_the_ranks)
{
    struct job job = {.crew = crew_of(MOST_RANKS, 60), .ranks = MOST_RANKS};
    for (int i = 0; i < 50; i++)
        expect_sound(&job, rounded_sum);
    hc_crew_destroy(job.crew);
}

/* ---- Failures ------------------------------------------------------------------------------- */

/* What the run says, and what every rank but the culprit says. */
static void expect_failure(struct job *job, hc_crew_fn work, hc_status status, const char *text, const char *others)
{
    struct hc_error error = {""};
    cr_assert_eq(hc_crew_run(job->crew, work, job, &error), status, "%s", error.text);
    cr_assert(strstr(error.text, text), "\"%s\" has no \"%s\"", error.text, text);
    for (int r = 0; r < job->ranks; r++) {
        if (r == job->culprit)
            continue;
        cr_assert_eq(job->status[r], HC_ERR_RANKS, "rank %d: status %d", r, job->status[r]);
        cr_assert(strstr(job->error[r].text, others), "rank %d: \"%s\" has no \"%s\"", r, job->error[r].text, others);
    }
}

static hc_status keep(struct job *job, int rank, hc_status status, struct hc_error *error)
{
    job->status[rank] = status;
    job->error[rank] = *error;
    return status;
}

static hc_status one_fails(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    int64_t one = 1;
    if (rank == job->culprit)
        return hc_fail(error, HC_ERR_DEVICE, "the device is out of memory");
    hc_status status = hc_comm_all_reduce(hc_crew_comm(job->crew, rank), &one, 1, HC_SUM_I64, "the norms of X", error);
    return keep(job, rank, status, error);
}

/* After the others have come, and before one of them is ready for the next. */
static hc_status one_aborts(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    struct hc_comm *comm = hc_crew_comm(job->crew, rank);
    hc_status status = hc_comm_barrier(comm, "the start", error);
    if (rank == job->culprit) {
        usleep(20000);
        hc_comm_abort(comm, "no more");
        return HC_OK;
    }
    while (status == HC_OK)
        status = hc_comm_barrier(comm, "the norms of Y", error);
    return keep(job, rank, status, error);
}

static hc_status one_sleeps(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    struct hc_comm *comm = hc_crew_comm(job->crew, rank);
    if (rank == job->culprit)
        usleep(600000);
    return keep(job, rank, hc_comm_barrier(comm, "the norms of Z", error), error);
}

static hc_status one_never_sends(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    struct hc_comm *comm = hc_crew_comm(job->crew, rank);
    int letter;
    if (rank == job->culprit)
        usleep(600000);
    else
        return keep(job, rank, comm->table->receive(comm, job->culprit, &letter, sizeof letter, "a letter", error),
                    error);
    return HC_OK;
}

static hc_status one_does_something_else(void *user, int rank, struct hc_error *error)
{
    struct job *job = user;
    struct hc_comm *comm = hc_crew_comm(job->crew, rank);
    int64_t one[2] = {1, 1};
    size_t count = rank == job->culprit ? 2 : 1;
    return keep(job, rank, hc_comm_all_reduce(comm, one, count, HC_SUM_I64, "the norms of V", error), error);
}

static bool never(void *user)
{
    (void)user;
    return false;
}

static void expect_failures(struct job *job)
{
    char failed[100], aborted[100], silent[100];
    snprintf(failed, sizeof failed, "rank %d failed: the device is out of memory (here: the norms of X)", job->culprit);
    snprintf(aborted, sizeof aborted, "rank %d failed: no more (here: the norms of Y)", job->culprit);
    snprintf(silent, sizeof silent, "rank %d does not answer: ", job->culprit);
    expect_failure(job, one_fails, HC_ERR_DEVICE, "the device is out of memory", failed);
    expect_failure(job, one_aborts, HC_ERR_RANKS, "no more", aborted);
    expect_failure(job, one_does_something_else, HC_ERR_RANKS, "the norms of V", "do not do the same");
    set_timeout(job, 0.2);
    expect_failure(job, one_sleeps, HC_ERR_RANKS, "the norms of Z (0.2 s)", silent);
    expect_failure(job, one_never_sends, HC_ERR_RANKS, "a letter (0.2 s)", silent);
    set_timeout(job, 60);
}

Test(comm, what_fails_fails_everywhere_and_the_crew_goes_on)
{
    for (int ranks = 2; ranks <= MOST_RANKS; ranks += 3) {
        struct job job = {.crew = crew_of(ranks, 60), .ranks = ranks, .count = 1000};
        for (job.culprit = 0; job.culprit < ranks; job.culprit += ranks - 1) {
            expect_failures(&job);
            expect_sound(&job, operations);
        }
        hc_crew_destroy(job.crew);
    }
}

/* Alone there is nobody to tell, but who runs the crew. */
Test(comm, what_fails_in_a_crew_of_one_is_told)
{
    struct job job = {.crew = crew_of(1, 60), .ranks = 1, .count = 1000};
    expect_failure(&job, one_fails, HC_ERR_DEVICE, "the device is out of memory", "");
    expect_sound(&job, operations);
    hc_crew_destroy(job.crew);
}

Test(comm, who_sees_something_else_is_named)
{
    struct hc_error error = {""};
    struct job job = {.crew = crew_of(4, 60), .ranks = 4, .culprit = 2};
    cr_assert_eq(hc_crew_run(job.crew, agreement, &job, &error), HC_ERR_DIFFERENT);
    cr_assert_str_eq(error.text, "rank 2 and rank 0 do not see the same: the input");
    hc_crew_destroy(job.crew);
}

Test(comm, who_is_asked_to_stop_stops_all)
{
    struct hc_error error = {""};
    struct job job = {.crew = crew_of(3, 60), .ranks = 3, .culprit = 2};
    hc_crew_comm(job.crew, 0)->go_on = never;
    cr_assert_eq(hc_crew_run(job.crew, one_sleeps, &job, &error), HC_ERR_CANCELLED);
    cr_assert_str_eq(error.text, "cancelled: the norms of Z");
    cr_assert_eq(job.status[1], HC_ERR_RANKS);
    cr_assert_str_eq(job.error[2].text, "rank 0 failed: cancelled (here: the norms of Z)");
    hc_crew_comm(job.crew, 0)->go_on = NULL;
    job.count = 10;
    expect_sound(&job, operations);
    hc_crew_destroy(job.crew);
}
