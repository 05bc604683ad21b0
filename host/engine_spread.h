/* An engine that is made of others: an operation over a stretch is described, so that it can be cut into parts, of
 * which each of the others does some. engine_team.c and engine_ranks.c are the two ways to carry it out.
 */
#ifndef HC_HOST_ENGINE_SPREAD_H
#define HC_HOST_ENGINE_SPREAD_H

#include "comm.h"
#include "engine.h"

enum { HC_SPREAD_FIELDS = 2, HC_SPREAD_OUTPUTS = 3 };

/* ---- What an operation adds up -------------------------------------------------------------- */

/* Numbers of one kind that lie in a sum. */
enum hc_spread_number { HC_SPREAD_EXACT, HC_SPREAD_COUNT, HC_SPREAD_MAX_I32, HC_SPREAD_MAX_F32, HC_SPREAD_MAX_F64 };

struct hc_spread_field {
    enum hc_spread_number kind;
    size_t offset, count;
};

/* `repeat` sums of `bytes` bytes, each with these fields. No fields: none. */
struct hc_spread_sum {
    size_t bytes, repeat;
    struct hc_spread_field fields[HC_SPREAD_FIELDS];
    size_t field_count;
};

static inline size_t hc_spread_sum_bytes(const struct hc_spread_sum *sum)
{
    return sum->bytes * sum->repeat;
}

/* The sum of nothing. */
void hc_spread_clear(const struct hc_spread_sum *sum, void *numbers);
void hc_spread_add(const struct hc_spread_sum *sum, void *to, const void *from);
/* Adds up those of all ranks. */
hc_status hc_spread_reduce(const struct hc_spread_sum *sum, struct hc_comm *comm, void *numbers, const char *what,
                           struct hc_error *error);

/* ---- Operations ----------------------------------------------------------------------------- */

enum hc_spread_kind {
    HC_SPREAD_PAIR_MOMENTS,
    HC_SPREAD_PAIR_EXTENT,
    HC_SPREAD_PAIR_TRY,
    HC_SPREAD_PAIR_ENCODE,
    HC_SPREAD_PAIR_DECODE,
    HC_SPREAD_PAIR_COMPARE,
    HC_SPREAD_WINDOW_LARGEST,
    HC_SPREAD_WINDOW_SQUARES,
    HC_SPREAD_WINDOW_ENCODE,
    HC_SPREAD_WINDOW_FACTORS,
    HC_SPREAD_WINDOW_SEARCH,
    HC_SPREAD_WINDOW_FIT,
    HC_SPREAD_WINDOW_DECODE,
    HC_SPREAD_WINDOW_COMPARE,
    HC_SPREAD_KINDS
};

struct hc_spread_op;

/* An array that an operation fills: what it has of the first `positions` of the stretch is so many bytes. */
struct hc_spread_output {
    void *data;
    size_t (*bytes)(const struct hc_spread_op *op, uint64_t positions);
};

/* An operation goes over `count` positions from `first` on, which are weights, rows, rows or blocks of tiles; it may be
 * cut at multiples of `unit` behind the first. */
struct hc_spread_op {
    enum hc_spread_kind kind;
    const char *name; /* for messages: "codes" */
    /* Does a part of it on an engine; adds to the sum. */
    hc_status (*run)(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count, void *sum,
                     struct hc_error *error);
    uint64_t first, count, unit;
    uint64_t weights; /* of a position */
    struct hc_spread_sum sum;
    void *result; /* the sum of all parts is added to it */
    struct hc_spread_output outputs[HC_SPREAD_OUTPUTS];
    size_t output_count;
    /* The operation's own arguments, as far as it has them. */
    const struct hc_piece *piece; /* NULL: it decodes, which needs no other ranks */
    const struct hc_pair_grid *grids;
    size_t grid_count;
    unsigned bits;
    const uint8_t *in;
    const float (*table)[2];
    uint32_t entries;
    const double *to_units;
    const struct hc_window_frame *frame;
    const struct hc_window_coder *coder;
    const struct hc_window_result *result_arrays;
    const struct hc_window_coded *coded;
    const struct hc_window_factors *factors;
    const uint16_t *scales;
    uint64_t first_row, rows;
    hc_type type; /* of what is decoded, to out */
    void *out;
};

static inline uint64_t hc_spread_units(const struct hc_spread_op *op)
{
    return (op->count + op->unit - 1) / op->unit;
}

/* How many positions lie in the first `units`. */
static inline uint64_t hc_spread_positions(const struct hc_spread_op *op, uint64_t units)
{
    uint64_t positions = units * op->unit;
    return positions < op->count ? positions : op->count;
}

/* ---- Engines -------------------------------------------------------------------------------- */

/* Stands first in the state of an engine whose table is hc_spread_engine. */
struct hc_spread {
    void (*destroy)(struct hc_engine *engine);
    void (*hold)(struct hc_engine *engine, const struct hc_piece *piece);
    void (*let_go)(struct hc_engine *engine);
    /* hc_partition_whole among those of which the engine is made. */
    uint64_t (*whole)(struct hc_engine *engine, uint64_t units, uint64_t parts);
    hc_status (*carry_out)(struct hc_engine *engine, const struct hc_spread_op *op, struct hc_error *error);
};

extern const struct hc_engine_table hc_spread_engine;

#endif
