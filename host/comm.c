#include "comm.h"

#include "checksum.h"
#ifdef HC_HAVE_MPI
#include "comm_mpi.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hc_comm_alone(struct hc_comm *comm)
{
    *comm = (struct hc_comm){.ranks = 1, .local_ranks = 1};
}

void hc_comm_destroy(struct hc_comm *comm)
{
    if (comm->table)
        comm->table->destroy(comm);
    hc_comm_alone(comm);
}

hc_status hc_comm_all_reduce(struct hc_comm *comm, void *data, size_t count, enum hc_reduction how, const char *what,
                             struct hc_error *error)
{
    return comm->table && count > 0 ? comm->table->all_reduce(comm, data, count, how, what, error) : HC_OK;
}

hc_status hc_comm_all_gather(struct hc_comm *comm, const void *mine, void *all, const size_t *bytes, const char *what,
                             struct hc_error *error)
{
    if (comm->table)
        return comm->table->all_gather(comm, mine, all, bytes, what, error);
    if (mine != all)
        memcpy(all, mine, bytes[0]);
    return HC_OK;
}

hc_status hc_comm_broadcast(struct hc_comm *comm, int root, void *data, size_t bytes, const char *what,
                            struct hc_error *error)
{
    return comm->table && bytes > 0 ? comm->table->broadcast(comm, root, data, bytes, what, error) : HC_OK;
}

hc_status hc_comm_barrier(struct hc_comm *comm, const char *what, struct hc_error *error)
{
    return comm->table ? comm->table->barrier(comm, what, error) : HC_OK;
}

void hc_comm_abort(struct hc_comm *comm, const char *why)
{
    if (comm->table)
        comm->table->abort(comm, why);
}

hc_status hc_comm_attend(struct hc_comm *comm, bool stopping, const char *what, struct hc_error *error)
{
    if (!comm->table || !comm->table->attend)
        return HC_OK;
    hc_status status = comm->table->attend(comm, stopping, what, &comm->lost);
    return status == HC_OK ? HC_OK : hc_fail(error, status, "%s", comm->lost.text);
}

hc_status hc_comm_agree(struct hc_comm *comm, const char *text, const char *what, struct hc_error *error)
{
    enum { TEXT = HC_CHECKSUM_DIGITS + 1 };
    if (!comm->table)
        return HC_OK;
    size_t *bytes = malloc((size_t)comm->ranks * sizeof *bytes);
    char(*all)[TEXT] = malloc((size_t)comm->ranks * sizeof *all);
    hc_status status = bytes && all ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    for (int r = 0; r < comm->ranks; r++)
        bytes[r] = TEXT;
    hc_checksum(text, strlen(text), all[comm->rank]);
    HC_TRY(hc_comm_all_gather(comm, all[comm->rank], all, bytes, what, error));
    for (int r = 1; r < comm->ranks && status == HC_OK; r++)
        if (strcmp(all[r], all[0]) != 0)
            status = hc_fail(error, HC_ERR_DIFFERENT, "rank %d and rank 0 do not see the same: %s", r, what);
done:
    free(bytes);
    free(all);
    return status;
}

hc_status hc_comm_failed(struct hc_error *error, int rank, const char *why, const char *what)
{
    return hc_fail(error, HC_ERR_RANKS, "rank %d failed: %s (here: %s)", rank, why, what);
}

hc_status hc_comm_silent(struct hc_error *error, const bool *here, int ranks, double seconds, const char *what)
{
    enum { NAMED = 8 };
    char names[NAMED * 12 + 8] = "";
    int silent = 0;
    for (int r = 0; r < ranks; r++) {
        size_t length = strlen(names);
        if (!here[r] && silent++ <= NAMED)
            snprintf(names + length, sizeof names - length, silent > NAMED ? " ..." : silent > 1 ? ", %d" : "%d", r);
    }
    if (silent == 0)
        return hc_fail(error, HC_ERR_RANKS, "the ranks wait for one another: %s (%g s)", what, seconds);
    return hc_fail(error, HC_ERR_RANKS,
                   silent > 1 ? "ranks %s do not answer: %s (%g s)" : "rank %s does not answer: %s (%g s)", names, what,
                   seconds);
}

/* ---- The ranks that mpirun started ---------------------------------------------------------- */

static int number_of(const char *variable)
{
    const char *text = getenv(variable);
    return text ? atoi(text) : 0;
}

/* How many processes were started as ranks of one run; 0: none. */
static int started_ranks(void)
{
    int ranks = number_of("OMPI_COMM_WORLD_SIZE");
    if (ranks == 0)
        ranks = number_of("PMI_SIZE");
    if (ranks > 0 || !getenv("PMIX_RANK"))
        return ranks;
    /* Through PMIx directly, as Slurm does, which has its own word for how many. */
    ranks = number_of("SLURM_STEP_NUM_TASKS");
    return ranks > 0 ? ranks : 2;
}

hc_status hc_comm_world(struct hc_comm *comm, double timeout, struct hc_error *error)
{
    int started = started_ranks();
#ifdef HC_HAVE_MPI
    return hc_comm_mpi(comm, started > 1, timeout, error);
#else
    (void)timeout;
    hc_comm_alone(comm);
    return started > 1
               ? hc_fail(error, HC_ERR_UNSUPPORTED,
                         "started as one of several processes, but built without MPI: install it, and build again")
               : HC_OK;
#endif
}
