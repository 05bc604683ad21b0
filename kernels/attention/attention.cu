#include "attention/attention_cuda.h"

#include "attention/attention_each.cuh"
#include "attention/attention_tile.cuh"

enum { BLOCKS = 256 }; /* to aim at: a few for every multiprocessor, all of them at once */

/* ---- The cache --------------------------------------------------------------------------------- */

/* By one warp, as attention.h's `store`. */
static __device__ inline void store_i8(const float *x, uint32_t width, int8_t *to, float *scale)
{
    uint32_t most = 0;
    for (uint32_t d = threadIdx.x % HC_LANES; d < width; d += HC_LANES)
        most = max(most, __float_as_uint(fabsf(x[d])));
    float largest = __uint_as_float(__reduce_max_sync(HC_WARP_ALL, most)); /* NaN's bits are above all others */
    float own = largest <= FLT_MAX ? largest / HC_ATTENTION_I8 : NAN;
    for (uint32_t d = threadIdx.x % HC_LANES; d < width; d += HC_LANES) {
        float value = own > 0.0f ? x[d] / own : 0.0f;
        to[d] = (int8_t)__float2int_rn(fminf(fmaxf(value, -HC_ATTENTION_I8), HC_ATTENTION_I8));
    }
    if (threadIdx.x % HC_LANES == 0)
        *scale = own;
}

/* Grid: x over the heads of all positions, one warp each, 4 in a block; y: keys, values; no shared memory. A lane owns
 * every 32nd number of its head. Any width. */
static __global__ void __launch_bounds__(THREADS)
    store(struct hc_attention_cuda attention, const float *keys, const float *values)
{
    uint32_t row = blockIdx.x * WARPS + threadIdx.x / HC_LANES, head = row % attention.key_value_heads;
    uint32_t i = row / attention.key_value_heads, width = attention.width, t = *attention.first + i;
    const float *x = (blockIdx.y ? values : keys) + (size_t)row * width;
    void *cache = blockIdx.y ? attention.values : attention.keys;
    size_t at = cache_place(&attention, head, t);

    if (i >= attention.count)
        return;
    if (attention.type == HC_TYPE_I8) {
        float *scales = blockIdx.y ? attention.value_scales : attention.key_scales;
        store_i8(x, width, (int8_t *)cache + at, &scales[(size_t)head * attention.context + t]);
        return;
    }
    for (uint32_t d = threadIdx.x % HC_LANES; d < width; d += HC_LANES)
        if (attention.type == HC_TYPE_F32)
            ((float *)cache)[at + d] = x[d];
        else
            ((__half *)cache)[at + d] = __float2half_rn(x[d]);
}

/* ---- All stretches ----------------------------------------------------------------------------- */

/* Grid: x = heads, y = positions, up to 65535; 128 threads; 512 bytes of shared memory. A thread owns a stretch first,
 * then every 128th number of the head: what stretches left lies in the cache, and is little. Any width. */
static __global__ void __launch_bounds__(THREADS)
    put_together(struct hc_attention_cuda attention, struct cut cut, float *out)
{
    __shared__ float factors[MOST_STRETCHES];
    uint32_t row = blockIdx.y * cut.group + blockIdx.x % cut.group, width = attention.width;
    struct stretch all = tile_stretch(&attention, &cut, row / cut.rows);
    uint32_t length = stretch_length(all, &cut), count = (all.to - all.from + length - 1) / length;
    size_t step = (size_t)attention.count * attention.heads;
    size_t place = (size_t)blockIdx.y * attention.heads + blockIdx.x;
    float largest = -FLT_MAX, sum = 0.0f;

    for (uint32_t s = 0; s < count; s++)
        largest = fmaxf(largest, cut.ends[place + s * step].x);
    if (threadIdx.x < count)
        factors[threadIdx.x] = hc_exp_cuda(cut.ends[place + threadIdx.x * step].x - largest);
    __syncthreads();
    for (uint32_t s = 0; s < count; s++)
        sum = fmaf(factors[s], cut.ends[place + s * step].y, sum);
    for (uint32_t d = threadIdx.x; d < width; d += THREADS) {
        float total = 0.0f;
        for (uint32_t s = 0; s < count; s++)
            total = fmaf(factors[s], cut.sums[(place + s * step) * width + d], total);
        out[place * width + d] = total * (1.0f / sum);
    }
}

/* ---- Launchers --------------------------------------------------------------------------------- */

/* What attend_tile is made for. */
static bool fits_tiles(uint32_t width)
{
    return width % MMA_DEPTH == 0 && width <= TILE_WIDTH;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Stretches of so many blocks each. */
static uint32_t stretches_of(const struct hc_attention_cuda *attention, uint32_t blocks)
{
    uint32_t most = least(MOST_STRETCHES, (attention->most + LEAST_STRETCH - 1) / LEAST_STRETCH);
    return blocks >= BLOCKS ? 1 : least(BLOCKS / blocks, most);
}

static size_t ends_bytes(size_t places)
{
    return (places * sizeof(float2) + 255) / 256 * 256;
}

static struct cut cut_up(const struct hc_attention_cuda *attention, bool tiles, void *workspace)
{
    struct cut cut;
    cut.group = attention->heads / attention->key_value_heads;
    cut.rows = tiles ? (uint32_t)TILE_ROWS : cut.group;
    cut.tiles = (attention->count * cut.group + cut.rows - 1) / cut.rows;
    cut.stretches = stretches_of(attention, cut.tiles * attention->key_value_heads);
    size_t places = (size_t)cut.stretches * attention->count * attention->heads;
    cut.ends = (float2 *)workspace;
    cut.sums = (float *)((char *)workspace + ends_bytes(places));
    return cut;
}

template <hc_type TYPE>
static void launch_tile(const struct hc_attention_cuda *attention, const struct cut *cut, const float *queries,
                        cudaStream_t stream)
{
    dim3 shape(cut->tiles, attention->key_value_heads, cut->stretches);
    if (attention->width <= 128)
        attend_tile<TYPE, 128><<<shape, THREADS, 0, stream>>>(*attention, *cut, queries);
    else
        attend_tile<TYPE, TILE_WIDTH><<<shape, THREADS, 0, stream>>>(*attention, *cut, queries);
}

template <hc_type TYPE, int PAIRS>
static void launch_each(const struct hc_attention_cuda *attention, const struct cut *cut, const float *queries,
                        cudaStream_t stream)
{
    uint32_t parts = (cut->group + EACH_OF(PAIRS) - 1) / EACH_OF(PAIRS);
    dim3 shape(cut->stretches, attention->key_value_heads * parts, attention->count);
    attend_each<TYPE, PAIRS><<<shape, THREADS, 0, stream>>>(*attention, *cut, queries);
}

template <hc_type TYPE>
static void launch_each_width(const struct hc_attention_cuda *attention, const struct cut *cut, const float *queries,
                              cudaStream_t stream)
{
    if (attention->width <= 128)
        launch_each<TYPE, 2>(attention, cut, queries, stream);
    else
        launch_each<TYPE, 8>(attention, cut, queries, stream);
}

cudaError_t hc_attention_store_cuda(const struct hc_attention_cuda *attention, const float *keys, const float *values,
                                    cudaStream_t stream)
{
    uint32_t rows = attention->count * attention->key_value_heads;
    dim3 shape((rows + WARPS - 1) / WARPS, 2);
    store<<<shape, THREADS, 0, stream>>>(*attention, keys, values);
    return cudaGetLastError();
}

/* No count up to this one needs more: blocks in all are at most BLOCKS, or else there is one stretch. */
size_t hc_attention_cuda_workspace(const struct hc_attention_cuda *attention)
{
    size_t rows = (size_t)attention->count * attention->heads, group = attention->heads / attention->key_value_heads;
    size_t block_rows = fits_tiles(attention->width) && group < TILE_ROWS ? (size_t)TILE_ROWS : group;
    size_t places = rows * stretches_of(attention, 1);
    if (places > BLOCKS * block_rows)
        places = BLOCKS * block_rows > rows ? BLOCKS * block_rows : rows;
    return ends_bytes(places) + places * attention->width * sizeof(float);
}

cudaError_t hc_attention_cuda(const struct hc_attention_cuda *attention, const float *queries, void *workspace,
                              float *out, cudaStream_t stream)
{
    bool tiles = attention->type != HC_TYPE_F32 && fits_tiles(attention->width) &&
                 attention->count * (attention->heads / attention->key_value_heads) >= 2 * MMA_ROWS;
    struct cut cut = cut_up(attention, tiles, workspace);
    dim3 heads(attention->heads, attention->count);
    if (tiles && attention->type == HC_TYPE_F16)
        launch_tile<HC_TYPE_F16>(attention, &cut, queries, stream);
    else if (tiles)
        launch_tile<HC_TYPE_I8>(attention, &cut, queries, stream);
    else if (attention->type == HC_TYPE_F16)
        launch_each_width<HC_TYPE_F16>(attention, &cut, queries, stream);
    else if (attention->type == HC_TYPE_I8)
        launch_each_width<HC_TYPE_I8>(attention, &cut, queries, stream);
    else
        launch_each_width<HC_TYPE_F32>(attention, &cut, queries, stream);
    put_together<<<heads, THREADS, 0, stream>>>(*attention, cut, out);
    return cudaGetLastError();
}
