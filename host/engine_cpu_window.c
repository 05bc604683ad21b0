/* `window` on the CPU: rows, then tiles, then rows again, each spread over threads. */
#include "engine_cpu.h"
#include "window_frame.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { TILES_AT_ONCE = 8 };

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Threads for so many pieces of work. */
static int team(const struct hc_cpu_state *cpu, uint64_t work)
{
    return work < (uint64_t)cpu->threads ? (int)(work ? work : 1) : cpu->threads;
}

/* An array for every thread of a team, each on cache lines of its own. */
struct arrays {
    uint64_t each; /* bytes */
    int threads;
    uint8_t *bytes;
};

static struct arrays arrays_for(int threads, uint64_t bytes)
{
    return (struct arrays){.each = bytes / 64 * 64 + 64, .threads = threads};
}

/* The arrays of a call, one after another in the engine's room. */
static hc_status arrays_place(struct hc_engine *engine, struct arrays *arrays, size_t count, struct hc_error *error)
{
    uint64_t bytes = 0;
    uint8_t *room;
    for (size_t i = 0; i < count; i++)
        bytes += arrays[i].each * (uint64_t)arrays[i].threads;
    hc_status status = hc_cpu_room(engine, bytes, &room, error);
    for (size_t i = 0; status == HC_OK && i < count; i++) {
        arrays[i].bytes = room;
        room += arrays[i].each * (uint64_t)arrays[i].threads;
    }
    return status;
}

static void *my_array(const struct arrays *arrays)
{
    return arrays->bytes + arrays->each * (size_t)omp_get_thread_num();
}

/* ---- Columns -------------------------------------------------------------------------------- */

/* Rows are read several at a time where they are short. */
struct row_run {
    const struct hc_cpu_state *cpu;
    const struct hc_piece *piece;
    uint64_t first_row, rows, at_once;
    struct arrays arrays[2];
};

/* Of a row run. */
enum { WEIGHTS, COLUMNS };

static hc_status row_run_begin(struct row_run *run, struct hc_engine *engine, const struct hc_piece *piece,
                               uint64_t first_row, uint64_t rows, size_t column_bytes, struct hc_error *error)
{
    uint64_t at_once = piece->columns < HC_BLOCK ? HC_BLOCK / piece->columns : 1;
    *run = (struct row_run){.cpu = hc_cpu_state_of(engine),
                            .piece = piece,
                            .first_row = first_row,
                            .rows = rows,
                            .at_once = min_u64(at_once, rows)};
    int threads = team(run->cpu, (rows + run->at_once - 1) / run->at_once);
    run->arrays[WEIGHTS] = arrays_for(threads, run->at_once * piece->columns * sizeof(float));
    run->arrays[COLUMNS] = arrays_for(threads, piece->columns * column_bytes);
    return arrays_place(engine, run->arrays, 2, error);
}

static int64_t row_run_count(const struct row_run *run)
{
    return (int64_t)((run->rows + run->at_once - 1) / run->at_once);
}

/* Reads the rows of step i to `weights`, and returns how many there are. */
static uint64_t row_run_read(const struct row_run *run, int64_t i, float *weights)
{
    uint64_t row = (uint64_t)i * run->at_once, rows = min_u64(run->at_once, run->rows - row);
    const struct hc_piece *piece = run->piece;
    hc_tensor_read(piece->tensor, run->cpu->kernels, piece->first + (run->first_row + row) * piece->columns,
                   rows * piece->columns, weights);
    return rows;
}

hc_status hc_cpu_window_largest(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, float *largest, uint64_t *non_finite, struct hc_error *error)
{
    struct row_run run;
    uint64_t bad = 0;
    hc_status status = row_run_begin(&run, engine, piece, first_row, rows, sizeof(float), error);
    if (status != HC_OK)
        return status;
#pragma omp parallel num_threads(team(run.cpu, (uint64_t)row_run_count(&run))) reduction(+ : bad)
    {
        float *weights = my_array(&run.arrays[WEIGHTS]), *mine = my_array(&run.arrays[COLUMNS]);
        memset(mine, 0, piece->columns * sizeof *mine);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < row_run_count(&run); i++) {
            uint64_t count = row_run_read(&run, i, weights);
            for (uint64_t r = 0; r < count; r++)
                bad += run.cpu->kernels->window_rows.largest(weights + r * piece->columns, piece->columns, mine);
        }
#pragma omp critical
        for (uint64_t j = 0; j < piece->columns; j++)
            largest[j] = fmaxf(largest[j], mine[j]);
    }
    *non_finite += bad;
    return HC_OK;
}

hc_status hc_cpu_window_squares(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, const double *to_units, uint64_t *sums, struct hc_error *error)
{
    struct row_run run;
    hc_status status = row_run_begin(&run, engine, piece, first_row, rows, sizeof(uint64_t), error);
    if (status != HC_OK)
        return status;
#pragma omp parallel num_threads(team(run.cpu, (uint64_t)row_run_count(&run)))
    {
        float *weights = my_array(&run.arrays[WEIGHTS]);
        uint64_t *mine = my_array(&run.arrays[COLUMNS]);
        memset(mine, 0, piece->columns * sizeof *mine);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < row_run_count(&run); i++) {
            uint64_t count = row_run_read(&run, i, weights);
            for (uint64_t r = 0; r < count; r++)
                run.cpu->kernels->window_rows.squares(weights + r * piece->columns, piece->columns, to_units, mine);
        }
#pragma omp critical
        for (uint64_t j = 0; j < piece->columns; j++)
            sums[j] += mine[j];
    }
    return HC_OK;
}

/* ---- Rows of tiles -------------------------------------------------------------------------- */

struct job {
    const struct hc_cpu_state *cpu;
    const struct hc_piece *piece;
    const struct hc_window_frame *frame;
    const struct hc_window_coder *coder;
    const struct hc_window_result *result;
    uint64_t first_tile_row, tile_rows;
    float *rows;    /* 16 tile_rows x padded columns: the matrix in its frame */
    int16_t *tiles; /* the same as the coder wants it */
    uint8_t *codes;
    struct arrays scratch, values;
};

static uint64_t real_rows(const struct hc_window_frame *frame, uint64_t tile_row)
{
    return min_u64(HC_TILE, frame->rows - tile_row * HC_TILE);
}

/* From the matrix into its frame. Returns what takes a row to the units of the coder; 0: the row counts as zeros. */
static float prepare_row(const struct job *job, uint64_t row, float *out)
{
    const struct hc_kernels *kernels = job->cpu->kernels;
    const struct hc_window_frame *frame = job->frame;
    uint64_t padded = hc_window_padded_columns(frame);
    hc_tensor_read(job->piece->tensor, kernels, job->piece->first + row * frame->columns, frame->columns, out);
    memset(out + frame->columns, 0, (padded - frame->columns) * sizeof *out);
    kernels->window_rows.scale(out, padded, frame->to_code);
    kernels->hadamard.blocks(out, padded, frame->block);
    double deviation = sqrt(kernels->window_rows.energy(out, padded) / (double)padded);
    return deviation >= HC_WINDOW_LEAST_SCALE ? (float)((double)job->coder->full_scale / deviation) : 0;
}

/* Tile row number i of the job. */
static void prepare_tiles(const struct job *job, uint64_t i)
{
    float factors[HC_TILE] = {0};
    uint64_t padded = hc_window_padded_columns(job->frame), tile_row = job->first_tile_row + i;
    float *rows = job->rows + i * HC_TILE * padded;
    uint64_t real = real_rows(job->frame, tile_row);
    for (uint64_t r = 0; r < real; r++)
        factors[r] = prepare_row(job, tile_row * HC_TILE + r, rows + r * padded);
    memset(rows + real * padded, 0, (HC_TILE - real) * padded * sizeof *rows);
    job->cpu->kernels->window_rows.tiles(rows, padded, job->frame->tile_columns, factors,
                                         job->tiles + i * HC_TILE * padded);
}

static void encode_tiles(const struct job *job, uint64_t first, void *scratch)
{
    uint64_t count = min_u64(TILES_AT_ONCE, job->tile_rows * job->frame->tile_columns - first);
    job->cpu->kernels->window_encode.tiles(&job->coder->trellis, job->tiles + first * HC_TILE_WEIGHTS, NULL, count,
                                           scratch, job->codes + first * hc_window_tile_bytes(job->coder));
}

/* From the frame back to the matrix. row: padded columns. */
static void restore_row(const struct hc_kernels *kernels, const struct hc_window_frame *frame, float *row,
                        uint16_t half)
{
    float scale;
    kernels->convert.f16_to_f32(&half, 1, &scale);
    kernels->hadamard.blocks(row, hc_window_padded_columns(frame), frame->block);
    kernels->window_rows.restore(row, frame->columns, scale, frame->from_code);
}

/* The scale that fits a row best, in half precision. */
static uint16_t best_scale(const struct hc_kernels *kernels, const struct hc_window_fit *fit, double *rounded)
{
    const float largest = 65504;
    float scale = fit->product > 0 ? (float)(fit->product / fit->values2) : 0, value;
    uint16_t half;
    scale = fminf(scale, largest);
    kernels->convert.f32_to_f16(&scale, 1, &half);
    kernels->convert.f16_to_f32(&half, 1, &value);
    *rounded = (double)value;
    return half;
}

/* The values of a row of tiles, whose codes are number i of `codes`. */
static void decode_tiles(const struct hc_cpu_state *cpu, const struct hc_window_frame *frame,
                         const struct hc_window_coder *coder, const uint8_t *codes, uint64_t i, float *values)
{
    const struct hc_window_decoder decoder = {&coder->code, coder->table};
    cpu->kernels->window_decode.exact(&decoder, codes + i * frame->tile_columns * hc_window_tile_bytes(coder),
                                      frame->tile_columns, values, hc_window_padded_columns(frame));
}

/* Of a row in the frame, and what its codes mean: row number i of the result. */
static void fit_row(const struct job *job, const float *row, const float *values, uint64_t i)
{
    const struct hc_window_result *result = job->result;
    struct hc_window_fit fit;
    double scale;
    job->cpu->kernels->window_rows.fit(row, values, hc_window_padded_columns(job->frame), &fit);
    uint16_t half = best_scale(job->cpu->kernels, &fit, &scale);
    if (result->scales)
        result->scales[i] = half;
    if (result->residual)
        result->residual[i] = fit.weights2 - 2 * scale * fit.product + scale * scale * fit.values2;
}

/* What the codes of tile row number i of the job mean; `values` holds a tile row. */
static void finish_tiles(const struct job *job, uint64_t i, float *values)
{
    uint64_t padded = hc_window_padded_columns(job->frame);
    decode_tiles(job->cpu, job->frame, job->coder, job->codes, i, values);
    for (uint64_t r = 0; r < real_rows(job->frame, job->first_tile_row + i); r++)
        fit_row(job, job->rows + (i * HC_TILE + r) * padded, values + r * padded, i * HC_TILE + r);
}

/* Runs of tiles that a thread takes at a time. */
static uint64_t group_count(const struct job *job)
{
    return (job->tile_rows * job->frame->tile_columns + TILES_AT_ONCE - 1) / TILES_AT_ONCE;
}

/* Its rows and tiles, and what threads work in. */
static hc_status job_place(struct job *job, struct hc_engine *engine, struct hc_error *error)
{
    enum { ROWS, TILES, SCRATCH, VALUES, COUNT };
    uint64_t padded = hc_window_padded_columns(job->frame), weights = job->tile_rows * HC_TILE * padded;
    const struct hc_window_code *code = &job->coder->code;
    const size_t scratch_bytes = job->cpu->kernels->window_encode.scratch_bytes(code->k, code->length);
    struct arrays arrays[COUNT] = {
        [ROWS] = arrays_for(1, weights * sizeof *job->rows),
        [TILES] = arrays_for(1, weights * sizeof *job->tiles),
        [SCRATCH] = arrays_for(team(job->cpu, group_count(job)), scratch_bytes),
        [VALUES] = arrays_for(team(job->cpu, job->tile_rows), HC_TILE * padded * sizeof(float)),
    };
    hc_status status = arrays_place(engine, arrays, COUNT, error);
    job->rows = (float *)(void *)arrays[ROWS].bytes;
    job->tiles = (int16_t *)(void *)arrays[TILES].bytes;
    job->scratch = arrays[SCRATCH];
    job->values = arrays[VALUES];
    return status;
}

hc_status hc_cpu_window_encode(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                               struct hc_error *error)
{
    struct job job = {.cpu = hc_cpu_state_of(engine),
                      .piece = piece,
                      .frame = frame,
                      .coder = coder,
                      .result = result,
                      .first_tile_row = first_tile_row,
                      .tile_rows = tile_rows,
                      .codes = result->codes};
    int64_t bands = (int64_t)tile_rows, groups = (int64_t)group_count(&job);
    hc_status status = job_place(&job, engine, error);
    if (status != HC_OK)
        return status;
#pragma omp parallel for num_threads(team(job.cpu, tile_rows)) schedule(dynamic)
    for (int64_t i = 0; i < bands; i++)
        prepare_tiles(&job, (uint64_t)i);
#pragma omp parallel for num_threads(team(job.cpu, (uint64_t)groups)) schedule(dynamic)
    for (int64_t g = 0; g < groups; g++)
        encode_tiles(&job, (uint64_t)g * TILES_AT_ONCE, my_array(&job.scratch));
#pragma omp parallel for num_threads(team(job.cpu, tile_rows)) schedule(dynamic)
    for (int64_t i = 0; i < bands; i++)
        finish_tiles(&job, (uint64_t)i, my_array(&job.values));
    return HC_OK;
}

/* ---- Rows of tiles that are shared ------------------------------------------------------------ */

hc_status hc_cpu_window_factors(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error)
{
    const struct job job = {.cpu = hc_cpu_state_of(engine), .piece = piece, .frame = frame, .coder = coder};
    struct arrays buffers = arrays_for(team(job.cpu, rows), hc_window_padded_columns(frame) * sizeof(float));
    hc_status status = arrays_place(engine, &buffers, 1, error);
    if (status != HC_OK)
        return status;
#pragma omp parallel for num_threads(team(job.cpu, rows)) schedule(dynamic)
    for (int64_t r = 0; r < (int64_t)rows; r++)
        factors[r] = prepare_row(&job, first_row + (uint64_t)r, my_array(&buffers));
    return HC_OK;
}

/* Of a row, the columns of a Hadamard block, into the frame. They may begin or end within a block of the type, which is
 * then read whole. */
static void prepare_columns(const struct job *job, uint64_t row, uint64_t column, float *out)
{
    const struct hc_kernels *kernels = job->cpu->kernels;
    const struct hc_window_frame *frame = job->frame;
    float weights[HC_HADAMARD_MAX + HC_TYPE_MOST_WEIGHTS];
    uint64_t whole = hc_type_block_weights(job->piece->tensor->type), begin = column / whole * whole;
    uint64_t end = min_u64(column + frame->block, frame->columns);
    hc_tensor_read(job->piece->tensor, kernels, job->piece->first + row * frame->columns + begin,
                   (end + whole - 1) / whole * whole - begin, weights);
    memcpy(out, weights + (column - begin), (end - column) * sizeof *out);
    memset(out + (end - column), 0, (column + frame->block - end) * sizeof *out);
    kernels->window_rows.scale(out, frame->block, frame->to_code + column);
    kernels->hadamard.blocks(out, frame->block, frame->block);
}

/* A block of tiles as the coder wants it. */
static void prepare_block(const struct job *job, const struct hc_window_factors *factors, uint64_t block,
                          int16_t *tiles)
{
    float rows[HC_TILE * HC_HADAMARD_MAX] = {0}, of_rows[HC_TILE] = {0};
    const struct hc_window_frame *frame = job->frame;
    uint64_t blocks = hc_window_row_blocks(frame), tile_row = block / blocks, real = real_rows(frame, tile_row);
    for (uint64_t r = 0; r < real; r++)
        prepare_columns(job, tile_row * HC_TILE + r, block % blocks * frame->block, rows + r * frame->block);
    memcpy(of_rows, factors->factors + (tile_row - factors->first_tile_row) * HC_TILE, real * sizeof *of_rows);
    job->cpu->kernels->window_rows.tiles(rows, frame->block, hc_window_block_tiles(frame), of_rows, tiles);
}

/* A block of tiles is HC_HADAMARD_MAX columns wide at most. */
_Static_assert(TILES_AT_ONCE *HC_TILE % HC_HADAMARD_MAX == 0, "tiles at once are whole blocks");

static void search_blocks(const struct job *job, const struct hc_window_factors *factors, uint64_t first,
                          uint64_t count, uint8_t *codes, void *scratch)
{
    int16_t tiles[TILES_AT_ONCE * HC_TILE_WEIGHTS];
    uint64_t each = hc_window_block_tiles(job->frame);
    for (uint64_t b = 0; b < count; b++)
        prepare_block(job, factors, first + b, tiles + b * each * HC_TILE_WEIGHTS);
    job->cpu->kernels->window_encode.tiles(&job->coder->trellis, tiles, NULL, count * each, scratch, codes);
}

hc_status hc_cpu_window_search(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                               uint8_t *codes, struct hc_error *error)
{
    const struct job job = {.cpu = hc_cpu_state_of(engine), .piece = piece, .frame = frame, .coder = coder};
    uint64_t each = hc_window_block_tiles(frame), step = TILES_AT_ONCE / each, steps = (blocks + step - 1) / step;
    size_t bytes = job.cpu->kernels->window_encode.scratch_bytes(coder->code.k, coder->code.length);
    struct arrays scratch = arrays_for(team(job.cpu, steps), bytes);
    hc_status status = arrays_place(engine, &scratch, 1, error);
    if (status != HC_OK)
        return status;
#pragma omp parallel for num_threads(team(job.cpu, steps)) schedule(dynamic)
    for (int64_t i = 0; i < (int64_t)steps; i++) {
        uint64_t at = (uint64_t)i * step;
        search_blocks(&job, factors, first_block + at, min_u64(step, blocks - at),
                      codes + at * each * hc_window_tile_bytes(coder), my_array(&scratch));
    }
    return HC_OK;
}

/* The rows of a row of tiles that lie between first and end; `values` holds a row of tiles, and a row. */
static void fit_rows(const struct job *job, const struct hc_window_coded *coded, uint64_t tile_row, uint64_t first,
                     uint64_t end, float *values)
{
    uint64_t padded = hc_window_padded_columns(job->frame), begin = tile_row * HC_TILE;
    float *row = values + HC_TILE * padded;
    decode_tiles(job->cpu, job->frame, job->coder, coded->codes, tile_row - coded->first_tile_row, values);
    for (uint64_t r = begin > first ? begin : first; r < min_u64(begin + HC_TILE, end); r++) {
        prepare_row(job, r, row);
        fit_row(job, row, values + (r - begin) * padded, r - first);
    }
}

hc_status hc_cpu_window_fit(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, const struct hc_window_coded *coded,
                            uint64_t first_row, uint64_t rows, const struct hc_window_result *result,
                            struct hc_error *error)
{
    const struct job job = {
        .cpu = hc_cpu_state_of(engine), .piece = piece, .frame = frame, .coder = coder, .result = result};
    uint64_t begin = first_row / HC_TILE, end = (first_row + rows + HC_TILE - 1) / HC_TILE;
    struct arrays buffers =
        arrays_for(team(job.cpu, end - begin), (HC_TILE + 1) * hc_window_padded_columns(frame) * sizeof(float));
    hc_status status = arrays_place(engine, &buffers, 1, error);
    if (status != HC_OK)
        return status;
#pragma omp parallel for num_threads(team(job.cpu, end - begin)) schedule(dynamic)
    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++)
        fit_rows(&job, coded, (uint64_t)i, first_row, first_row + rows, my_array(&buffers));
    return HC_OK;
}

/* ---- Decoding ------------------------------------------------------------------------------- */

/* In memory of its own, as several threads may decode with one engine. */
hc_status hc_cpu_window_decode(struct hc_engine *engine, const struct hc_window_frame *frame,
                               const struct hc_window_coder *coder, const uint8_t *codes, const uint16_t *scales,
                               uint64_t first_row, uint64_t rows, hc_type type, void *out, struct hc_error *error)
{
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
    const size_t padded = hc_window_padded_columns(frame), bytes = frame->columns * hc_type_block_bytes(type);
    int64_t begin = (int64_t)(first_row / HC_TILE), end = (int64_t)((first_row + rows + HC_TILE - 1) / HC_TILE);
    struct arrays buffers = arrays_for(team(cpu, (uint64_t)(end - begin)), HC_TILE * padded * sizeof(float));
    buffers.bytes = aligned_alloc(64, buffers.each * (size_t)buffers.threads);
    if (!buffers.bytes)
        return hc_no_memory(error);
#pragma omp parallel for num_threads(team(cpu, (uint64_t)(end - begin))) schedule(dynamic)
    for (int64_t i = begin; i < end; i++) {
        float *values = my_array(&buffers);
        uint64_t row = (uint64_t)i * HC_TILE, last = min_u64(row + HC_TILE, first_row + rows);
        decode_tiles(cpu, frame, coder, codes, (uint64_t)i, values);
        for (uint64_t r = row > first_row ? row : first_row; r < last; r++) {
            float *at = values + (r - row) * padded;
            restore_row(cpu->kernels, frame, at, scales[r]);
            hc_engine_round(cpu->kernels, at, frame->columns, type, (uint8_t *)out + (r - first_row) * bytes);
        }
    }
    free(buffers.bytes);
    return HC_OK;
}
