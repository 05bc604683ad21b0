/* What the pieces of a tensor cost: time by counts, bytes by shapes. */
#include "plan.h"

#include "pair_grid.h"
#include "rate.h"
#include "window_encode/window_encode.h"
#include "window_frame.h"

#include <math.h>
#include <string.h>

/* Nanoseconds of one core; <hyperc/plan.h> tells where they are from. */
static const double window_weight = 15, all_branch = 0.015, near_branch = 0.058, wide_branch = 0.069;
static const double row_factors = 0.7, row_fit = 1.15, row_decode = 0.5;
static const double pair_fit = 3.4, pair_codes = 3.3, copied_byte = 0.13;

/* ---- Time ----------------------------------------------------------------------------------- */

static double search_cost(unsigned k, unsigned length)
{
    double branch = k <= 2 ? all_branch : k <= 5 ? near_branch : wide_branch;
    double turns = (double)(HC_TILE_WEIGHTS + hc_window_seam(k, length)) / HC_TILE_WEIGHTS;
    return window_weight + branch * turns * (double)(hc_window_near(k, length) << (length - k));
}

/* The least k that is not below a rate. */
static unsigned k_above(double bits)
{
    unsigned k = (unsigned)ceil(bits);
    return k == 7 ? 8 : k;
}

double hc_plan_window_cost(double bits, unsigned length)
{
    unsigned below = (unsigned)bits == 7 ? 6 : (unsigned)bits, above = k_above(bits);
    double cost = search_cost(below, length);
    if (above > below)
        cost += (bits - below) / (above - below) * (search_cost(above, length) - cost);
    return cost;
}

double hc_plan_pair_cost(const hc_pair_options *options)
{
    double fits = options->point_counts ? (double)options->point_counts : 1;
    return pair_codes + pair_fit * (options->side > 0 ? fits : 2 * fits);
}

/* ---- Pieces --------------------------------------------------------------------------------- */

static unsigned pair_bits(const hc_pair_options *options)
{
    uint32_t most = options->point_counts ? 0 : 1600; /* the published list */
    for (size_t i = 0; i < options->point_counts; i++)
        most = options->points[i] > most ? options->points[i] : most;
    uint64_t codes = ((uint64_t)most + 1) * (options->classes + 1);
    return hc_pair_code_bits(codes > UINT32_MAX ? UINT32_MAX : (uint32_t)(codes - 1));
}

static void set_tiles(struct hc_plan_piece *piece)
{
    struct hc_window_frame frame = {.rows = 0};
    hc_window_frame_shape(&frame, piece->weights / piece->columns, piece->columns);
    piece->unit = HC_TILE * piece->columns;
    piece->tile_columns = frame.tile_columns;
    piece->block_tiles = hc_window_block_tiles(&frame);
}

struct hc_plan_piece hc_plan_piece_of(const struct hc_tensor *tensor, const hc_compress_options *options)
{
    struct hc_plan_piece piece = {.type = tensor->type, .pieces = 1, .unit = HC_BLOCK};
    if (tensor->weights > 0) {
        piece.pieces = hc_piece_count(tensor);
        struct hc_shape shape = hc_piece_shape(tensor->rank, tensor->shape, (size_t)piece.pieces);
        piece.columns = shape.columns;
        piece.weights = tensor->weights / piece.pieces;
    }
    if (hc_kept_because(tensor, options)) {
        piece.kind = HC_PLAN_KEPT;
        piece.nanoseconds = copied_byte * hc_type_block_bytes(tensor->type) / hc_type_block_weights(tensor->type);
    } else if (strcmp(options->method, "window") == 0) {
        int fixed = hc_rate_fixed(tensor, options);
        double bits = fixed > 0 ? fixed : options->window.bits;
        piece.kind = HC_PLAN_WINDOW;
        piece.nanoseconds = hc_plan_window_cost(bits, (unsigned)options->window.length);
        piece.bits = k_above(bits);
        if (piece.weights > 0)
            set_tiles(&piece);
    } else {
        piece.kind = HC_PLAN_PAIR;
        piece.nanoseconds = hc_plan_pair_cost(&options->pair);
        piece.bits = pair_bits(&options->pair);
    }
    return piece;
}

static uint64_t tiles_of(const struct hc_plan_piece *piece, uint64_t weights)
{
    return (weights + piece->unit - 1) / piece->unit * piece->tile_columns;
}

double hc_plan_nanoseconds(const struct hc_plan_piece *piece, uint64_t weights)
{
    uint64_t counted = piece->kind == HC_PLAN_WINDOW ? tiles_of(piece, weights) * HC_TILE_WEIGHTS : weights;
    return (double)counted * piece->nanoseconds;
}

static double padded_columns(const struct hc_plan_piece *piece)
{
    return (double)(piece->tile_columns * HC_TILE);
}

double hc_plan_factors_cost(const struct hc_plan_piece *piece, uint64_t rows)
{
    return (double)rows * padded_columns(piece) * row_factors;
}

double hc_plan_search_cost(const struct hc_plan_piece *piece, uint64_t tiles)
{
    return (double)(tiles * HC_TILE_WEIGHTS) * piece->nanoseconds;
}

double hc_plan_fit_cost(const struct hc_plan_piece *piece, uint64_t first, uint64_t rows)
{
    uint64_t begin = first / HC_TILE, end = (first + rows + HC_TILE - 1) / HC_TILE;
    double decoded = rows > 0 ? (double)((end - begin) * HC_TILE) : 0;
    return ((double)rows * row_fit + decoded * row_decode) * padded_columns(piece);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t hc_plan_weights_of_tiles(const struct hc_plan_piece *piece, uint64_t first, uint64_t tiles)
{
    uint64_t weights = 0, rows = piece->columns ? piece->weights / piece->columns : 0;
    for (uint64_t end = first + tiles; first < end;) {
        uint64_t tile_row = first / piece->tile_columns, next = min_u64((tile_row + 1) * piece->tile_columns, end);
        uint64_t column = first % piece->tile_columns * HC_TILE;
        uint64_t columns = min_u64((next - first) * HC_TILE, piece->columns - column);
        weights += columns * min_u64(HC_TILE, rows - tile_row * HC_TILE);
        first = next;
    }
    return weights;
}

static uint64_t type_bytes(hc_type type, uint64_t weights)
{
    uint32_t block = hc_type_block_weights(type);
    return (weights + block - 1) / block * hc_type_block_bytes(type);
}

uint64_t hc_plan_read_bytes(const struct hc_plan_piece *piece, uint64_t weights)
{
    return type_bytes(piece->type, weights);
}

uint64_t hc_plan_written_bytes(const struct hc_plan_piece *piece, uint64_t first, uint64_t weights)
{
    uint64_t pairs = (weights + 1) / 2;
    switch (piece->kind) {
    case HC_PLAN_WINDOW:
        return tiles_of(piece, weights) * (HC_TILE_WEIGHTS / 8) * piece->bits +
               (piece->columns ? weights / piece->columns * sizeof(uint16_t) : 0) + (first == 0 ? piece->columns : 0);
    case HC_PLAN_PAIR:
        return pairs / 8 * piece->bits + (pairs % 8 * piece->bits + 7) / 8;
    default:
        return type_bytes(hc_type_is_block(piece->type) ? HC_TYPE_F16 : piece->type, weights);
    }
}
