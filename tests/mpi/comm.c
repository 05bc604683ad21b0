/* Ranks that are processes: every operation against what it must give; or what the others say when one of them fails.
 *
 * usage: mpirun -n N mpi-comm operations
 *        mpirun -n N mpi-comm killed|hung|busy|aborts|differs RANK TIMEOUT    RANK does it, the others wait
 *        mpirun -n N mpi-comm works RANK TIMEOUT    RANK works for several timeouts, and attends: nobody fails
 *        mpirun -n N mpi-comm told RANK TIMEOUT     RANK fails; the others only work, and attend
 * A rank that fails says so in a line, "rank 2: ...", and ends with 1. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../comm_checks.h"

/* mpirun sends SIGTERM when a rank has ended: what waits is asked whether to go on. */
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static bool go_on(void *user)
{
    (void)user;
    return !stopped;
}

/* The last one is more than is sent at once. */
static hc_status operations(struct hc_comm *comm, struct hc_error *error)
{
    static const size_t counts[] = {0, 1, 3, 1000, 100003, 17000000};
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < sizeof counts / sizeof *counts; i++)
        status = check_operations(comm, counts[i], error);
    for (int i = 0; status == HC_OK && i < 1000; i++)
        status = check_wide(comm, error);
    if (status == HC_OK && comm->rank == 0)
        printf("%d ranks, %d of them here: every operation is right\n", comm->ranks, comm->local_ranks);
    return status;
}

static hc_status differ(struct hc_comm *comm, bool culprit, struct hc_error *error)
{
    return hc_comm_agree(comm, culprit ? "that" : "this", "the input", error);
}

/* Works without another rank, for so many seconds or until something is wrong. */
static hc_status work(struct hc_comm *comm, double seconds, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (double worked = 0; status == HC_OK && worked < seconds; worked += 0.1) {
        usleep(100000);
        status = hc_comm_attend(comm, stopped, "its own work", error);
    }
    return status;
}

/* After some operations that are sound. */
static hc_status fail_at(struct hc_comm *comm, const char *fault, bool culprit, struct hc_error *error)
{
    hc_status status = HC_OK;
    if (strcmp(fault, "differs") == 0)
        return differ(comm, culprit, error);
    for (int i = 0; status == HC_OK && i < 20; i++)
        status = check_sum_f32(comm, 1000, error);
    if (status == HC_OK && culprit && strcmp(fault, "killed") == 0)
        raise(SIGKILL);
    if (status == HC_OK && culprit && strcmp(fault, "hung") == 0)
        raise(SIGSTOP);
    for (int i = 0; status == HC_OK && culprit && strcmp(fault, "busy") == 0 && i < 60000; i++)
        usleep(1000);
    if (status == HC_OK && culprit && (strcmp(fault, "aborts") == 0 || strcmp(fault, "told") == 0))
        return hc_fail(error, HC_ERR_DEVICE, "the device is out of memory");
    if (status == HC_OK && culprit && strcmp(fault, "works") == 0)
        status = work(comm, 5 * comm->timeout, error);
    if (status == HC_OK && strcmp(fault, "told") == 0)
        status = work(comm, 60, error);
    float *data = calloc(100000, sizeof *data);
    if (status == HC_OK)
        status = hc_comm_all_reduce(comm, data, 100000, HC_SUM_F32, "the column norms of X", error);
    free(data);
    return status;
}

static hc_status run(struct hc_comm *comm, int argc, char **argv, struct hc_error *error)
{
    if (strcmp(argv[1], "operations") == 0)
        return operations(comm, error);
    return fail_at(comm, argv[1], argc > 2 && comm->rank == atoi(argv[2]), error);
}

int main(int argc, char **argv)
{
    struct hc_error error = {""};
    struct hc_comm comm;
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: mpi-comm operations | killed|hung|busy|aborts|differs|works|told RANK TIMEOUT\n");
        return 2;
    }
    hc_status status = hc_comm_world(&comm, argc == 4 ? atof(argv[3]) : 300, &error);
    comm.go_on = go_on;
    signal(SIGTERM, stop);
    if (status == HC_OK)
        status = run(&comm, argc, argv, &error);
    if (status != HC_OK) {
        fprintf(stderr, "rank %d: %s\n", comm.rank, error.text);
        hc_comm_abort(&comm, error.text);
    }
    hc_comm_destroy(&comm);
    return status == HC_OK ? 0 : 1;
}
