/* Which devices ranks get that share machines. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "device_names.h"

enum { RANKS = 4 };

struct job {
    struct hc_crew *crew;
    const char *lists[RANKS], *expected[RANKS];
    int machines[RANKS];
};

static hc_status take(void *user, int rank, struct hc_error *error)
{
    const struct job *job = user;
    struct hc_comm *comm = hc_crew_comm(job->crew, rank);
    char **names, got[256] = "";
    size_t count;
    comm->machine = job->machines[rank];
    hc_status status = hc_device_names(comm, job->lists[rank], &names, &count, error);
    for (size_t i = 0; i < count; i++)
        strcat(strcat(got, i > 0 ? " " : ""), names[i]);
    if (status == HC_OK && strcmp(got, job->expected[rank]) != 0)
        status = hc_fail(error, HC_ERR_DIFFERENT, "rank %d has %s, not %s", rank, got, job->expected[rank]);
    hc_device_names_free(names, count);
    return status;
}

static void expect_names(struct job job, int ranks)
{
    struct hc_error error = {""};
    cr_assert_eq(hc_crew_create(&job.crew, ranks, 60, &error), HC_OK, "%s", error.text);
    cr_expect_eq(hc_crew_run(job.crew, take, &job, &error), HC_OK, "%s", error.text);
    hc_crew_destroy(job.crew);
}

Test(device_names, alone)
{
    expect_names((struct job){.lists = {"cpu"}, .expected = {"cpu"}}, 1);
    expect_names((struct job){.lists = {"cuda"}, .expected = {"cuda:0"}}, 1);
    expect_names((struct job){.lists = {"cuda,cpu,cuda"}, .expected = {"cuda:0 cpu cuda:1"}}, 1);
    expect_names((struct job){.lists = {"cuda,cuda:0,cuda,cuda:2"}, .expected = {"cuda:1 cuda:0 cuda:3 cuda:2"}}, 1);
    expect_names((struct job){.lists = {"cuda:0,cuda:0"}, .expected = {"cuda:0 cuda:0"}}, 1);
    expect_names((struct job){.lists = {"cuda:,cuda"}, .expected = {"cuda: cuda:1"}}, 1);
    expect_names((struct job){.lists = {",cudas,cuda:x,cuda"}, .expected = {" cudas cuda:x cuda:0"}}, 1);
}

Test(device_names, ranks_of_one_machine)
{
    expect_names(
        (struct job){.lists = {"cuda", "cuda", "cuda", "cuda"}, .expected = {"cuda:0", "cuda:1", "cuda:2", "cuda:3"}},
        RANKS);
    expect_names(
        (struct job){.lists = {"cpu", "cuda", "cpu", "cuda,cpu"}, .expected = {"cpu", "cuda:0", "cpu", "cuda:1 cpu"}},
        RANKS);
    expect_names((struct job){.lists = {"cuda,cuda", "cuda", "cuda,cuda,cuda", "cuda"},
                              .expected = {"cuda:0 cuda:1", "cuda:2", "cuda:3 cuda:4 cuda:5", "cuda:6"}},
                 RANKS);
    expect_names((struct job){.lists = {"cuda", "cuda:1", "cuda,cuda:4", "cuda:0,cuda"},
                              .expected = {"cuda:2", "cuda:1", "cuda:3 cuda:4", "cuda:0 cuda:5"}},
                 RANKS);
}

Test(device_names, machines)
{
    expect_names((struct job){.lists = {"cuda,cuda", "cuda", "cuda:0", "cuda"},
                              .expected = {"cuda:0 cuda:1", "cuda:1", "cuda:0", "cuda:2"},
                              .machines = {0, 1, 1, 0}},
                 RANKS);
}
