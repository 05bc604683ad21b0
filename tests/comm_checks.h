/* Every operation between ranks against what it must give: by each rank of a comm, whatever carries it. */
#ifndef HC_TESTS_COMM_CHECKS_H
#define HC_TESTS_COMM_CHECKS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comm.h"

/* A different number for every rank and place; small ones, so that sums of floats are exact. */
static inline int comm_number(int rank, size_t i)
{
    return (int)((i * 7919 + (size_t)rank * 104729) % 4001) - 2000;
}

static inline int comm_reduced(int ranks, size_t i, bool sum)
{
    int value = comm_number(0, i);
    for (int r = 1; r < ranks; r++) {
        int other = comm_number(r, i);
        value = sum ? value + other : other > value ? other : value;
    }
    return value;
}

#define COMM_CHECK_REDUCTION(name, type, how, sum)                                                                     \
    static inline hc_status name(struct hc_comm *comm, size_t count, struct hc_error *error)                           \
    {                                                                                                                  \
        type *data = malloc((count + 1) * sizeof *data);                                                               \
        for (size_t i = 0; i < count; i++)                                                                             \
            data[i] = (type)comm_number(comm->rank, i);                                                                \
        hc_status status = hc_comm_all_reduce(comm, data, count, how, "a reduction", error);                           \
        for (size_t i = 0; status == HC_OK && i < count; i++)                                                          \
            if ((int)data[i] != comm_reduced(comm->ranks, i, sum))                                                     \
                status = hc_fail(error, HC_ERR_DIFFERENT, #name ": number %zu of %zu is wrong", i, count);             \
        free(data);                                                                                                    \
        return status;                                                                                                 \
    }
COMM_CHECK_REDUCTION(check_sum_i64, int64_t, HC_SUM_I64, true)
COMM_CHECK_REDUCTION(check_sum_f32, float, HC_SUM_F32, true)
COMM_CHECK_REDUCTION(check_max_i64, int64_t, HC_MAX_I64, false)
COMM_CHECK_REDUCTION(check_max_f32, float, HC_MAX_F32, false)
COMM_CHECK_REDUCTION(check_max_f64, double, HC_MAX_F64, false)

/* Numbers that do not fit an int, and a float's sum that is rounded: the same on every rank. */
static inline hc_status check_wide(struct hc_comm *comm, struct hc_error *error)
{
    int64_t wide = INT64_C(1) << (40 + comm->rank % 8), sum = 0;
    for (int r = 0; r < comm->ranks; r++)
        sum += INT64_C(1) << (40 + r % 8);
    float part = 1e8f / (float)(3 * comm->rank + 7), least, most;
    hc_status status = hc_comm_all_reduce(comm, &wide, 1, HC_SUM_I64, "wide numbers", error);
    if (status == HC_OK && wide != sum)
        status = hc_fail(error, HC_ERR_DIFFERENT, "the sum of wide numbers is wrong");
    if (status == HC_OK)
        status = hc_comm_all_reduce(comm, &part, 1, HC_SUM_F32, "a rounded sum", error);
    most = part;
    least = -part;
    if (status == HC_OK)
        status = hc_comm_all_reduce(comm, &most, 1, HC_MAX_F32, "the most", error);
    if (status == HC_OK)
        status = hc_comm_all_reduce(comm, &least, 1, HC_MAX_F32, "the least", error);
    if (status == HC_OK && memcmp(&most, &part, sizeof part) != 0)
        status = hc_fail(error, HC_ERR_DIFFERENT, "the sum of floats differs between ranks");
    least = -least;
    if (status == HC_OK && memcmp(&least, &part, sizeof part) != 0)
        status = hc_fail(error, HC_ERR_DIFFERENT, "the sum of floats differs between ranks");
    return status;
}

/* Rank r has r % 3 times `count` bytes, some of them none; in place or not. */
static inline hc_status check_gather(struct hc_comm *comm, size_t count, bool in_place, struct hc_error *error)
{
    size_t *bytes = malloc((size_t)comm->ranks * sizeof *bytes), total = 0, before = 0;
    for (int r = 0; r < comm->ranks; r++) {
        bytes[r] = (size_t)((r + 1) % 3) * count;
        before += r < comm->rank ? bytes[r] : 0;
        total += bytes[r];
    }
    char *all = malloc(total + 1), *own = malloc(bytes[comm->rank] + 1), *mine = in_place ? all + before : own;
    for (size_t i = 0; i < bytes[comm->rank]; i++)
        mine[i] = (char)comm_number(comm->rank, i);
    hc_status status = hc_comm_all_gather(comm, mine, all, bytes, "a gathering", error);
    const char *at = all;
    for (int r = 0; r < comm->ranks; at += bytes[r], r++)
        for (size_t i = 0; status == HC_OK && i < bytes[r]; i++)
            if (at[i] != (char)comm_number(r, i))
                status = hc_fail(error, HC_ERR_DIFFERENT, "gathering: byte %zu of rank %d is wrong", i, r);
    free(own);
    free(all);
    free(bytes);
    return status;
}

static inline hc_status check_broadcast(struct hc_comm *comm, size_t count, int root, struct hc_error *error)
{
    int *data = malloc((count + 1) * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = comm_number(comm->rank, i);
    hc_status status = hc_comm_broadcast(comm, root, data, count * sizeof *data, "a broadcast", error);
    for (size_t i = 0; status == HC_OK && i < count; i++)
        if (data[i] != comm_number(root, i))
            status = hc_fail(error, HC_ERR_DIFFERENT, "broadcast of rank %d: number %zu is wrong", root, i);
    free(data);
    return status;
}

/* Two letters around the circle of ranks, the second one of `count` numbers. */
static inline hc_status check_letters(struct hc_comm *comm, size_t count, struct hc_error *error)
{
    if (!comm->table)
        return HC_OK;
    int next = (comm->rank + 1) % comm->ranks, last = (comm->rank + comm->ranks - 1) % comm->ranks;
    int *mine = malloc((count + 1) * sizeof *mine), *theirs = malloc((count + 1) * sizeof *theirs), first = -1;
    for (size_t i = 0; i < count; i++)
        mine[i] = comm_number(comm->rank, i);
    hc_status status = comm->table->send(comm, next, &comm->rank, sizeof comm->rank, "a short letter", error);
    /* A long one need not go before somebody receives it. */
    if (status == HC_OK && comm->rank % 2 == 0)
        status = comm->table->send(comm, next, mine, count * sizeof *mine, "a long letter", error);
    if (status == HC_OK)
        status = comm->table->receive(comm, last, &first, sizeof first, "a short letter", error);
    if (status == HC_OK)
        status = comm->table->receive(comm, last, theirs, count * sizeof *theirs, "a long letter", error);
    if (status == HC_OK && comm->rank % 2 != 0)
        status = comm->table->send(comm, next, mine, count * sizeof *mine, "a long letter", error);
    if (status == HC_OK && first != last)
        status = hc_fail(error, HC_ERR_DIFFERENT, "rank %d: the short letter of rank %d is wrong", comm->rank, last);
    for (size_t i = 0; status == HC_OK && i < count; i++)
        if (theirs[i] != comm_number(last, i))
            status = hc_fail(error, HC_ERR_DIFFERENT, "the letter of rank %d: number %zu is wrong", last, i);
    free(theirs);
    free(mine);
    return status;
}

static inline hc_status check_operations(struct hc_comm *comm, size_t count, struct hc_error *error)
{
    hc_status status = HC_OK;
    HC_TRY(check_sum_i64(comm, count, error));
    HC_TRY(check_sum_f32(comm, count, error));
    HC_TRY(check_max_i64(comm, count, error));
    HC_TRY(check_max_f32(comm, count, error));
    HC_TRY(check_max_f64(comm, count, error));
    HC_TRY(check_wide(comm, error));
    HC_TRY(check_gather(comm, count, false, error));
    HC_TRY(check_gather(comm, count, true, error));
    for (int root = 0; root < comm->ranks; root++)
        HC_TRY(check_broadcast(comm, count, root, error));
    HC_TRY(check_letters(comm, count, error));
    HC_TRY(hc_comm_barrier(comm, "a barrier", error));
    HC_TRY(hc_comm_agree(comm, "this", "a text", error));
done:
    return status;
}

#endif
