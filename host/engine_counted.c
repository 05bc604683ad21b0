#include "engine_counted.h"

#include "engine_spread.h"
#include "meter.h"

#include <stdlib.h>

struct counted {
    struct hc_spread spread;
    struct hc_engine device;
    hc_device_report *report;
};

/* The piece's weights in the first positions: its last row of tiles may be less than a whole one. */
static uint64_t weights_before(const struct hc_spread_op *op, uint64_t positions)
{
    uint64_t weights = positions * op->weights;
    return weights < op->piece->weights ? weights : op->piece->weights;
}

/* Whether it makes codes to be stored. Where a rate is shared out, samples are coded to see their errors; they need no
 * scales. Rows of tiles that several share count where their scales are fitted, which each does for its part of them.
 */
static bool makes_codes(const struct hc_spread_op *op)
{
    bool fits = op->kind == HC_SPREAD_WINDOW_ENCODE || op->kind == HC_SPREAD_WINDOW_FIT;
    return op->kind == HC_SPREAD_PAIR_ENCODE || (fits && op->result_arrays->scales);
}

static hc_status counted_carry_out(struct hc_engine *engine, const struct hc_spread_op *op, struct hc_error *error)
{
    struct counted *counted = engine->state;
    counted->device.notice = engine->notice;
    counted->device.user = engine->user;
    double begin = hc_now();
    hc_status status = op->run(op, &counted->device, op->first, op->count, op->result, error);
    counted->report->busy += hc_now() - begin;
    if (status == HC_OK && makes_codes(op))
        counted->report->weights += weights_before(op, op->first + op->count) - weights_before(op, op->first);
    return status;
}

/* One device shares nothing. */
static uint64_t counted_whole(struct hc_engine *engine, uint64_t units, uint64_t parts)
{
    (void)engine;
    (void)parts;
    return units;
}

static void counted_hold(struct hc_engine *engine, const struct hc_piece *piece)
{
    struct counted *counted = engine->state;
    counted->device.table->hold(&counted->device, piece);
}

static void counted_let_go(struct hc_engine *engine)
{
    struct counted *counted = engine->state;
    counted->device.table->let_go(&counted->device);
}

static void counted_destroy(struct hc_engine *engine)
{
    struct counted *counted = engine->state;
    counted->device.table->destroy(&counted->device);
    free(counted);
    *engine = (struct hc_engine){0};
}

hc_status hc_engine_counted(struct hc_engine *engine, hc_device_report *report, struct hc_error *error)
{
    struct counted *counted = malloc(sizeof *counted);
    if (!counted) {
        engine->table->destroy(engine);
        *engine = (struct hc_engine){0};
        return hc_no_memory(error);
    }
    *counted = (struct counted){
        {counted_destroy, counted_hold, counted_let_go, counted_whole, counted_carry_out}, *engine, report};
    *engine = (struct hc_engine){
        .table = &hc_spread_engine, .kernels = counted->device.kernels, .state = counted, .width = engine->width};
    return HC_OK;
}
