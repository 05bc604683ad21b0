#include "engine_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "bitpack/bitpack_cuda.h"
#include "compare/compare_cuda.h"
#include "engine_cuda_window.h"
#include "job.h"
#include "pair_decode/pair_decode_cuda.h"
#include "pair_extent/pair_extent_cuda.h"
#include "pair_moments/pair_moments_cuda.h"
#include "pair_search/pair_search_cuda.h"

static size_t pairs_of(const struct hc_cuda_slot *slot)
{
    return (size_t)(slot->count + 1) / 2;
}

/* A chunk's codes begin at a whole byte of the stretch's: it holds a multiple of 8 pairs. */
static size_t packed_bytes(const struct hc_cuda_slot *slot, unsigned bits)
{
    return (pairs_of(slot) * bits + 7) / 8;
}

static size_t packed_offset(const struct hc_cuda_slot *slot, unsigned bits)
{
    return (size_t)(slot->first / 2 * bits / 8);
}

/* Brings the slot's codes, decoded, to HC_CUDA_DECODED, and the number of faults among them to slot->faults. */
static hc_status load_decoded(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    struct hc_cuda_staging *staging = job->staging;
    size_t bytes = packed_bytes(slot, job->bits);
    hc_status status;

    memcpy(slot->packed, job->codes + packed_offset(slot, job->bits), bytes);
    HC_TRY(hc_cuda_upload(staging, HC_CUDA_PACKED, slot->packed, bytes, job->error));
    HC_TRY(hc_cuda_check(
        &staging->device,
        cudaMemsetAsync(hc_cuda_region_of(job, HC_CUDA_FAULTS), 0, sizeof(uint32_t), staging->device.stream),
        "cudaMemsetAsync", job->error));
    HC_TRY(hc_cuda_launched(job,
                            hc_pair_decode_cuda(hc_cuda_region_of(job, HC_CUDA_PACKED), pairs_of(slot), job->bits,
                                                hc_cuda_region_of(job, HC_CUDA_TABLE), job->entries,
                                                hc_cuda_region_of(job, HC_CUDA_DECODED),
                                                hc_cuda_region_of(job, HC_CUDA_FAULTS), staging->device.stream),
                            "pair_decode"));
    HC_TRY(hc_cuda_download(staging, HC_CUDA_FAULTS, slot->faults, sizeof(uint32_t), job->error));
done:
    return status;
}

static hc_status collect_moments(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct hc_pair_moments *results = (const void *)slot->results;
    struct hc_moments_sum *sum = job->out;

    for (size_t b = 0; b < hc_cuda_blocks_of(slot); b++) {
        sum->non_finite += results[b].non_finite;
        if (results[b].non_finite != 0)
            continue; /* its sums mean nothing, and an exact sum takes finite terms only */
        hc_exact_add(&sum->sum[0], results[b].sum[0]);
        hc_exact_add(&sum->sum[1], results[b].sum[1]);
    }
    return HC_OK;
}

static hc_status submit_moments(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    hc_status status;
    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(hc_cuda_launched(job,
                            hc_pair_moments_cuda(slot->on_device, slot->count, hc_cuda_region_of(job, HC_CUDA_RESULTS),
                                                 job->staging->device.stream),
                            "pair_moments"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_RESULTS, slot->results,
                            hc_cuda_blocks_of(slot) * sizeof(struct hc_pair_moments), job->error));
done:
    return status;
}

static hc_status collect_extent(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct hc_pair_extent *results = (const void *)slot->results;
    struct hc_extent_sum *sum = job->out;

    for (size_t b = 0; b < hc_cuda_blocks_of(slot); b++) {
        sum->outer += results[b].outer;
        if (results[b].max_distance2 > sum->max_distance2)
            sum->max_distance2 = results[b].max_distance2;
    }
    return HC_OK;
}

static hc_status submit_extent(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    hc_status status;
    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(hc_cuda_launched(job,
                            hc_pair_extent_cuda(slot->on_device, slot->count, hc_cuda_region_of(job, HC_CUDA_GRID),
                                                hc_cuda_region_of(job, HC_CUDA_RESULTS), job->staging->device.stream),
                            "pair_extent"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_RESULTS, slot->results,
                            hc_cuda_blocks_of(slot) * sizeof(struct hc_pair_extent), job->error));
done:
    return status;
}

static void add_search(struct hc_search_sum *sum, const struct hc_pair_search *result, int part)
{
    hc_exact_add(&sum->error[part], result->error[part]);
    if (result->max_code[part] > sum->max_code[part])
        sum->max_code[part] = result->max_code[part];
}

static hc_status collect_try(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct hc_pair_search *results = (const void *)slot->results;
    struct hc_search_sum *sums = job->out;
    size_t blocks = hc_cuda_blocks_of(slot);

    for (size_t b = 0; b < blocks; b++) {
        add_search(&sums[0], &results[b], 0);
        for (size_t g = 0; g < job->grids; g++)
            add_search(&sums[g], &results[g * blocks + b], 1);
    }
    return HC_OK;
}

/* The first grid sees all pairs, the others those that the first leaves outside. */
static hc_status submit_try(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    cudaStream_t stream = job->staging->device.stream;
    size_t n = (size_t)slot->count, blocks = hc_cuda_blocks_of(slot);
    const struct hc_pair_grid *grids = hc_cuda_region_of(job, HC_CUDA_GRID);
    struct hc_pair_search *results = hc_cuda_region_of(job, HC_CUDA_RESULTS);
    const float *weights = slot->on_device;
    float *outer = hc_cuda_region_of(job, HC_CUDA_DECODED);
    uint32_t *counts = hc_cuda_region_of(job, HC_CUDA_COUNTS);
    hc_status status;

    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(
        hc_cuda_launched(job, hc_pair_search_cuda(weights, n, NULL, grids, 1, NULL, results, stream), "pair_search"));
    if (job->grids > 1) {
        HC_TRY(hc_cuda_launched(job, hc_pair_outer_cuda(weights, n, grids, outer, counts, stream), "pair_outer"));
        HC_TRY(hc_cuda_launched(
            job, hc_pair_search_cuda(outer, n, counts, grids + 1, job->grids - 1, NULL, results + blocks, stream),
            "pair_search"));
    }
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_RESULTS, slot->results, job->grids * blocks * sizeof *results,
                            job->error));
done:
    return status;
}

static hc_status collect_encode(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    memcpy((uint8_t *)job->out + packed_offset(slot, job->bits), slot->packed, packed_bytes(slot, job->bits));
    return HC_OK;
}

static hc_status submit_encode(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    cudaStream_t stream = job->staging->device.stream;
    uint32_t *codes = hc_cuda_region_of(job, HC_CUDA_CODES);
    hc_status status;

    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(
        hc_cuda_launched(job,
                         hc_pair_search_cuda(slot->on_device, slot->count, NULL, hc_cuda_region_of(job, HC_CUDA_GRID),
                                             1, codes, hc_cuda_region_of(job, HC_CUDA_RESULTS), stream),
                         "pair_search"));
    HC_TRY(hc_cuda_launched(
        job, hc_bitpack_cuda(codes, pairs_of(slot), job->bits, hc_cuda_region_of(job, HC_CUDA_PACKED), stream),
        "bitpack"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_PACKED, slot->packed, packed_bytes(slot, job->bits), job->error));
done:
    return status;
}

static hc_status collect_decode(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    job->faults += *slot->faults;
    hc_cuda_take_decoded(job, slot);
    return HC_OK;
}

static hc_status submit_decode(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    hc_status status = load_decoded(job, slot);
    return status == HC_OK ? hc_cuda_fetch_decoded(job, slot) : status;
}

static hc_status collect_compare(struct hc_cuda_job *job, const struct hc_cuda_slot *slot)
{
    const struct hc_compare *results = (const void *)slot->results;
    struct hc_compare_sum *sum = job->out;

    job->faults += *slot->faults;
    for (size_t b = 0; b < hc_cuda_blocks_of(slot); b++)
        hc_compare_add_block(sum, &results[b]);
    return HC_OK;
}

static hc_status submit_compare(struct hc_cuda_job *job, struct hc_cuda_slot *slot)
{
    hc_status status;
    HC_TRY(hc_cuda_load_weights(job, slot));
    HC_TRY(load_decoded(job, slot));
    HC_TRY(hc_cuda_launched(job,
                            hc_compare_cuda(slot->on_device, hc_cuda_region_of(job, HC_CUDA_DECODED), slot->count,
                                            hc_cuda_region_of(job, HC_CUDA_RESULTS), job->staging->device.stream),
                            "compare"));
    HC_TRY(hc_cuda_download(job->staging, HC_CUDA_RESULTS, slot->results,
                            hc_cuda_blocks_of(slot) * sizeof(struct hc_compare), job->error));
done:
    return status;
}

/* ---- The table ---------------------------------------------------------------------------- */

/* Grids reach the device before the first chunk. */
static hc_status run_with_grids(struct hc_cuda_job *job, const struct hc_pair_grid *grids, size_t count)
{
    hc_status status = HC_OK;
    if (job->count == 0)
        goto done; /* and nothing queued that would read the caller's grids later */
    job->grids = count;
    HC_TRY(hc_cuda_device_enter(&job->staging->device, job->error));
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_GRID, grids, count * sizeof *grids, job->error));
    HC_TRY(hc_cuda_run(job));
done:
    return status;
}

/* So does the table of decoded values. All faults are counted before they are reported. */
static hc_status run_with_table(struct hc_cuda_job *job, const uint8_t *codes, unsigned bits, const float (*table)[2],
                                uint32_t entries)
{
    hc_status status = HC_OK;
    if (job->count == 0)
        goto done;
    if (bits < 1 || bits > HC_CUDA_CODE_BITS || entries > 1u << HC_CUDA_CODE_BITS)
        return hc_fail(job->error, HC_ERR_ARGUMENT, "codes of %u bits and a table of %u are more than cuda decodes",
                       bits, (unsigned)entries);
    job->codes = codes;
    job->bits = bits;
    job->entries = entries;
    HC_TRY(hc_cuda_device_enter(&job->staging->device, job->error));
    HC_TRY(hc_cuda_upload(job->staging, HC_CUDA_TABLE, table, entries * sizeof *table, job->error));
    HC_TRY(hc_cuda_run(job));
    if (job->faults > 0)
        status =
            hc_fail(job->error, HC_ERR_CORRUPT, "%llu codes are not in the codebook", (unsigned long long)job->faults);
done:
    return status;
}

static hc_status cuda_moments(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                              struct hc_moments_sum *sum, struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first, count, error);
    job.submit = submit_moments;
    job.collect = collect_moments;
    job.out = sum;
    hc_status status = hc_cuda_device_enter(&job.staging->device, error);
    return status == HC_OK ? hc_cuda_run(&job) : status;
}

static hc_status cuda_extent(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const struct hc_pair_grid *grid, struct hc_extent_sum *sum, struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first, count, error);
    job.submit = submit_extent;
    job.collect = collect_extent;
    job.out = sum;
    return run_with_grids(&job, grid, 1);
}

static hc_status cuda_try(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                          const struct hc_pair_grid *grids, size_t grid_count, struct hc_search_sum *sums,
                          struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first, count, error);
    if (grid_count < 1 || grid_count > HC_CUDA_GRIDS)
        return hc_fail(error, HC_ERR_ARGUMENT, "cuda tries 1 to %d grids at once, not %zu", HC_CUDA_GRIDS, grid_count);
    job.submit = submit_try;
    job.collect = collect_try;
    job.out = sums;
    return run_with_grids(&job, grids, grid_count);
}

static hc_status cuda_encode(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const struct hc_pair_grid *grid, unsigned bits, uint8_t *out, struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first, count, error);
    if (bits < 1 || bits > HC_CUDA_CODE_BITS)
        return hc_fail(error, HC_ERR_ARGUMENT, "codes of %u bits are more than cuda packs", bits);
    job.submit = submit_encode;
    job.collect = collect_encode;
    job.bits = bits;
    job.out = out;
    return run_with_grids(&job, grid, 1);
}

static hc_status cuda_decode(struct hc_engine *engine, const uint8_t *in, uint64_t count, unsigned bits,
                             const float (*table)[2], uint32_t entries, hc_type type, void *out, struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, NULL, 0, count, error);
    job.submit = submit_decode;
    job.collect = collect_decode;
    job.type = type;
    job.out = out;
    return run_with_table(&job, in, bits, table, entries);
}

static hc_status cuda_compare(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                              const uint8_t *in, unsigned bits, const float (*table)[2], uint32_t entries,
                              struct hc_compare_sum *sum, struct hc_error *error)
{
    struct hc_cuda_job job = hc_cuda_job_of(engine, piece, first, count, error);
    job.submit = submit_compare;
    job.collect = collect_compare;
    job.out = sum;
    return run_with_table(&job, in, bits, table, entries);
}

static void cuda_hold(struct hc_engine *engine, const struct hc_piece *piece)
{
    hc_cuda_hold(engine->state, piece);
}

static void cuda_let_go(struct hc_engine *engine)
{
    hc_cuda_let_go(engine->state);
}

static void cuda_destroy(struct hc_engine *engine)
{
    hc_cuda_staging_close(engine->state);
    free(engine->state);
    *engine = (struct hc_engine){0};
}

static const struct hc_engine_table cuda_table = {
    .name = "cuda",
    .destroy = cuda_destroy,
    .hold = cuda_hold,
    .let_go = cuda_let_go,
    .pair_moments = cuda_moments,
    .pair_extent = cuda_extent,
    .pair_try = cuda_try,
    .pair_encode = cuda_encode,
    .pair_decode = cuda_decode,
    .pair_compare = cuda_compare,
    .window_largest = hc_cuda_window_largest,
    .window_squares = hc_cuda_window_squares,
    .window_encode = hc_cuda_window_encode,
    .window_factors = hc_cuda_window_factors,
    .window_search = hc_cuda_window_search,
    .window_fit = hc_cuda_window_fit,
    .window_decode = hc_cuda_window_decode,
    .window_compare = hc_cuda_window_compare,
};

hc_status hc_engine_cuda(struct hc_engine *engine, const struct hc_kernels *kernels, int threads, const char *spec,
                         struct hc_error *error)
{
    (void)threads;
    struct hc_cuda_staging *staging = malloc(sizeof *staging);
    if (!staging)
        return hc_no_memory(error);
    hc_status status = hc_cuda_staging_open(staging, spec, error);
    if (status != HC_OK) {
        free(staging);
        return status;
    }
    *engine = (struct hc_engine){.table = &cuda_table, .kernels = kernels, .state = staging};
    return HC_OK;
}
