#include "engine_ranks.h"

#include "engine_spread.h"
#include "partition.h"

#include <stdio.h>
#include <stdlib.h>

struct ranks {
    struct hc_spread spread;
    struct hc_engine *own;
    struct hc_comm *comm;
    struct hc_device_reports *reports;
    double *speeds;  /* of all ranks */
    uint64_t *units; /* of an operation: how many each rank has */
    size_t *bytes;   /* of an array that each fills */
};

/* The part of a rank, in units. */
struct part {
    uint64_t first, units;
};

static struct part part_of(const struct ranks *ranks, int rank)
{
    struct part part = {0, ranks->units[rank]};
    for (int r = 0; r < rank; r++)
        part.first += ranks->units[r];
    return part;
}

static hc_status do_mine(struct ranks *ranks, const struct hc_spread_op *op, void *sum, struct hc_error *error)
{
    struct part part = part_of(ranks, ranks->comm->rank);
    uint64_t first = hc_spread_positions(op, part.first);
    uint64_t count = hc_spread_positions(op, part.first + part.units) - first;
    return count > 0 ? op->run(op, ranks->own, op->first + first, count, sum, error) : HC_OK;
}

/* Makes an array whole, of which each rank has its own part. */
static hc_status gather(struct ranks *ranks, const struct hc_spread_op *op, const struct hc_spread_output *output,
                        const char *what, struct hc_error *error)
{
    size_t mine = 0;
    for (int r = 0; r < ranks->comm->ranks; r++) {
        struct part part = part_of(ranks, r);
        size_t begin = output->bytes(op, hc_spread_positions(op, part.first));
        ranks->bytes[r] = output->bytes(op, hc_spread_positions(op, part.first + part.units)) - begin;
        mine = r == ranks->comm->rank ? begin : mine;
    }
    return hc_comm_all_gather(ranks->comm, (uint8_t *)output->data + mine, output->data, ranks->bytes, what, error);
}

static hc_status ranks_carry_out(struct hc_engine *engine, const struct hc_spread_op *op, struct hc_error *error)
{
    struct ranks *ranks = engine->state;
    char what[256];
    hc_status status;
    ranks->own->notice = engine->notice;
    ranks->own->user = engine->user;
    if (!op->piece)
        return op->run(op, ranks->own, op->first, op->count, NULL, error);
    void *sum = malloc(hc_spread_sum_bytes(&op->sum) + 1);
    if (!sum)
        return hc_no_memory(error);
    snprintf(what, sizeof what, "%s of %s", op->name, op->piece->tensor->name);
    hc_spread_clear(&op->sum, sum);
    /* Each stretch by itself: all wait behind it, so that what the slow ranks get too little of here would hold up the
     * others all the more if it were added to a later one. */
    hc_partition(hc_spread_units(op), ranks->speeds, (size_t)ranks->comm->ranks, ranks->units);
    HC_TRY(do_mine(ranks, op, sum, error));
    HC_TRY(hc_spread_reduce(&op->sum, ranks->comm, sum, what, error));
    hc_spread_add(&op->sum, op->result, sum);
    for (size_t i = 0; i < op->output_count; i++)
        HC_TRY(gather(ranks, op, &op->outputs[i], what, error));
    HC_TRY(hc_device_reports_exchange(ranks->reports, ranks->comm, error));
done:
    free(sum);
    return status;
}

static uint64_t ranks_whole(struct hc_engine *engine, uint64_t units, uint64_t parts)
{
    struct ranks *ranks = engine->state;
    return hc_partition_whole(units, parts, ranks->speeds, (size_t)ranks->comm->ranks, ranks->units);
}

static void ranks_hold(struct hc_engine *engine, const struct hc_piece *piece)
{
    struct ranks *ranks = engine->state;
    ranks->own->table->hold(ranks->own, piece);
}

static void ranks_let_go(struct hc_engine *engine)
{
    struct ranks *ranks = engine->state;
    ranks->own->table->let_go(ranks->own);
}

static void ranks_free(struct ranks *ranks)
{
    free(ranks->speeds);
    free(ranks->units);
    free(ranks->bytes);
    free(ranks);
}

static void ranks_destroy(struct hc_engine *engine)
{
    ranks_free(engine->state);
    *engine = (struct hc_engine){0};
}

static hc_status allocate(struct ranks *ranks, struct hc_error *error)
{
    size_t count = (size_t)ranks->comm->ranks;
    ranks->speeds = malloc(count * sizeof *ranks->speeds);
    ranks->units = malloc(count * sizeof *ranks->units);
    ranks->bytes = malloc(count * sizeof *ranks->bytes);
    return ranks->speeds && ranks->units && ranks->bytes ? HC_OK : hc_no_memory(error);
}

/* What every rank must know of the others. */
static hc_status exchange(struct ranks *ranks, double speed, int64_t *width, struct hc_error *error)
{
    hc_status status;
    for (int r = 0; r < ranks->comm->ranks; r++)
        ranks->bytes[r] = sizeof *ranks->speeds;
    HC_TRY(hc_comm_all_gather(ranks->comm, &speed, ranks->speeds, ranks->bytes, "the speeds", error));
    HC_TRY(hc_comm_all_reduce(ranks->comm, width, 1, HC_SUM_I64, "the number of devices", error));
    HC_TRY(hc_device_reports_join(ranks->reports, ranks->comm, error));
done:
    return status;
}

hc_status hc_engine_ranks(struct hc_engine *engine, struct hc_engine *own, struct hc_comm *comm, double speed,
                          struct hc_device_reports *reports, struct hc_error *error)
{
    struct ranks *ranks = calloc(1, sizeof *ranks);
    int64_t width = hc_engine_width(own);
    if (!ranks)
        return hc_no_memory(error);
    ranks->spread = (struct hc_spread){ranks_destroy, ranks_hold, ranks_let_go, ranks_whole, ranks_carry_out};
    ranks->own = own;
    ranks->comm = comm;
    ranks->reports = reports;
    hc_status status = allocate(ranks, error);
    if (status == HC_OK)
        status = exchange(ranks, speed, &width, error);
    if (status != HC_OK) {
        ranks_free(ranks);
        return status;
    }
    *engine = (struct hc_engine){
        .table = &hc_spread_engine, .kernels = own->kernels, .state = ranks, .width = (unsigned)width};
    return HC_OK;
}
