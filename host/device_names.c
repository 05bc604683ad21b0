#include "device_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the ranks ask for. */
struct asked {
    struct rank_asks {
        int64_t machine;
        uint64_t bytes; /* of its list, with the end */
    } * ranks;
    char *lists;   /* rank by rank */
    size_t *bytes; /* of each rank, for a gathering */
};

/* ---- Lists ---------------------------------------------------------------------------------- */

/* The name behind this one, or NULL. */
static const char *next_item(const char *item)
{
    const char *comma = strchr(item, ',');
    return comma ? comma + 1 : NULL;
}

static size_t count_items(const char *list)
{
    size_t count = 0;
    for (const char *item = list; item; item = next_item(item))
        count++;
    return count;
}

static bool is_plain(const char *item)
{
    return strcspn(item, ",") == 4 && strncmp(item, "cuda", 4) == 0;
}

/* "cuda:" is the first one, too. */
static bool is_number(const char *item, long number)
{
    char *end;
    return strncmp(item, "cuda:", 5) == 0 && strtol(item + 5, &end, 10) == number && (*end == ',' || *end == 0);
}

/* ---- What the ranks of this machine ask for ------------------------------------------------- */

/* The list of the next rank of this machine: before the first one rank is -1, behind the last one it is NULL. */
static const char *next_list(const struct asked *asked, const struct hc_comm *comm, int *rank)
{
    size_t before = 0;
    for (int r = 0; r < comm->ranks; before += asked->ranks[r].bytes, r++)
        if (r > *rank && asked->ranks[r].machine == comm->machine) {
            *rank = r;
            return asked->lists + before;
        }
    return NULL;
}

static bool is_named(const struct asked *asked, const struct hc_comm *comm, long number)
{
    int rank = -1;
    for (const char *list = next_list(asked, comm, &rank); list; list = next_list(asked, comm, &rank))
        for (const char *item = list; item; item = next_item(item))
            if (is_number(item, number))
                return true;
    return false;
}

/* The first number from here on that nobody names. */
static long next_free(const struct asked *asked, const struct hc_comm *comm, long number)
{
    while (is_named(asked, comm, number))
        number++;
    return number;
}

/* Behind what the ranks before this one get. */
static long first_number(const struct asked *asked, const struct hc_comm *comm)
{
    long number = 0;
    int rank = -1;
    for (const char *list = next_list(asked, comm, &rank); list && rank < comm->rank;
         list = next_list(asked, comm, &rank))
        for (const char *item = list; item; item = next_item(item))
            if (is_plain(item))
                number = next_free(asked, comm, number) + 1;
    return number;
}

static hc_status gather_lists(struct asked *asked, struct hc_comm *comm, const char *list, struct hc_error *error)
{
    static const char what[] = "the devices of all ranks";
    size_t all = 0;
    for (int r = 0; r < comm->ranks; r++)
        asked->bytes[r] = sizeof *asked->ranks;
    const struct rank_asks mine = {comm->machine, strlen(list) + 1};
    hc_status status = hc_comm_all_gather(comm, &mine, asked->ranks, asked->bytes, what, error);
    if (status != HC_OK)
        return status;
    for (int r = 0; r < comm->ranks; r++)
        all += asked->bytes[r] = (size_t)asked->ranks[r].bytes;
    asked->lists = malloc(all);
    return asked->lists ? hc_comm_all_gather(comm, list, asked->lists, asked->bytes, what, error) : hc_no_memory(error);
}

/* ---- Names ---------------------------------------------------------------------------------- */

static char *name_of(const char *item, const struct asked *asked, const struct hc_comm *comm, long *next)
{
    const size_t length = strcspn(item, ",");
    char *name = malloc(length + 32);
    if (!name)
        return NULL;
    memcpy(name, item, length);
    name[length] = 0;
    if (is_plain(item)) {
        const long number = next_free(asked, comm, *next);
        sprintf(name, "cuda:%ld", number);
        *next = number + 1;
    }
    return name;
}

static hc_status name_all(const struct asked *asked, const struct hc_comm *comm, const char *list, char ***names,
                          size_t *count, struct hc_error *error)
{
    long next = first_number(asked, comm);
    *names = calloc(count_items(list), sizeof **names);
    if (!*names)
        return hc_no_memory(error);
    for (const char *item = list; item; item = next_item(item)) {
        char *name = name_of(item, asked, comm, &next);
        if (!name)
            return hc_no_memory(error);
        (*names)[(*count)++] = name;
    }
    return HC_OK;
}

hc_status hc_device_names(struct hc_comm *comm, const char *list, char ***names, size_t *count, struct hc_error *error)
{
    const size_t ranks = (size_t)comm->ranks;
    struct asked asked = {.ranks = calloc(ranks, sizeof *asked.ranks), .bytes = calloc(ranks, sizeof *asked.bytes)};
    *names = NULL;
    *count = 0;
    hc_status status = asked.ranks && asked.bytes ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        status = gather_lists(&asked, comm, list, error);
    if (status == HC_OK)
        status = name_all(&asked, comm, list, names, count, error);
    free(asked.ranks);
    free(asked.bytes);
    free(asked.lists);
    return status;
}

void hc_device_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
