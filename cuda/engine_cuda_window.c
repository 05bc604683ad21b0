#include "engine_cuda_window.h"

#include <string.h>

#include "compare/compare_cuda.h"
#include "hadamard/hadamard_cuda.h"
#include "job.h"
#include "window_decode/window_decode_cuda.h"
#include "window_encode/window_encode_cuda.h"
#include "window_rows/window_rows_cuda.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static hc_status check_columns(uint64_t columns, struct hc_error *error)
{
    return columns <= HC_CUDA_WIDEST
               ? HC_OK
               : hc_fail(error, HC_ERR_ARGUMENT, "%llu columns are more than cuda takes", (unsigned long long)columns);
}

/* Rows of so many weights that go through the device together. */
static uint64_t rows_at_once(const struct hc_cuda_job *job, uint64_t width)
{
    uint64_t rows = min_u64(job->staging->band / width, HC_CUDA_BAND_ROWS);
    return rows > 0 ? rows : 1;
}

static cudaStream_t stream_of(const struct hc_cuda_job *job)
{
    return job->staging->device.stream;
}

/* A copy that is complete when it returns. */
static hc_status fetch(const struct hc_cuda_job *job, enum hc_cuda_region region, void *to, size_t bytes)
{
    hc_status status = hc_cuda_download(job->staging, region, to, bytes, job->error);
    return status == HC_OK
               ? hc_cuda_launched(job, cudaStreamSynchronize(job->staging->device.stream), "cudaStreamSynchronize")
               : status;
}

/* ---- Columns ------------------------------------------------------------------------------ */

/* Results gather on the device: nothing is taken before the end. */
static hc_status collect_nothing(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    (void)job, (void)slot;
    return HC_OK;
}

static struct hc_cuda_job rows_job(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                   uint64_t rows, struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first_row * piece->columns, rows * piece->columns, error);
    job.chunk = rows_at_once(&job, piece->columns) * piece->columns;
    job.collect = collect_nothing;
    return job;
}

/* What is known of the columns so far goes up, the rows pass, and it comes back. */
struct columns {
    enum hc_cuda_region region; /* of it */
    void *numbers;
    size_t bytes;
};

static hc_status pass_columns(struct hc_cuda_job *job, const struct columns *columns, size_t count)
{
    hc_status status = hc_cuda_device_enter(&job->staging->device, job->error);
    for (size_t i = 0; status == HC_OK && i < count; i++)
        status = hc_cuda_upload(job->staging, columns[i].region, columns[i].numbers, columns[i].bytes, job->error);
    if (status == HC_OK)
        status = hc_cuda_run(job);
    for (size_t i = 0; status == HC_OK && i < count; i++)
        status = fetch(job, columns[i].region, columns[i].numbers, columns[i].bytes);
    if (status != HC_OK)
        hc_cuda_settle(job);
    return status;
}

static hc_status submit_largest(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    uint64_t columns = job->piece->columns;
    hc_status status = hc_cuda_load_weights(job, slot);
    return status == HC_OK
               ? hc_cuda_launched(job,
                                  hc_window_largest_cuda(slot->on_device, slot->count / columns, columns,
                                                         hc_cuda_region_of(job, HC_CUDA_LARGEST),
                                                         hc_cuda_region_of(job, HC_CUDA_NON_FINITE), stream_of(job)),
                                  "window_largest")
               : status;
}

hc_status hc_cuda_window_largest(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                 uint64_t rows, float *largest, uint64_t *non_finite, struct hc_error *error)
{
    const struct columns columns[] = {{HC_CUDA_LARGEST, largest, piece->columns * sizeof *largest},
                                      {HC_CUDA_NON_FINITE, non_finite, sizeof *non_finite}};
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || rows * piece->columns == 0)
        return status;
    struct hc_cuda_job job = rows_job(engine, piece, first_row, rows, error);
    job.submit = submit_largest;
    return pass_columns(&job, columns, 2);
}

/* job->window: what takes weights to units. It goes up with the first chunk. */
static hc_status submit_squares(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    uint64_t columns = job->piece->columns;
    hc_status status;
    if (slot->first == 0)
        HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_TO_UNITS, job->window, columns * sizeof(double), job->error));
    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(hc_cuda_launched(job,
                            hc_window_squares_cuda(slot->on_device, slot->count / columns, columns,
                                                   hc_cuda_region_of(job, HC_CUDA_TO_UNITS),
                                                   hc_cuda_region_of(job, HC_CUDA_SUMS), stream_of(job)),
                            "window_squares"));
done:
    return status;
}

hc_status hc_cuda_window_squares(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                 uint64_t rows, const double *to_units, uint64_t *sums, struct hc_error *error)
{
    const struct columns columns = {HC_CUDA_SUMS, sums, piece->columns * sizeof *sums};
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || rows * piece->columns == 0)
        return status;
    struct hc_cuda_job job = rows_job(engine, piece, first_row, rows, error);
    job.submit = submit_squares;
    job.window = to_units;
    return pass_columns(&job, &columns, 1);
}

/* ---- Encoding ----------------------------------------------------------------------------- */

struct encoding {
    const struct hc_window_frame *frame;
    const struct hc_window_coder *coder;
    const struct hc_window_result *result;
    const struct hc_window_factors *factors; /* of a search alone */
    const struct hc_window_coded *coded;     /* of a fit alone */
    /* Of the rows of the call, of a search of its tiles: how many come before those that are wanted, and these. */
    uint64_t skip, wanted;
    uint64_t padded;     /* columns */
    uint64_t chunk_rows; /* that are uploaded together */
    bool whole;          /* bands are as small: all results come through pinned memory */
    unsigned at_once;    /* tiles that the device encodes at a time */
};

/* Rows of the call, and of tiles. */
struct band {
    uint64_t row, rows, tile_row, tile_rows;
};

static struct band band_of(const struct encoding *e, const struct hc_cuda_slot *slot)
{
    uint64_t row = slot->first / e->frame->columns, rows = slot->count / e->frame->columns;
    return (struct band){row, rows, row / HC_TILE, (rows + HC_TILE - 1) / HC_TILE};
}

static uint64_t tiles_of(const struct encoding *e, const struct band *band)
{
    return band->tile_rows * e->frame->tile_columns;
}

/* Brings rows of a band to slot->on_device. */
static hc_status load_rows(struct hc_cuda_job *job, const struct hc_cuda_slot *slot, uint64_t row, uint64_t rows)
{
    struct hc_cuda_slot part = *slot;
    part.first += row * job->piece->columns;
    part.count = rows * job->piece->columns;
    return hc_cuda_load_weights(job, &part);
}

/* Brings the band to HC_CUDA_ROWS, in its frame. */
static hc_status frame_band(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    float *rows = hc_cuda_region_of(job, HC_CUDA_ROWS);
    hc_status status;
    for (uint64_t at = 0; at < band.rows; at += e->chunk_rows) {
        uint64_t count = min_u64(e->chunk_rows, band.rows - at);
        if (at > 0) /* the slot has room for a chunk only */
            HC_TRY(hc_cuda_launched(job, cudaStreamSynchronize(stream_of(job)), "cudaStreamSynchronize"));
        HC_TRY(load_rows(job, slot, at, count));
        HC_TRY(hc_cuda_launched(job,
                                hc_window_scale_cuda(slot->on_device, count, e->frame->columns, e->padded,
                                                     hc_cuda_region_of(job, HC_CUDA_TO_CODE), rows + at * e->padded,
                                                     stream_of(job)),
                                "window_scale"));
    }
    size_t missing = (band.tile_rows * HC_TILE - band.rows) * e->padded * sizeof *rows;
    HC_TRY(hc_cuda_launched(job, cudaMemsetAsync(rows + band.rows * e->padded, 0, missing, stream_of(job)),
                            "cudaMemsetAsync"));
    HC_TRY(hc_cuda_launched(job, hc_hadamard_cuda(rows, band.rows * e->padded, e->frame->block, stream_of(job)),
                            "hadamard"));
done:
    return status;
}

/* From HC_CUDA_ROWS to HC_CUDA_ROW_FACTORS. */
static hc_status make_factors(struct hc_cuda_job *job, const struct band *band)
{
    const struct encoding *e = job->window;
    return hc_cuda_launched(job,
                            hc_window_factors_cuda(hc_cuda_region_of(job, HC_CUDA_ROWS), band->tile_rows * HC_TILE,
                                                   e->padded, e->coder->full_scale, HC_WINDOW_LEAST_SCALE,
                                                   hc_cuda_region_of(job, HC_CUDA_ROW_FACTORS), stream_of(job)),
                            "window_factors");
}

/* From both to HC_CUDA_TILES. */
static hc_status make_tiles(struct hc_cuda_job *job, const struct band *band)
{
    const struct encoding *e = job->window;
    return hc_cuda_launched(job,
                            hc_window_tiles_cuda(hc_cuda_region_of(job, HC_CUDA_ROWS), band->tile_rows,
                                                 e->frame->tile_columns, hc_cuda_region_of(job, HC_CUDA_ROW_FACTORS),
                                                 hc_cuda_region_of(job, HC_CUDA_TILES), stream_of(job)),
                            "window_tiles");
}

/* As many as the device works on, and the workspace has room for. */
static unsigned room_for_tiles(const struct encoding *e, uint64_t tiles)
{
    const struct hc_window_code *code = &e->coder->code;
    unsigned at_once = e->at_once;
    while (at_once > 1 &&
           hc_window_encode_cuda_workspace(code->k, code->length, tiles, at_once) > HC_CUDA_WORKSPACE_BYTES)
        at_once--;
    return at_once;
}

/* From HC_CUDA_TILES, number `first` on, to the beginning of HC_CUDA_TILE_CODES. */
static hc_status search_tiles(struct hc_cuda_job *job, uint64_t first, uint64_t tiles)
{
    const struct encoding *e = job->window;
    const struct hc_window_code *code = &e->coder->code;
    const struct hc_window_trellis_cuda trellis = {code->k, code->length, code->multiplier, false,
                                                   hc_cuda_region_of(job, HC_CUDA_LAYOUT)};
    const int16_t *weights = hc_cuda_region_of(job, HC_CUDA_TILES);
    return hc_cuda_launched(job,
                            hc_window_encode_cuda(&trellis, weights + first * HC_TILE_WEIGHTS, NULL, tiles,
                                                  room_for_tiles(e, tiles), hc_cuda_region_of(job, HC_CUDA_WORKSPACE),
                                                  hc_cuda_region_of(job, HC_CUDA_TILE_CODES), stream_of(job)),
                            "window_encode");
}

/* The scales that fit HC_CUDA_ROWS and HC_CUDA_TILE_CODES best, to the slot. */
static hc_status fit_rows(struct hc_cuda_job *job, const struct hc_cuda_slot *slot, const struct band *band)
{
    const struct encoding *e = job->window;
    hc_status status;
    HC_TRY(hc_cuda_launched(job,
                            hc_window_fit_cuda(&e->coder->code, hc_cuda_region_of(job, HC_CUDA_VALUES),
                                               hc_cuda_region_of(job, HC_CUDA_TILE_CODES),
                                               hc_cuda_region_of(job, HC_CUDA_ROWS), band->rows, e->frame->tile_columns,
                                               hc_cuda_region_of(job, HC_CUDA_FITTED),
                                               hc_cuda_region_of(job, HC_CUDA_SCALES), stream_of(job)),
                            "window_fit"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_FITTED, slot->rows, band->rows * sizeof(struct hc_window_fitted),
                            job->error));
done:
    return status;
}

static uint8_t *codes_of(const struct encoding *e, const struct band *band)
{
    return e->result->codes + band->tile_row * e->frame->tile_columns * hc_window_tile_bytes(e->coder);
}

static hc_status submit_encode(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    hc_status status;
    HC_TRY(frame_band(job, slot));
    HC_TRY(make_factors(job, &band));
    HC_TRY(make_tiles(job, &band));
    HC_TRY(search_tiles(job, 0, tiles_of(e, &band)));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_TILE_CODES, e->whole ? slot->packed : codes_of(e, &band),
                            tiles_of(e, &band) * hc_window_tile_bytes(e->coder), job->error));
    HC_TRY(fit_rows(job, slot, &band));
done:
    return status;
}

static bool is_wanted(const struct encoding *e, uint64_t number)
{
    return number >= e->skip && number - e->skip < e->wanted;
}

static void take_fitted(const struct encoding *e, const struct hc_cuda_slot *slot)
{
    const struct hc_window_fitted *fitted = (const void *)slot->rows;
    const struct band band = band_of(e, slot);
    for (uint64_t r = 0; r < band.rows; r++) {
        if (!is_wanted(e, band.row + r))
            continue;
        if (e->result->scales)
            e->result->scales[band.row + r - e->skip] = fitted[r].scale;
        if (e->result->residual)
            e->result->residual[band.row + r - e->skip] = fitted[r].residual;
    }
}

static hc_status collect_encode(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    take_fitted(e, slot);
    if (e->whole)
        memcpy(codes_of(e, &band), slot->packed, tiles_of(e, &band) * hc_window_tile_bytes(e->coder));
    return HC_OK;
}

static bool same_code(const struct hc_window_code *a, const struct hc_window_code *b)
{
    return a->k == b->k && a->length == b->length && a->multiplier == b->multiplier && !(a->a < b->a || a->a > b->a) &&
           !(a->b < b->b || a->b > b->b) && !(a->c < b->c || a->c > b->c);
}

/* The encoder's layout takes longer to make than the rest, and follows from the code alone: it stays until another one
 * is wanted. */
static hc_status upload_layout(struct hc_cuda_job *job, const struct hc_window_coder *coder)
{
    struct hc_cuda_staging *staging = job->staging;
    struct hc_window_trellis trellis = coder->trellis;
    hc_status status = HC_OK;
    if (same_code(&staging->layout_of, &coder->code))
        return HC_OK;
    staging->layout_of = (struct hc_window_code){.k = 0};
    trellis.layout = staging->slot[0].weights;
    hc_window_encode_cuda_prepare(&trellis);
    HC_TRY(hc_cuda_upload(staging, HC_CUDA_LAYOUT, trellis.layout,
                          hc_window_encode_cuda_layout_bytes(trellis.k, trellis.length), job->error));
    HC_TRY(hc_cuda_launched(job, cudaStreamSynchronize(stream_of(job)), "cudaStreamSynchronize"));
    staging->layout_of = coder->code;
done:
    return status;
}

/* The rest is small beside a stretch, and uploaded with every one of them. */
static hc_status upload_coder(struct hc_cuda_job *job, const struct hc_window_frame *frame,
                              const struct hc_window_coder *coder)
{
    struct hc_cuda_staging *staging = job->staging;
    size_t factors = hc_window_padded_columns(frame) * sizeof(float);
    hc_status status;
    HC_TRY(hc_cuda_upload(staging, HC_CUDA_TO_CODE, frame->to_code, factors, job->error));
    HC_TRY(hc_cuda_upload(staging, HC_CUDA_FROM_CODE, frame->from_code, factors, job->error));
    HC_TRY(
        hc_cuda_upload(staging, HC_CUDA_VALUES, coder->table, sizeof *coder->table << coder->code.length, job->error));
done:
    return status;
}

/* The stretch in weights, a chunk being a band. */
static struct hc_cuda_job encode_job(struct hc_engine *engine, const struct hc_piece *piece, struct encoding *e,
                                     uint64_t first_tile_row, uint64_t tile_rows, struct hc_error *error)
{
    uint64_t row = first_tile_row * HC_TILE, rows = min_u64(tile_rows * HC_TILE, e->frame->rows - row);
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, row * piece->columns, rows * piece->columns, error);
    e->padded = hc_window_padded_columns(e->frame);
    e->chunk_rows = rows_at_once(&job, e->padded);
    e->whole = e->chunk_rows >= HC_TILE;
    job.chunk = (e->whole ? e->chunk_rows / HC_TILE * HC_TILE : HC_TILE) * piece->columns;
    job.window = e;
    return job;
}

/* The encoder's layout is for searching, but stays: the other steps are for the same coder. */
static hc_status run_encoding(struct hc_cuda_job *job, struct encoding *e)
{
    hc_status status;
    HC_TRY(hc_cuda_device_enter(&job->staging->device, job->error));
    HC_TRY(hc_cuda_launched(job, hc_window_encode_cuda_slots(e->coder->code.k, e->coder->code.length, &e->at_once),
                            "hc_window_encode_cuda_slots"));
    HC_TRY(upload_layout(job, e->coder));
    HC_TRY(upload_coder(job, e->frame, e->coder));
    HC_TRY(hc_cuda_run(job));
done:
    if (status != HC_OK)
        hc_cuda_settle(job);
    return status;
}

hc_status hc_cuda_window_encode(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                                struct hc_error *error)
{
    struct encoding e = {.frame = frame, .coder = coder, .result = result, .wanted = tile_rows * HC_TILE};
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || tile_rows * piece->columns == 0)
        return status;
    struct hc_cuda_job job = encode_job(engine, piece, &e, first_tile_row, tile_rows, error);
    job.submit = submit_encode;
    job.collect = collect_encode;
    return run_encoding(&job, &e);
}

/* ---- Encoding in steps -------------------------------------------------------------------- */

/* Each step brings whole rows of tiles to the device, and into the frame: that costs it little. */

/* Those of `count` things from `first` on, of which there are `each` in a row of tiles. */
static struct hc_cuda_job step_job(struct hc_engine *engine, const struct hc_piece *piece, struct encoding *e,
                                   uint64_t first, uint64_t count, uint64_t each, struct hc_error *error)
{
    uint64_t begin = first / each, end = (first + count + each - 1) / each;
    e->skip = first - begin * each;
    e->wanted = count;
    return encode_job(engine, piece, e, begin, end - begin, error);
}

/* The row of tiles of the matrix with which a band begins. */
static uint64_t first_of(const struct hc_cuda_job *job, const struct band *band)
{
    return job->first / job->piece->columns / HC_TILE + band->tile_row;
}

static hc_status submit_factors(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct band band = band_of(job->window, slot);
    hc_status status;
    HC_TRY(frame_band(job, slot));
    HC_TRY(make_factors(job, &band));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_ROW_FACTORS, slot->rows, band.rows * sizeof(float), job->error));
done:
    return status;
}

static hc_status collect_factors(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    const float *factors = (const void *)slot->rows;
    float *out = job->out;
    for (uint64_t r = 0; r < band.rows; r++)
        if (is_wanted(e, band.row + r))
            out[band.row + r - e->skip] = factors[r];
    return HC_OK;
}

hc_status hc_cuda_window_factors(struct hc_engine *engine, const struct hc_piece *piece,
                                 const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                 uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error)
{
    struct encoding e = {.frame = frame, .coder = coder};
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || rows * piece->columns == 0)
        return status;
    struct hc_cuda_job job = step_job(engine, piece, &e, first_row, rows, HC_TILE, error);
    job.submit = submit_factors;
    job.collect = collect_factors;
    job.out = factors;
    return run_encoding(&job, &e);
}

/* To HC_CUDA_ROW_FACTORS; beyond the last row they are zeros. */
static hc_status upload_factors(struct hc_cuda_job *job, const struct band *band)
{
    const struct encoding *e = job->window;
    const float *factors = e->factors->factors + (first_of(job, band) - e->factors->first_tile_row) * HC_TILE;
    hc_status status;
    HC_TRY(hc_cuda_launched(job,
                            cudaMemsetAsync(hc_cuda_region_of(job, HC_CUDA_ROW_FACTORS), 0,
                                            band->tile_rows * HC_TILE * sizeof *factors, stream_of(job)),
                            "cudaMemsetAsync"));
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_ROW_FACTORS, factors, band->rows * sizeof *factors, job->error));
done:
    return status;
}

/* Tiles of a band that are wanted, and where in the codes those of the call begin. */
struct run {
    uint64_t first, count, at;
};

static struct run run_of(const struct encoding *e, const struct band *band)
{
    uint64_t before = band->tile_row * e->frame->tile_columns, end = before + tiles_of(e, band);
    uint64_t begin = e->skip > before ? e->skip : before;
    return (struct run){begin - before, min_u64(e->skip + e->wanted, end) - begin, begin - e->skip};
}

static hc_status submit_search(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    const struct run run = run_of(e, &band);
    size_t bytes = hc_window_tile_bytes(e->coder);
    uint8_t *codes = job->out;
    hc_status status;
    HC_TRY(frame_band(job, slot));
    HC_TRY(upload_factors(job, &band));
    HC_TRY(make_tiles(job, &band));
    HC_TRY(search_tiles(job, run.first, run.count));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_TILE_CODES, e->whole ? slot->packed : codes + run.at * bytes,
                            run.count * bytes, job->error));
done:
    return status;
}

static hc_status collect_search(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    const struct run run = run_of(e, &band);
    size_t bytes = hc_window_tile_bytes(e->coder);
    if (e->whole)
        memcpy((uint8_t *)job->out + run.at * bytes, slot->packed, run.count * bytes);
    return HC_OK;
}

hc_status hc_cuda_window_search(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                                uint8_t *codes, struct hc_error *error)
{
    struct encoding e = {.frame = frame, .coder = coder, .factors = factors};
    uint64_t each = hc_window_block_tiles(frame);
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || blocks == 0)
        return status;
    struct hc_cuda_job job = step_job(engine, piece, &e, first_block * each, blocks * each, frame->tile_columns, error);
    job.submit = submit_search;
    job.collect = collect_search;
    job.out = codes;
    return run_encoding(&job, &e);
}

static hc_status submit_fit(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct encoding *e = job->window;
    const struct band band = band_of(e, slot);
    size_t row_bytes = e->frame->tile_columns * hc_window_tile_bytes(e->coder);
    const uint8_t *codes = e->coded->codes + (first_of(job, &band) - e->coded->first_tile_row) * row_bytes;
    hc_status status;
    HC_TRY(frame_band(job, slot));
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_TILE_CODES, codes, band.tile_rows * row_bytes, job->error));
    HC_TRY(fit_rows(job, slot, &band));
done:
    return status;
}

static hc_status collect_fit(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    take_fitted(job->window, slot);
    return HC_OK;
}

hc_status hc_cuda_window_fit(struct hc_engine *engine, const struct hc_piece *piece,
                             const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                             const struct hc_window_coded *coded, uint64_t first_row, uint64_t rows,
                             const struct hc_window_result *result, struct hc_error *error)
{
    struct encoding e = {.frame = frame, .coder = coder, .coded = coded, .result = result};
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || rows * piece->columns == 0)
        return status;
    struct hc_cuda_job job = step_job(engine, piece, &e, first_row, rows, HC_TILE, error);
    job.submit = submit_fit;
    job.collect = collect_fit;
    return run_encoding(&job, &e);
}

/* ---- Decoding ----------------------------------------------------------------------------- */

struct decoding {
    const struct hc_window_frame *frame;
    const struct hc_window_coder *coder;
    const uint8_t *codes;
    const uint16_t *scales;
    uint64_t first_row; /* of the call; of comparing, of codes and scales */
};

/* Brings rows to a region. Codes and scales are uploaded from where they lie, from the row of tiles on in which the
 * first row is. */
static hc_status restore_rows(struct hc_cuda_job *job, uint64_t row, uint64_t rows, enum hc_cuda_region region)
{
    const struct decoding *d = job->window;
    uint64_t begin = row / HC_TILE, end = (row + rows + HC_TILE - 1) / HC_TILE;
    size_t band_bytes = d->frame->tile_columns * hc_window_tile_bytes(d->coder);
    hc_status status;
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_TILE_CODES, d->codes + begin * band_bytes, (end - begin) * band_bytes,
                          job->error));
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_SCALES, d->scales + begin * HC_TILE,
                          (row + rows - begin * HC_TILE) * sizeof *d->scales, job->error));
    HC_TRY(hc_cuda_launched(job,
                            hc_window_restore_cuda(&d->coder->code, hc_cuda_region_of(job, HC_CUDA_VALUES),
                                                   hc_cuda_region_of(job, HC_CUDA_TILE_CODES),
                                                   hc_cuda_region_of(job, HC_CUDA_SCALES),
                                                   hc_cuda_region_of(job, HC_CUDA_FROM_CODE), d->frame->block,
                                                   d->frame->columns, d->frame->tile_columns, NULL, row % HC_TILE, rows,
                                                   hc_cuda_region_of(job, region), stream_of(job)),
                            "window_restore"));
done:
    return status;
}

static hc_status submit_decode(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct decoding *d = job->window;
    uint64_t columns = d->frame->columns;
    hc_status status = restore_rows(job, d->first_row + slot->first / columns, slot->count / columns, HC_CUDA_DECODED);
    return status == HC_OK ? hc_cuda_fetch_decoded(job, slot) : status;
}

static hc_status collect_decode(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    hc_cuda_take_decoded(job, slot);
    return HC_OK;
}

hc_status hc_cuda_window_decode(struct hc_engine *engine, const struct hc_window_frame *frame,
                                const struct hc_window_coder *coder, const uint8_t *codes, const uint16_t *scales,
                                uint64_t first_row, uint64_t rows, hc_type type, void *out, struct hc_error *error)
{
    uint64_t padded = hc_window_padded_columns(frame);
    const struct decoding decoding = {frame, coder, codes, scales, first_row};
    hc_status status = check_columns(padded, error);
    if (status != HC_OK || rows * frame->columns == 0)
        return status;
    struct hc_cuda_job job = hc_cuda_job_of(engine, NULL, 0, rows * frame->columns, error);
    job.chunk = rows_at_once(&job, padded) * frame->columns;
    job.submit = submit_decode;
    job.collect = collect_decode;
    job.window = &decoding;
    job.type = type;
    job.out = out;
    HC_TRY(hc_cuda_device_enter(&job.staging->device, error));
    HC_TRY(upload_coder(&job, frame, coder));
    HC_TRY(hc_cuda_run(&job));
done:
    if (status != HC_OK)
        hc_cuda_settle(&job);
    return status;
}

/* ---- Comparing ---------------------------------------------------------------------------- */

/* A chunk begins and ends within rows: whole rows are decoded. */
static hc_status submit_compare(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    const struct decoding *d = job->window;
    uint64_t columns = d->frame->columns, first = job->first + slot->first;
    uint64_t row = first / columns, end = (first + slot->count + columns - 1) / columns;
    const float *rows = hc_cuda_region_of(job, HC_CUDA_ROWS);
    hc_status status;
    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(restore_rows(job, row - d->first_row, end - row, HC_CUDA_ROWS));
    HC_TRY(hc_cuda_launched(job,
                            hc_compare_cuda(slot->on_device, rows + (first - row * columns), slot->count,
                                            hc_cuda_region_of(job, HC_CUDA_RESULTS), stream_of(job)),
                            "compare"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_RESULTS, slot->results,
                            hc_cuda_blocks_of(slot) * sizeof(struct hc_compare), job->error));
done:
    return status;
}

static hc_status collect_compare(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct hc_compare *results = (const void *)slot->results;
    for (size_t b = 0; b < hc_cuda_blocks_of(slot); b++)
        hc_compare_add_block(job->out, &results[b]);
    return HC_OK;
}

hc_status hc_cuda_window_compare(struct hc_engine *engine, const struct hc_piece *piece,
                                 const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                 const struct hc_window_coded *coded, uint64_t first, uint64_t count,
                                 struct hc_compare_sum *sum, struct hc_error *error)
{
    const struct decoding decoding = {frame, coder, coded->codes, coded->scales, coded->first_tile_row * HC_TILE};
    hc_status status = check_columns(piece->columns, error);
    if (status != HC_OK || count == 0)
        return status;
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first, count, error);
    uint64_t blocks = rows_at_once(&job, frame->columns) * frame->columns / HC_BLOCK;
    job.chunk = (blocks > 0 ? blocks : 1) * HC_BLOCK;
    job.submit = submit_compare;
    job.collect = collect_compare;
    job.window = &decoding;
    job.out = sum;
    HC_TRY(hc_cuda_device_enter(&job.staging->device, error));
    HC_TRY(upload_coder(&job, frame, coder));
    HC_TRY(hc_cuda_run(&job));
done:
    if (status != HC_OK)
        hc_cuda_settle(&job);
    return status;
}
