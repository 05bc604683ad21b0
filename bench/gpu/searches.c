/* Encoding: the paths of `window`, and the nearest points of `pair`. */
#include "bench_cuda.h"

#include "../weights.h"
#include "pair_grid.h"
#include "pair_search/pair_search_cuda.h"
#include "window_encode/window_encode.h"
#include "window_encode/window_encode_cuda.h"

/* ---- window --------------------------------------------------------------------------------------------------- */

enum { TILES_A_SLOT = 8 };

struct encoding {
    struct hc_window_trellis_cuda trellis;
    unsigned slots;
    size_t tiles;
    const int16_t *weights;
    void *workspace;
    uint8_t *codes;
};

static cudaError_t run_encoding(const void *state, size_t set, cudaStream_t stream)
{
    const struct encoding *e = state;
    (void)set; /* computing takes longer than reading: there is one */
    return hc_window_encode_cuda(&e->trellis, e->weights, NULL, e->tiles, e->slots, e->workspace, e->codes, stream);
}

/* The codebook, and what is made of it, on the device. Returns the codebook's scale. */
static float put_trellis(struct gpu *gpu, const struct hc_window_code *code, struct encoding *e)
{
    size_t bytes = hc_window_encode_cuda_layout_bytes(code->k, code->length);
    uint16_t *table = malloc(sizeof *table << code->length);
    int16_t *codebook = malloc(sizeof *codebook << code->length);
    void *layout = malloc(bytes);
    float scale = 0;
    if (table && codebook && layout) {
        hc_window_table(code, table);
        scale = hc_window_codebook(code, table, codebook);
        hc_window_encode_cuda_prepare(&(struct hc_window_trellis){.k = code->k,
                                                                  .length = code->length,
                                                                  .multiplier = code->multiplier,
                                                                  .codebook = codebook,
                                                                  .layout = layout});
        e->trellis = (struct hc_window_trellis_cuda){.k = code->k,
                                                     .length = code->length,
                                                     .multiplier = code->multiplier,
                                                     .layout = gpu_put(gpu, layout, bytes)};
    } else {
        gpu_check(gpu, cudaErrorMemoryAllocation, "host memory");
    }
    free(table);
    free(codebook);
    free(layout);
    return scale;
}

/* Normal weights of unit deviation, in the codebook's scale. */
static void put_weights(struct gpu *gpu, float scale, struct encoding *e)
{
    size_t count = e->tiles * HC_TILE_WEIGHTS;
    float *normal = malloc(TABLE_SIZE * sizeof *normal);
    int16_t *weights = malloc(count * sizeof *weights);
    if (normal && weights) {
        make_normal_table(normal);
        for (size_t i = 0; i < count; i++) {
            float w = normal[scatter((uint64_t)i * 0x9e3779b97f4a7c15u) >> 48] * scale;
            weights[i] = (int16_t)(w < -32767 ? -32767 : w > 32767 ? 32767 : w);
        }
        e->weights = gpu_put(gpu, weights, count * sizeof *weights);
    } else {
        gpu_check(gpu, cudaErrorMemoryAllocation, "host memory");
    }
    free(normal);
    free(weights);
}

static void encode_shape(struct gpu *gpu, const struct shape *shape)
{
    struct encoding e = {.slots = 1};
    struct gpu_row row = {.operation = "window_encode", .shape = "tiles", .k = shape->k, .length = shape->length};
    float scale = put_trellis(gpu, hc_window_code_find(shape->k, shape->length), &e);
    if (!gpu->emulated)
        gpu_check(gpu, hc_window_encode_cuda_slots(shape->k, shape->length, &e.slots), "hc_window_encode_cuda_slots");
    e.tiles = gpu->emulated ? 1 : (size_t)e.slots * TILES_A_SLOT;
    put_weights(gpu, scale, &e);
    size_t codes = e.tiles * HC_TILE_WEIGHTS / 8 * shape->k;
    e.workspace = gpu_buffer(gpu, hc_window_encode_cuda_workspace(shape->k, shape->length, e.tiles, e.slots));
    e.codes = gpu_zeros(gpu, codes);
    row.seconds = gpu_time(gpu, run_encoding, &e, 1);
    row.weights = (double)(e.tiles * HC_TILE_WEIGHTS);
    row.bytes = row.weights * sizeof(int16_t) + (double)codes;
    gpu_expect_bytes(gpu, e.codes, codes, "window_encode");
    gpu_print(gpu, &row);
    gpu_release(gpu);
}

void bench_encoding(struct gpu *gpu)
{
    for (size_t i = 0; i < gpu->shape_count; i++)
        encode_shape(gpu, &gpu->shapes[i]);
}

/* ---- pair ----------------------------------------------------------------------------------------------------- */

struct search {
    const float *weights;
    const struct hc_pair_grid *grid;
    size_t n, blocks; /* of a set */
    uint32_t *codes;
    struct hc_pair_search *results;
};

static cudaError_t run_search(const void *state, size_t set, cudaStream_t stream)
{
    const struct search *s = state;
    return hc_pair_search_cuda(s->weights + set * s->n, s->n, NULL, s->grid, 1, s->codes, s->results, stream);
}

/* Normal weights of deviation 0.02, in blocks that repeat. */
static const float *put_normal(struct gpu *gpu, size_t n)
{
    float *normal = malloc(TABLE_SIZE * sizeof *normal), *weights = malloc(n * sizeof *weights);
    const float *device = NULL;
    if (normal && weights) {
        make_normal_table(normal);
        for (size_t i = 0; i < n; i++)
            weights[i] = 0.02f * normal[scatter((uint64_t)i * 0x9e3779b97f4a7c15u) >> 48];
        device = gpu_put(gpu, weights, n * sizeof *weights);
    } else {
        gpu_check(gpu, cudaErrorMemoryAllocation, "host memory");
    }
    free(normal);
    free(weights);
    return device;
}

/* A square of five deviations, beyond which are classes, and 2000 points: much as published. */
void bench_pair_search(struct gpu *gpu)
{
    static const double centre[2] = {0, 0};
    struct hc_pair_grid grid;
    struct search s = {.n = gpu->emulated ? HC_BLOCK / 4 + 1 : 1 << 24};
    struct gpu_row row = {.operation = "pair_search", .shape = "float32"};
    if (hc_pair_grid_init(&grid, centre, 0.1, 2000, 2, 0.15, 0, &gpu->error) != HC_OK)
        gpu->failed = true;
    size_t sets = gpu_sets(gpu, s.n * sizeof *s.weights);
    s.n += s.n % 2; /* sets begin on 8 bytes */
    s.blocks = (s.n + HC_BLOCK - 1) / HC_BLOCK;
    s.grid = gpu_put(gpu, &grid, sizeof grid);
    s.weights = put_normal(gpu, sets * s.n);
    s.codes = gpu_zeros(gpu, s.n / 2 * sizeof *s.codes);
    s.results = gpu_zeros(gpu, s.blocks * sizeof *s.results);
    row.seconds = gpu_time(gpu, run_search, &s, sets);
    row.weights = (double)s.n;
    row.bytes = row.weights * (sizeof(float) + sizeof(uint32_t) / 2.0);
    gpu_expect_bytes(gpu, s.codes, s.n / 2 * sizeof *s.codes, "pair_search");
    gpu_expect_bytes(gpu, s.results, s.blocks * sizeof *s.results, "pair_search");
    gpu_print(gpu, &row);
    gpu_release(gpu);
}
