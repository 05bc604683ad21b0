/* Who would compress what: what stands behind <hyperc/plan.h>, which tells how, and with which constants. */
#ifndef HC_HOST_PLAN_H
#define HC_HOST_PLAN_H

#include <hyperc/plan.h>

#include "selection.h"

/* Nanoseconds of one core per weight, by count. `bits`: k, or a fraction between two of them. */
double hc_plan_window_cost(double bits, unsigned length);
double hc_plan_pair_cost(const hc_pair_options *options);

/* How the pieces of a tensor are coded, as the plan sees it. */
enum hc_plan_kind { HC_PLAN_KEPT, HC_PLAN_WINDOW, HC_PLAN_PAIR };

struct hc_plan_piece {
    enum hc_plan_kind kind;
    hc_type type;
    uint64_t pieces;           /* of the tensor, all alike */
    uint64_t weights, columns; /* of a piece */
    uint64_t unit;             /* cuts lie at multiples of so many weights: whole rows of tiles, blocks of `pair` */
    uint64_t tile_columns, block_tiles; /* of `window`: of a row of tiles, which may be cut into blocks (engine.h) */
    double nanoseconds;                 /* of one core, for a weight */
    unsigned bits;                      /* of a code */
};

static inline uint64_t hc_plan_row_blocks(const struct hc_plan_piece *piece)
{
    return piece->tile_columns / piece->block_tiles;
}

/* options->method is one of ours. A tensor of no weights is one row of no columns. */
struct hc_plan_piece hc_plan_piece_of(const struct hc_tensor *tensor, const hc_compress_options *options);

/* Of some weights, of which the last is followed by a place for a cut, or the end. */
double hc_plan_nanoseconds(const struct hc_plan_piece *piece, uint64_t weights);
uint64_t hc_plan_read_bytes(const struct hc_plan_piece *piece, uint64_t weights);
/* The scales of the columns count to the first weight. */
uint64_t hc_plan_written_bytes(const struct hc_plan_piece *piece, uint64_t first, uint64_t weights);

/* Of `window`, nanoseconds of the steps by which rows of tiles are shared (engine.h): factors of some rows, codes of
 * some tiles, and scales of the rows first .. first + rows - 1, for which whole rows of tiles are decoded. */
double hc_plan_factors_cost(const struct hc_plan_piece *piece, uint64_t rows);
double hc_plan_search_cost(const struct hc_plan_piece *piece, uint64_t tiles);
double hc_plan_fit_cost(const struct hc_plan_piece *piece, uint64_t first, uint64_t rows);
/* Weights among `tiles` tiles that follow one another, from number `first` of the piece on. */
uint64_t hc_plan_weights_of_tiles(const struct hc_plan_piece *piece, uint64_t first, uint64_t tiles);

#endif
