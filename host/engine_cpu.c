/* The engine of the CPU: the blocks of a stretch, spread over threads. */
#include "engine_cpu.h"
#include "window_frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The weights of one block as float32: in place where the file has them so, else converted into `buffer`. */
static const float *block_weights(const struct hc_kernels *kernels, const struct hc_piece *piece, uint64_t first,
                                  size_t n, float *buffer)
{
    const struct hc_tensor *tensor = piece->tensor;
    assert(first % HC_BLOCK == 0 && first + n <= piece->weights);
    if (tensor->type == HC_TYPE_F32 && !tensor->permuted_heads && (uintptr_t)tensor->data % sizeof(float) == 0)
        return (const float *)(const void *)tensor->data + piece->first + first;
    hc_tensor_read(tensor, kernels, piece->first + first, n, buffer);
    return buffer;
}

static int64_t block_count(uint64_t count)
{
    return (int64_t)((count + HC_BLOCK - 1) / HC_BLOCK);
}

static size_t block_size(uint64_t count, int64_t block)
{
    uint64_t rest = count - (uint64_t)block * HC_BLOCK;
    return rest < HC_BLOCK ? (size_t)rest : HC_BLOCK;
}

/* Threads for a stretch: few blocks do not pay for waking many. */
static int team(const struct hc_cpu_state *cpu, uint64_t count)
{
    int64_t useful = (block_count(count) + 3) / 4;
    return useful < cpu->threads ? (int)useful : cpu->threads;
}

static hc_status cpu_moments(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             struct hc_moments_sum *sum, struct hc_error *error)
{
    (void)error;
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
#pragma omp parallel num_threads(team(cpu, count))
    {
        struct hc_moments_sum mine = {0};
        float buffer[HC_BLOCK];
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < block_count(count); b++) {
            struct hc_pair_moments result;
            size_t n = block_size(count, b);
            const float *weights = block_weights(cpu->kernels, piece, first + (uint64_t)b * HC_BLOCK, n, buffer);
            cpu->kernels->pair_moments.block(weights, n, &result);
            mine.non_finite += result.non_finite;
            if (result.non_finite)
                continue; /* the sums mean nothing */
            hc_exact_add(&mine.sum[0], result.sum[0]);
            hc_exact_add(&mine.sum[1], result.sum[1]);
        }
#pragma omp critical
        {
            hc_exact_add_sum(&sum->sum[0], &mine.sum[0]);
            hc_exact_add_sum(&sum->sum[1], &mine.sum[1]);
            sum->non_finite += mine.non_finite;
        }
    }
    return HC_OK;
}

static hc_status cpu_extent(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                            const struct hc_pair_grid *grid, struct hc_extent_sum *sum, struct hc_error *error)
{
    (void)error;
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
    double farthest = sum->max_distance2;
    uint64_t outer = 0;
#pragma omp parallel for num_threads(team(cpu, count)) schedule(dynamic) reduction(max : farthest) reduction(+ : outer)
    for (int64_t b = 0; b < block_count(count); b++) {
        float buffer[HC_BLOCK];
        struct hc_pair_extent result;
        size_t n = block_size(count, b);
        const float *weights = block_weights(cpu->kernels, piece, first + (uint64_t)b * HC_BLOCK, n, buffer);
        cpu->kernels->pair_extent.block(weights, n, grid, &result);
        if (result.max_distance2 > farthest)
            farthest = result.max_distance2;
        outer += result.outer;
    }
    sum->max_distance2 = farthest;
    sum->outer += outer;
    return HC_OK;
}

static void add_search(struct hc_search_sum *sum, const struct hc_pair_search *result, int part)
{
    hc_exact_add(&sum->error[part], result->error[part]);
    if (result->max_code[part] > sum->max_code[part])
        sum->max_code[part] = result->max_code[part];
}

/* One block under every grid: class 0 is the same for all, so the others see the outer pairs only. */
static void try_block(const struct hc_kernels *kernels, const float *weights, size_t n,
                      const struct hc_pair_grid *grids, size_t grid_count, struct hc_search_sum *sums)
{
    struct hc_pair_search result;
    kernels->pair_search.block(weights, n, &grids[0], NULL, &result);
    add_search(&sums[0], &result, 0);
    add_search(&sums[0], &result, 1);
    if (grid_count == 1 || result.max_code[1] < 0)
        return;
    float outer[HC_BLOCK + 1];
    size_t outer_weights = kernels->pair_search.outer(weights, n, &grids[0], outer);
    for (size_t g = 1; g < grid_count; g++) {
        kernels->pair_search.block(outer, outer_weights, &grids[g], NULL, &result);
        add_search(&sums[g], &result, 1);
    }
}

static hc_status cpu_try(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                         const struct hc_pair_grid *grids, size_t grid_count, struct hc_search_sum *sums,
                         struct hc_error *error)
{
    (void)error;
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
#pragma omp parallel num_threads(team(cpu, count))
    {
        struct hc_search_sum mine[HC_PAIR_MAX_CLASSES];
        memset(mine, 0, sizeof mine);
        for (size_t g = 0; g < grid_count; g++)
            mine[g].max_code[0] = mine[g].max_code[1] = -1;
        float buffer[HC_BLOCK];
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < block_count(count); b++) {
            size_t n = block_size(count, b);
            const float *weights = block_weights(cpu->kernels, piece, first + (uint64_t)b * HC_BLOCK, n, buffer);
            try_block(cpu->kernels, weights, n, grids, grid_count, mine);
        }
#pragma omp critical
        for (size_t g = 0; g < grid_count; g++)
            for (int part = 0; part < 2; part++) {
                hc_exact_add_sum(&sums[g].error[part], &mine[g].error[part]);
                if (mine[g].max_code[part] > sums[g].max_code[part])
                    sums[g].max_code[part] = mine[g].max_code[part];
            }
    }
    return HC_OK;
}

/* Bytes of the codes of one full block. */
static size_t block_bytes(unsigned bits)
{
    return HC_BLOCK / 2 / 8 * (size_t)bits;
}

static hc_status cpu_encode(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                            const struct hc_pair_grid *grid, unsigned bits, uint8_t *out, struct hc_error *error)
{
    (void)error;
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
#pragma omp parallel for num_threads(team(cpu, count)) schedule(dynamic)
    for (int64_t b = 0; b < block_count(count); b++) {
        float buffer[HC_BLOCK];
        uint32_t codes[HC_BLOCK / 2];
        struct hc_pair_search result;
        size_t n = block_size(count, b);
        const float *weights = block_weights(cpu->kernels, piece, first + (uint64_t)b * HC_BLOCK, n, buffer);
        cpu->kernels->pair_search.block(weights, n, grid, codes, &result);
        cpu->kernels->bitpack.pack(codes, (n + 1) / 2, bits, out + (size_t)b * block_bytes(bits));
    }
    return HC_OK;
}

static hc_status check_codes(uint64_t bad, struct hc_error *error)
{
    return bad ? hc_fail(error, HC_ERR_CORRUPT, "%llu codes are not in the codebook", (unsigned long long)bad) : HC_OK;
}

static hc_status cpu_decode(struct hc_engine *engine, const uint8_t *in, uint64_t count, unsigned bits,
                            const float (*table)[2], uint32_t entries, hc_type type, void *out, struct hc_error *error)
{
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
    const size_t bytes = (size_t)HC_BLOCK * hc_type_block_bytes(type);
    uint64_t bad = 0;
#pragma omp parallel for num_threads(team(cpu, count)) schedule(dynamic) reduction(+ : bad)
    for (int64_t b = 0; b < block_count(count); b++) {
        size_t n = block_size(count, b);
        const uint8_t *codes = in + (size_t)b * block_bytes(bits);
        float whole[HC_BLOCK];
        void *to = (uint8_t *)out + (size_t)b * bytes;
        /* The second weight of the last pair may be padding, for which `out` has no room. */
        bool fits = type == HC_TYPE_F32 && n % 2 == 0;
        bad += cpu->kernels->pair_decode.block(codes, (n + 1) / 2, bits, table, entries, fits ? to : whole);
        if (!fits)
            hc_engine_round(cpu->kernels, whole, n, type, to);
    }
    return check_codes(bad, error);
}

static hc_status cpu_compare(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                             const uint8_t *in, unsigned bits, const float (*table)[2], uint32_t entries,
                             struct hc_compare_sum *sum, struct hc_error *error)
{
    const struct hc_cpu_state *cpu = hc_cpu_state_of(engine);
    uint64_t bad = 0;
#pragma omp parallel num_threads(team(cpu, count)) reduction(+ : bad)
    {
        struct hc_compare_sum mine = {0};
        float buffer[HC_BLOCK], decoded[HC_BLOCK];
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < block_count(count); b++) {
            struct hc_compare result;
            size_t n = block_size(count, b);
            const float *weights = block_weights(cpu->kernels, piece, first + (uint64_t)b * HC_BLOCK, n, buffer);
            bad += cpu->kernels->pair_decode.block(in + (size_t)b * block_bytes(bits), (n + 1) / 2, bits, table,
                                                   entries, decoded);
            cpu->kernels->compare.block(weights, decoded, n, &result);
            hc_compare_add_block(&mine, &result);
        }
#pragma omp critical
        hc_compare_add(sum, &mine);
    }
    return check_codes(bad, error);
}

static void compare_decoded(const struct hc_cpu_state *cpu, const struct hc_piece *piece, uint64_t first,
                            uint64_t count, const float *decoded, struct hc_compare_sum *sum)
{
#pragma omp parallel num_threads(team(cpu, count))
    {
        struct hc_compare_sum mine = {0};
        float buffer[HC_BLOCK];
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < block_count(count); b++) {
            struct hc_compare result;
            size_t n = block_size(count, b);
            const float *weights = block_weights(cpu->kernels, piece, first + (uint64_t)b * HC_BLOCK, n, buffer);
            cpu->kernels->compare.block(weights, decoded + (size_t)b * HC_BLOCK, n, &result);
            hc_compare_add_block(&mine, &result);
        }
#pragma omp critical
        hc_compare_add(sum, &mine);
    }
}

static hc_status cpu_window_compare(struct hc_engine *engine, const struct hc_piece *piece,
                                    const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                    const struct hc_window_coded *coded, uint64_t first, uint64_t count,
                                    struct hc_compare_sum *sum, struct hc_error *error)
{
    uint64_t columns = frame->columns, begin = first / columns, rows = (first + count + columns - 1) / columns - begin;
    float *decoded = malloc(rows * columns * sizeof *decoded);
    if (!decoded)
        return hc_no_memory(error);
    hc_status status = hc_cpu_window_decode(engine, frame, coder, coded->codes, coded->scales,
                                            begin - coded->first_tile_row * HC_TILE, rows, HC_TYPE_F32, decoded, error);
    if (status == HC_OK)
        compare_decoded(hc_cpu_state_of(engine), piece, first, count, decoded + (first - begin * columns), sum);
    free(decoded);
    return status;
}

/* Weights are read where they lie. */
static void cpu_hold(struct hc_engine *engine, const struct hc_piece *piece)
{
    (void)engine, (void)piece;
}

static void cpu_let_go(struct hc_engine *engine)
{
    (void)engine;
}

hc_status hc_cpu_room(struct hc_engine *engine, uint64_t bytes, uint8_t **room, struct hc_error *error)
{
    struct hc_cpu_state *cpu = engine->state;
    if (bytes > cpu->room_bytes) {
        free(cpu->room);
        cpu->room_bytes = 0;
        cpu->room = bytes <= SIZE_MAX - 63 ? aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64) : NULL;
        if (!cpu->room)
            return hc_no_memory(error);
        cpu->room_bytes = (size_t)bytes;
    }
    *room = cpu->room;
    return HC_OK;
}

static void cpu_destroy(struct hc_engine *engine)
{
    free(((struct hc_cpu_state *)engine->state)->room);
    free(engine->state);
    *engine = (struct hc_engine){0};
}

static const struct hc_engine_table cpu_table = {
    .name = "cpu",
    .destroy = cpu_destroy,
    .hold = cpu_hold,
    .let_go = cpu_let_go,
    .pair_moments = cpu_moments,
    .pair_extent = cpu_extent,
    .pair_try = cpu_try,
    .pair_encode = cpu_encode,
    .pair_decode = cpu_decode,
    .pair_compare = cpu_compare,
    .window_largest = hc_cpu_window_largest,
    .window_squares = hc_cpu_window_squares,
    .window_encode = hc_cpu_window_encode,
    .window_factors = hc_cpu_window_factors,
    .window_search = hc_cpu_window_search,
    .window_fit = hc_cpu_window_fit,
    .window_decode = hc_cpu_window_decode,
    .window_compare = cpu_window_compare,
};

hc_status hc_engine_cpu(struct hc_engine *engine, const struct hc_kernels *kernels, int threads, struct hc_error *error)
{
    struct hc_cpu_state *state = malloc(sizeof *state);
    if (!state)
        return hc_no_memory(error);
    *state = (struct hc_cpu_state){.kernels = kernels, .threads = threads};
    *engine = (struct hc_engine){.table = &cpu_table, .kernels = kernels, .state = state};
    return HC_OK;
}
