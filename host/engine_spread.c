#include "engine_spread.h"

#include "window_frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sums ----------------------------------------------------------------------------------- */

static size_t number_bytes(enum hc_spread_number kind)
{
    static const size_t bytes[] = {[HC_SPREAD_EXACT] = sizeof(struct hc_exact_sum),
                                   [HC_SPREAD_COUNT] = sizeof(uint64_t),
                                   [HC_SPREAD_MAX_I32] = sizeof(int32_t),
                                   [HC_SPREAD_MAX_F32] = sizeof(float),
                                   [HC_SPREAD_MAX_F64] = sizeof(double)};
    return bytes[kind];
}

/* Number i of a field, counted through all repetitions. */
static void *number_at(const struct hc_spread_sum *sum, const struct hc_spread_field *field, void *numbers, size_t i)
{
    return (uint8_t *)numbers + i / field->count * sum->bytes + field->offset +
           i % field->count * number_bytes(field->kind);
}

static size_t number_count(const struct hc_spread_sum *sum, const struct hc_spread_field *field)
{
    return sum->repeat * field->count;
}

static void add_number(enum hc_spread_number kind, void *to, const void *from)
{
    switch (kind) {
    case HC_SPREAD_EXACT:
        hc_exact_add_sum(to, from);
        break;
    case HC_SPREAD_COUNT:
        *(uint64_t *)to += *(const uint64_t *)from;
        break;
    case HC_SPREAD_MAX_I32:
        if (*(const int32_t *)from > *(int32_t *)to)
            *(int32_t *)to = *(const int32_t *)from;
        break;
    case HC_SPREAD_MAX_F32:
        *(float *)to = fmaxf(*(float *)to, *(const float *)from);
        break;
    case HC_SPREAD_MAX_F64:
        *(double *)to = fmax(*(double *)to, *(const double *)from);
        break;
    }
}

void hc_spread_clear(const struct hc_spread_sum *sum, void *numbers)
{
    memset(numbers, 0, hc_spread_sum_bytes(sum));
    for (size_t f = 0; f < sum->field_count; f++)
        for (size_t i = 0; sum->fields[f].kind == HC_SPREAD_MAX_I32 && i < number_count(sum, &sum->fields[f]); i++)
            *(int32_t *)number_at(sum, &sum->fields[f], numbers, i) = -1; /* of codes there are none */
}

void hc_spread_add(const struct hc_spread_sum *sum, void *to, const void *from)
{
    for (size_t f = 0; f < sum->field_count; f++)
        for (size_t i = 0; i < number_count(sum, &sum->fields[f]); i++)
            add_number(sum->fields[f].kind, number_at(sum, &sum->fields[f], to, i),
                       number_at(sum, &sum->fields[f], (void *)(uintptr_t)from, i));
}

/* ---- Sums of all ranks ---------------------------------------------------------------------- */

/* How a number travels: words of a reduction. */
static enum hc_reduction reduction_of(enum hc_spread_number kind)
{
    static const enum hc_reduction reductions[] = {[HC_SPREAD_EXACT] = HC_SUM_I64,
                                                   [HC_SPREAD_COUNT] = HC_SUM_I64,
                                                   [HC_SPREAD_MAX_I32] = HC_MAX_I64,
                                                   [HC_SPREAD_MAX_F32] = HC_MAX_F32,
                                                   [HC_SPREAD_MAX_F64] = HC_MAX_F64};
    return reductions[kind];
}

static size_t words_of(enum hc_spread_number kind)
{
    return kind == HC_SPREAD_EXACT ? HC_EXACT_LIMBS : 1;
}

/* Limbs travel carried: then those of billions of ranks can be added. */
static void pack(enum hc_spread_number kind, const void *number, void *words)
{
    struct hc_exact_sum carried = {{0}, 0};
    int64_t code;
    switch (kind) {
    case HC_SPREAD_EXACT:
        hc_exact_add_sum(&carried, number);
        memcpy(words, carried.limb, sizeof carried.limb);
        break;
    case HC_SPREAD_MAX_I32:
        code = *(const int32_t *)number;
        memcpy(words, &code, sizeof code);
        break;
    default:
        memcpy(words, number, number_bytes(kind));
    }
}

static void unpack(enum hc_spread_number kind, void *number, const void *words)
{
    struct hc_exact_sum limbs = {{0}, 0}, *sum = number;
    int64_t code;
    switch (kind) {
    case HC_SPREAD_EXACT:
        memcpy(limbs.limb, words, sizeof limbs.limb);
        *sum = (struct hc_exact_sum){{0}, 0};
        hc_exact_add_sum(sum, &limbs);
        break;
    case HC_SPREAD_MAX_I32:
        memcpy(&code, words, sizeof code);
        *(int32_t *)number = (int32_t)code;
        break;
    default:
        memcpy(number, words, number_bytes(kind));
    }
}

static hc_status reduce_field(const struct hc_spread_sum *sum, const struct hc_spread_field *field,
                              struct hc_comm *comm, void *numbers, const char *what, struct hc_error *error)
{
    enum hc_reduction how = reduction_of(field->kind);
    size_t count = number_count(sum, field), words = words_of(field->kind), bytes = words * hc_reduction_bytes(how);
    uint8_t *packed = malloc(count * bytes + 1);
    if (!packed)
        return hc_no_memory(error);
    for (size_t i = 0; i < count; i++)
        pack(field->kind, number_at(sum, field, numbers, i), packed + i * bytes);
    hc_status status = hc_comm_all_reduce(comm, packed, count * words, how, what, error);
    for (size_t i = 0; status == HC_OK && i < count; i++)
        unpack(field->kind, number_at(sum, field, numbers, i), packed + i * bytes);
    free(packed);
    return status;
}

hc_status hc_spread_reduce(const struct hc_spread_sum *sum, struct hc_comm *comm, void *numbers, const char *what,
                           struct hc_error *error)
{
    hc_status status = HC_OK;
    for (size_t f = 0; status == HC_OK && f < sum->field_count; f++)
        status = reduce_field(sum, &sum->fields[f], comm, numbers, what, error);
    return status;
}

/* ---- The engine ----------------------------------------------------------------------------- */

static struct hc_spread *spread_of(struct hc_engine *engine)
{
    return engine->state;
}

static void spread_destroy(struct hc_engine *engine)
{
    spread_of(engine)->destroy(engine);
}

static void spread_hold(struct hc_engine *engine, const struct hc_piece *piece)
{
    spread_of(engine)->hold(engine, piece);
}

static void spread_let_go(struct hc_engine *engine)
{
    spread_of(engine)->let_go(engine);
}

static hc_status carry_out(struct hc_engine *engine, const struct hc_spread_op *op, struct hc_error *error)
{
    return op->count > 0 ? spread_of(engine)->carry_out(engine, op, error) : HC_OK;
}

/* ---- `pair` --------------------------------------------------------------------------------- */

static struct hc_spread_op pair_op(enum hc_spread_kind kind, const char *name, const struct hc_piece *piece,
                                   uint64_t first, uint64_t count)
{
    return (struct hc_spread_op){
        .kind = kind, .name = name, .piece = piece, .first = first, .count = count, .unit = HC_BLOCK, .weights = 1};
}

/* Of codes of the first weights; whole blocks take whole bytes. */
static size_t packed_bytes(const struct hc_spread_op *op, uint64_t weights)
{
    return (size_t)(((weights + 1) / 2 * op->bits + 7) / 8);
}

static const struct hc_spread_sum compare_sum = {
    sizeof(struct hc_compare_sum),
    1,
    {{HC_SPREAD_EXACT, offsetof(struct hc_compare_sum, abs_error), 3},
     {HC_SPREAD_MAX_F64, offsetof(struct hc_compare_sum, max_abs_error), 1}},
    2};

static hc_status run_moments(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                             void *sum, struct hc_error *error)
{
    return engine->table->pair_moments(engine, op->piece, first, count, sum, error);
}

static hc_status pair_moments(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                              struct hc_moments_sum *sum, struct hc_error *error)
{
    struct hc_spread_op op = pair_op(HC_SPREAD_PAIR_MOMENTS, "the means", piece, first, count);
    op.run = run_moments;
    op.sum = (struct hc_spread_sum){sizeof *sum,
                                    1,
                                    {{HC_SPREAD_EXACT, offsetof(struct hc_moments_sum, sum), 2},
                                     {HC_SPREAD_COUNT, offsetof(struct hc_moments_sum, non_finite), 1}},
                                    2};
    op.result = sum;
    return carry_out(engine, &op, error);
}

static hc_status run_extent(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                            void *sum, struct hc_error *error)
{
    return engine->table->pair_extent(engine, op->piece, first, count, op->grids, sum, error);
}

static hc_status pair_extent(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const struct hc_pair_grid *grid, struct hc_extent_sum *sum, struct hc_error *error)
{
    struct hc_spread_op op = pair_op(HC_SPREAD_PAIR_EXTENT, "the farthest point", piece, first, count);
    op.run = run_extent;
    op.sum = (struct hc_spread_sum){sizeof *sum,
                                    1,
                                    {{HC_SPREAD_MAX_F64, offsetof(struct hc_extent_sum, max_distance2), 1},
                                     {HC_SPREAD_COUNT, offsetof(struct hc_extent_sum, outer), 1}},
                                    2};
    op.result = sum;
    op.grids = grid;
    return carry_out(engine, &op, error);
}

static hc_status run_try(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                         void *sum, struct hc_error *error)
{
    return engine->table->pair_try(engine, op->piece, first, count, op->grids, op->grid_count, sum, error);
}

static hc_status pair_try(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                          const struct hc_pair_grid *grids, size_t grid_count, struct hc_search_sum *sums,
                          struct hc_error *error)
{
    struct hc_spread_op op = pair_op(HC_SPREAD_PAIR_TRY, "the classes", piece, first, count);
    op.run = run_try;
    op.sum = (struct hc_spread_sum){sizeof *sums,
                                    grid_count,
                                    {{HC_SPREAD_EXACT, offsetof(struct hc_search_sum, error), 2},
                                     {HC_SPREAD_MAX_I32, offsetof(struct hc_search_sum, max_code), 2}},
                                    2};
    op.result = sums;
    op.grids = grids;
    op.grid_count = grid_count;
    return carry_out(engine, &op, error);
}

static hc_status run_encode(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                            void *sum, struct hc_error *error)
{
    (void)sum;
    uint8_t *codes = (uint8_t *)op->outputs[0].data + packed_bytes(op, first - op->first);
    return engine->table->pair_encode(engine, op->piece, first, count, op->grids, op->bits, codes, error);
}

static hc_status pair_encode(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const struct hc_pair_grid *grid, unsigned bits, uint8_t *out, struct hc_error *error)
{
    struct hc_spread_op op = pair_op(HC_SPREAD_PAIR_ENCODE, "the codes", piece, first, count);
    op.run = run_encode;
    op.grids = grid;
    op.bits = bits;
    op.outputs[0] = (struct hc_spread_output){out, packed_bytes};
    op.output_count = 1;
    return carry_out(engine, &op, error);
}

/* Where weight i of those that are decoded goes. */
static void *decoded_at(const struct hc_spread_op *op, uint64_t i)
{
    return (uint8_t *)op->out + i * hc_type_block_bytes(op->type);
}

static hc_status run_decode(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                            void *sum, struct hc_error *error)
{
    (void)sum;
    return engine->table->pair_decode(engine, op->in + packed_bytes(op, first), count, op->bits, op->table, op->entries,
                                      op->type, decoded_at(op, first), error);
}

static hc_status pair_decode(struct hc_engine *engine, const uint8_t *in, uint64_t count, unsigned bits,
                             const float (*table)[2], uint32_t entries, hc_type type, void *out, struct hc_error *error)
{
    struct hc_spread_op op = pair_op(HC_SPREAD_PAIR_DECODE, "the weights", NULL, 0, count);
    op.run = run_decode;
    op.in = in;
    op.bits = bits;
    op.table = table;
    op.entries = entries;
    op.type = type;
    op.out = out;
    return carry_out(engine, &op, error);
}

static hc_status run_compare(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                             void *sum, struct hc_error *error)
{
    return engine->table->pair_compare(engine, op->piece, first, count, op->in + packed_bytes(op, first - op->first),
                                       op->bits, op->table, op->entries, sum, error);
}

static hc_status pair_compare(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                              const uint8_t *in, unsigned bits, const float (*table)[2], uint32_t entries,
                              struct hc_compare_sum *sum, struct hc_error *error)
{
    struct hc_spread_op op = pair_op(HC_SPREAD_PAIR_COMPARE, "the errors", piece, first, count);
    op.run = run_compare;
    op.sum = compare_sum;
    op.result = sum;
    op.in = in;
    op.bits = bits;
    op.table = table;
    op.entries = entries;
    return carry_out(engine, &op, error);
}

/* ---- `window` ------------------------------------------------------------------------------- */

static struct hc_spread_op rows_op(enum hc_spread_kind kind, const char *name, const struct hc_piece *piece,
                                   uint64_t first_row, uint64_t rows)
{
    return (struct hc_spread_op){.kind = kind,
                                 .name = name,
                                 .piece = piece,
                                 .first = first_row,
                                 .count = rows,
                                 .unit = HC_TILE,
                                 .weights = piece->columns};
}

/* What is known of the columns, as it is added up. */
struct largest {
    uint64_t non_finite;
    float largest[];
};

static hc_status run_largest(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                             void *sum, struct hc_error *error)
{
    struct largest *columns = sum;
    return engine->table->window_largest(engine, op->piece, first, count, columns->largest, &columns->non_finite,
                                         error);
}

static hc_status window_largest(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, float *largest, uint64_t *non_finite, struct hc_error *error)
{
    size_t bytes = (sizeof(struct largest) + piece->columns * sizeof *largest + 7) / 8 * 8;
    struct largest *columns = calloc(1, bytes);
    if (!columns)
        return hc_no_memory(error);
    struct hc_spread_op op = rows_op(HC_SPREAD_WINDOW_LARGEST, "the largest weights", piece, first_row, rows);
    op.run = run_largest;
    op.sum = (struct hc_spread_sum){bytes,
                                    1,
                                    {{HC_SPREAD_COUNT, offsetof(struct largest, non_finite), 1},
                                     {HC_SPREAD_MAX_F32, offsetof(struct largest, largest), piece->columns}},
                                    2};
    op.result = columns;
    hc_status status = carry_out(engine, &op, error);
    for (uint64_t j = 0; j < piece->columns; j++)
        largest[j] = fmaxf(largest[j], columns->largest[j]);
    *non_finite += columns->non_finite;
    free(columns);
    return status;
}

static hc_status run_squares(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                             void *sum, struct hc_error *error)
{
    return engine->table->window_squares(engine, op->piece, first, count, op->to_units, sum, error);
}

static hc_status window_squares(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, const double *to_units, uint64_t *sums, struct hc_error *error)
{
    struct hc_spread_op op = rows_op(HC_SPREAD_WINDOW_SQUARES, "the column norms", piece, first_row, rows);
    op.run = run_squares;
    op.sum = (struct hc_spread_sum){piece->columns * sizeof *sums, 1, {{HC_SPREAD_COUNT, 0, piece->columns}}, 1};
    op.result = sums;
    op.to_units = to_units;
    return carry_out(engine, &op, error);
}

static size_t tile_bytes(const struct hc_spread_op *op, uint64_t tile_rows)
{
    return (size_t)(tile_rows * op->frame->tile_columns) * hc_window_tile_bytes(op->coder);
}

/* The matrix may end within its last row of tiles. */
static uint64_t rows_of(const struct hc_spread_op *op, uint64_t tile_rows)
{
    uint64_t there = op->frame->rows - op->first * HC_TILE, rows = tile_rows * HC_TILE;
    return rows < there ? rows : there;
}

static size_t scale_bytes(const struct hc_spread_op *op, uint64_t tile_rows)
{
    return (size_t)rows_of(op, tile_rows) * sizeof(uint16_t);
}

static size_t residual_bytes(const struct hc_spread_op *op, uint64_t tile_rows)
{
    return (size_t)rows_of(op, tile_rows) * sizeof(double);
}

/* What comes behind so many bytes of codes and so many rows. */
static struct hc_window_result result_behind(const struct hc_window_result *all, uint64_t bytes, uint64_t rows)
{
    struct hc_window_result result = *all;
    if (result.codes)
        result.codes += bytes;
    if (result.scales)
        result.scales += rows;
    if (result.residual)
        result.residual += rows;
    return result;
}

static hc_status run_tiles(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                           void *sum, struct hc_error *error)
{
    (void)sum;
    uint64_t before = first - op->first;
    const struct hc_window_result result =
        result_behind(op->result_arrays, tile_bytes(op, before), rows_of(op, before));
    return engine->table->window_encode(engine, op->piece, op->frame, op->coder, first, count, &result, error);
}

static void add_output(struct hc_spread_op *op, void *data,
                       size_t (*bytes)(const struct hc_spread_op *op, uint64_t positions))
{
    if (data)
        op->outputs[op->output_count++] = (struct hc_spread_output){data, bytes};
}

/* Whole rows of tiles for each. */
static hc_status encode_whole(struct hc_engine *engine, const struct hc_piece *piece,
                              const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                              uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                              struct hc_error *error)
{
    struct hc_spread_op op = {.kind = HC_SPREAD_WINDOW_ENCODE,
                              .name = "the codes",
                              .run = run_tiles,
                              .first = first_tile_row,
                              .count = tile_rows,
                              .unit = 1,
                              .weights = HC_TILE * frame->columns,
                              .piece = piece,
                              .frame = frame,
                              .coder = coder,
                              .result_arrays = result};
    add_output(&op, result->codes, tile_bytes);
    add_output(&op, result->scales, scale_bytes);
    add_output(&op, result->residual, residual_bytes);
    return carry_out(engine, &op, error);
}

static size_t factor_bytes(const struct hc_spread_op *op, uint64_t rows)
{
    (void)op;
    return (size_t)rows * sizeof(float);
}

static hc_status run_factors(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                             void *sum, struct hc_error *error)
{
    (void)sum;
    return engine->table->window_factors(engine, op->piece, op->frame, op->coder, first, count,
                                         (float *)op->outputs[0].data + (first - op->first), error);
}

static hc_status window_factors(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error)
{
    struct hc_spread_op op = rows_op(HC_SPREAD_WINDOW_FACTORS, "the factors of rows", piece, first_row, rows);
    op.run = run_factors;
    op.unit = 1;
    op.frame = frame;
    op.coder = coder;
    add_output(&op, factors, factor_bytes);
    return carry_out(engine, &op, error);
}

static size_t block_bytes(const struct hc_spread_op *op, uint64_t blocks)
{
    return (size_t)(blocks * hc_window_block_tiles(op->frame)) * hc_window_tile_bytes(op->coder);
}

static hc_status run_search(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                            void *sum, struct hc_error *error)
{
    (void)sum;
    uint8_t *codes = (uint8_t *)op->outputs[0].data + block_bytes(op, first - op->first);
    return engine->table->window_search(engine, op->piece, op->frame, op->coder, op->factors, first, count, codes,
                                        error);
}

static hc_status window_search(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                               uint8_t *codes, struct hc_error *error)
{
    struct hc_spread_op op = {.kind = HC_SPREAD_WINDOW_SEARCH,
                              .name = "the codes of blocks",
                              .run = run_search,
                              .first = first_block,
                              .count = blocks,
                              .unit = 1,
                              .weights = HC_TILE * frame->block,
                              .piece = piece,
                              .frame = frame,
                              .coder = coder,
                              .factors = factors};
    add_output(&op, codes, block_bytes);
    return carry_out(engine, &op, error);
}

static size_t fitted_scale_bytes(const struct hc_spread_op *op, uint64_t rows)
{
    (void)op;
    return (size_t)rows * sizeof(uint16_t);
}

static size_t fitted_residual_bytes(const struct hc_spread_op *op, uint64_t rows)
{
    (void)op;
    return (size_t)rows * sizeof(double);
}

static hc_status run_fit(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                         void *sum, struct hc_error *error)
{
    (void)sum;
    const struct hc_window_result result = result_behind(op->result_arrays, 0, first - op->first);
    return engine->table->window_fit(engine, op->piece, op->frame, op->coder, op->coded, first, count, &result, error);
}

static hc_status window_fit(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, const struct hc_window_coded *coded,
                            uint64_t first_row, uint64_t rows, const struct hc_window_result *result,
                            struct hc_error *error)
{
    struct hc_spread_op op = rows_op(HC_SPREAD_WINDOW_FIT, "the scales", piece, first_row, rows);
    op.run = run_fit;
    op.unit = 1;
    op.frame = frame;
    op.coder = coder;
    op.coded = coded;
    op.result_arrays = result;
    add_output(&op, result->scales, fitted_scale_bytes);
    add_output(&op, result->residual, fitted_residual_bytes);
    return op.output_count > 0 ? carry_out(engine, &op, error) : HC_OK;
}

/* Rows of tiles of which all have some: one step after the other. */
static hc_status encode_shared(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                               struct hc_error *error)
{
    uint64_t first_row = first_tile_row * HC_TILE, rows = tile_rows * HC_TILE, blocks = hc_window_row_blocks(frame);
    rows = rows < frame->rows - first_row ? rows : frame->rows - first_row;
    float *numbers = malloc(rows * sizeof *numbers);
    const struct hc_window_factors factors = {numbers, first_tile_row};
    const struct hc_window_coded coded = {result->codes, NULL, first_tile_row};
    hc_status status = numbers ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        status = window_factors(engine, piece, frame, coder, first_row, rows, numbers, error);
    if (status == HC_OK)
        status = window_search(engine, piece, frame, coder, &factors, first_tile_row * blocks, tile_rows * blocks,
                               result->codes, error);
    if (status == HC_OK)
        status = window_fit(engine, piece, frame, coder, &coded, first_row, rows, result, error);
    free(numbers);
    return status;
}

/* Whole rows of tiles go by one operation; where they do not come out even, the few that are left by three finer
 * ones. */
static hc_status window_encode(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                               struct hc_error *error)
{
    uint64_t whole = spread_of(engine)->whole(engine, tile_rows, hc_window_row_blocks(frame));
    hc_status status = encode_whole(engine, piece, frame, coder, first_tile_row, whole, result, error);
    if (status != HC_OK || whole == tile_rows)
        return status;
    const struct hc_window_result rest =
        result_behind(result, whole * frame->tile_columns * hc_window_tile_bytes(coder), whole * HC_TILE);
    return encode_shared(engine, piece, frame, coder, first_tile_row + whole, tile_rows - whole, &rest, error);
}

/* Rows of tiles, of which the first and the last may be asked for in part. */
static hc_status run_rows(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first, uint64_t count,
                          void *sum, struct hc_error *error)
{
    (void)sum;
    uint64_t begin = first * HC_TILE, end = (first + count) * HC_TILE, last = op->first_row + op->rows;
    begin = begin > op->first_row ? begin : op->first_row;
    end = end < last ? end : last;
    return engine->table->window_decode(engine, op->frame, op->coder, op->in, op->scales, begin, end - begin, op->type,
                                        decoded_at(op, (begin - op->first_row) * op->frame->columns), error);
}

static hc_status window_decode(struct hc_engine *engine, const struct hc_window_frame *frame,
                               const struct hc_window_coder *coder, const uint8_t *codes, const uint16_t *scales,
                               uint64_t first_row, uint64_t rows, hc_type type, void *out, struct hc_error *error)
{
    uint64_t first = first_row / HC_TILE, end = (first_row + rows + HC_TILE - 1) / HC_TILE;
    struct hc_spread_op op = {.kind = HC_SPREAD_WINDOW_DECODE,
                              .name = "the weights",
                              .run = run_rows,
                              .first = first,
                              .count = rows > 0 ? end - first : 0,
                              .unit = 1,
                              .weights = HC_TILE * frame->columns,
                              .frame = frame,
                              .coder = coder,
                              .in = codes,
                              .scales = scales,
                              .first_row = first_row,
                              .rows = rows,
                              .type = type,
                              .out = out};
    return carry_out(engine, &op, error);
}

static hc_status run_held_against(const struct hc_spread_op *op, struct hc_engine *engine, uint64_t first,
                                  uint64_t count, void *sum, struct hc_error *error)
{
    return engine->table->window_compare(engine, op->piece, op->frame, op->coder, op->coded, first, count, sum, error);
}

static hc_status window_compare(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                const struct hc_window_coded *coded, uint64_t first, uint64_t count,
                                struct hc_compare_sum *sum, struct hc_error *error)
{
    struct hc_spread_op op = {.kind = HC_SPREAD_WINDOW_COMPARE,
                              .name = "the errors",
                              .run = run_held_against,
                              .first = first,
                              .count = count,
                              .unit = HC_BLOCK,
                              .weights = 1,
                              .sum = compare_sum,
                              .result = sum,
                              .piece = piece,
                              .frame = frame,
                              .coder = coder,
                              .coded = coded};
    return carry_out(engine, &op, error);
}

const struct hc_engine_table hc_spread_engine = {
    .name = "several",
    .destroy = spread_destroy,
    .hold = spread_hold,
    .let_go = spread_let_go,
    .pair_moments = pair_moments,
    .pair_extent = pair_extent,
    .pair_try = pair_try,
    .pair_encode = pair_encode,
    .pair_decode = pair_decode,
    .pair_compare = pair_compare,
    .window_largest = window_largest,
    .window_squares = window_squares,
    .window_encode = window_encode,
    .window_factors = window_factors,
    .window_search = window_search,
    .window_fit = window_fit,
    .window_decode = window_decode,
    .window_compare = window_compare,
};
