#include "pair_search/pair_search_cuda.h"

#include "common/lanes.cuh"

enum { THREADS = 256, BLOCK_PAIRS = HC_BLOCK / 2 };

struct place {
    double u, v; /* grid units */
};

struct nearest {
    double a, b, d2;
    uint32_t index;
};

/* Row q: the only point of it that can be nearest. Clamped as a double, which any place survives. */
static __device__ inline void take_row(const struct hc_pair_grid *grid, struct place p, int q, struct nearest *best)
{
    double along = p.u - q * grid->inv_m;
    double last = (double)grid->r_max - ((uint32_t)q > grid->last_row ? 1.0 : 0.0);
    double r = fmin(fmax(ceil(along - 0.5), 0.0), last);
    double a = along - r, b = p.v - q, d2 = a * a + b * b;
    uint32_t index = (uint32_t)r * grid->m + (uint32_t)q + 1;
    if (d2 < best->d2 || (d2 == best->d2 && index < best->index))
        *best = {a, b, d2, index};
}

static __device__ inline struct nearest search(const struct hc_pair_grid *grid, struct place p)
{
    int rows = (int)grid->m;
    /* The clamp keeps the conversion defined and changes nothing: from beyond it no row is in reach either. */
    int below = (int)fmin(fmax(floor(p.v), -16.0), rows + 16.0);
    struct nearest best = {0.0, 0.0, INFINITY, 0};

    take_row(grid, p, min(max(below, 0), rows - 1), &best);
    take_row(grid, p, min(max(below + 1, 0), rows - 1), &best);
    if (!(best.d2 < 1.0))
        for (int q = max(below - 4, 0); q <= min(below + 5, rows - 1); q++)
            take_row(grid, p, q, &best);
    double a = p.u - grid->mid, b = p.v - grid->mid, d2 = a * a + b * b;
    if (d2 <= best.d2)
        best = {a, b, d2, 0};
    return best;
}

static __device__ inline uint32_t class_of(const struct hc_pair_grid *grid, double dx, double dy)
{
    if (grid->classes == 0 || !hc_pair_outside(dx, dy, grid->half))
        return 0;
    double distance2 = dx * dx + dy * dy;
    uint32_t k = 1;
    while (k < grid->classes && !(distance2 <= grid->limit2[k]))
        k++;
    return k;
}

/* The code of one pair, and its error: negative (or -0.0) for a pair of class 1 or above. */
static __device__ inline uint32_t code_of(const struct hc_pair_grid *grid, float2 pair, bool padded, double *error)
{
    double dx = pair.x - grid->centre[0], dy = pair.y - grid->centre[1];
    uint32_t k = class_of(grid, dx, dy);
    struct place p = {dx * grid->scale[k] + grid->mid, dy * grid->scale[k] + grid->mid};
    struct nearest best = search(grid, p);
    double distance = padded ? fabs(best.a) : fabs(best.a) + fabs(best.b);

    *error = distance * grid->unit[k];
    if (k > 0)
        *error = -*error;
    return best.index + (grid->points + 1) * k;
}

/* The lane sums of one warp over the errors of a block that have the given sign. Those of the other sign come as zeros,
 * which change no sum. */
static __device__ inline double sum_errors(const double *errors, uint32_t pairs, uint32_t lane, double sign)
{
    double sum = 0.0;
#pragma unroll 8
    for (uint32_t i = lane; i < pairs; i += HC_LANES)
        sum += fmax(errors[i] * sign, 0.0);
    return hc_lanes_sum(sum);
}

/* Grid: x = blocks of weights, y = grids; 256 threads; 33 KB of shared memory: the errors of all 4096 pairs, and the
 * grid, whose classes neighbours look up at different places. A thread owns 16 pairs, 256 apart. Any n.
 *
 * The search is what costs (some 60 double operations per pair), so it is spread over all threads; the sums have to
 * follow the lanes, so two warps make them afterwards, one per kind of pair, 128 additions deep. GPUs for games have
 * one double unit where others have 32: there the search, not the bus, sets the pace. */
static __global__ void __launch_bounds__(THREADS)
    pair_search(const float *all, size_t n_all, const uint32_t *counts, const struct hc_pair_grid *grids,
                uint32_t *codes, struct hc_pair_search *out)
{
    __shared__ struct hc_pair_grid grid;
    __shared__ double errors[BLOCK_PAIRS];
    __shared__ int max_code[2];
    uint32_t thread = threadIdx.x, lane = thread % HC_LANES, warp = thread / HC_LANES;
    size_t block = blockIdx.x;
    uint32_t n = counts ? counts[block] : hc_block_weights(n_all, block);
    uint32_t pairs = (n + 1) / 2;
    int most[2] = {-1, -1};

    static_assert(sizeof grid % sizeof(uint32_t) == 0, "copied in words");
    for (uint32_t i = thread; i < sizeof grid / sizeof(uint32_t); i += THREADS)
        ((uint32_t *)&grid)[i] = ((const uint32_t *)&grids[blockIdx.y])[i];
    if (thread < 2)
        max_code[thread] = -1;
    __syncthreads();

    for (uint32_t i = thread; i < pairs; i += THREADS) {
        float2 pair = hc_pair_load(all + block * HC_BLOCK, n, i, grid.pad);
        int code = (int)code_of(&grid, pair, 2 * i + 1 == n, &errors[i]);
        if (codes)
            codes[block * BLOCK_PAIRS + i] = (uint32_t)code;
        if (signbit(errors[i]))
            most[1] = max(most[1], code);
        else
            most[0] = max(most[0], code);
    }
    most[0] = __reduce_max_sync(HC_WARP_ALL, most[0]);
    most[1] = __reduce_max_sync(HC_WARP_ALL, most[1]);
    if (lane < 2)
        atomicMax(&max_code[lane], lane == 0 ? most[0] : most[1]);
    __syncthreads();

    if (warp >= 2)
        return;
    double sum = sum_errors(errors, pairs, lane, warp == 0 ? 1.0 : -1.0);
    if (lane == 0) {
        struct hc_pair_search *result = &out[(size_t)blockIdx.y * gridDim.x + block];
        result->error[warp] = sum;
        result->max_code[warp] = max_code[warp];
    }
}

/* Grid: one warp per block of weights, HC_WARPS warps per thread block, no shared memory. A warp walks its block 32
 * pairs at a time, and thread j places pair j after those that the ballot shows before it: their order stays. Any n. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    pair_outer(const float *all, size_t n_all, const struct hc_pair_grid *grid, float *all_out, uint32_t *counts)
{
    uint32_t lane = threadIdx.x % HC_LANES, before = 0;
    size_t block = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    uint32_t n = hc_block_weights(n_all, block);
    const float *weights = all + block * HC_BLOCK;
    float2 *out = (float2 *)(all_out + block * HC_BLOCK);
    double centre_x = grid->centre[0], centre_y = grid->centre[1], half = grid->half;
    float pad = grid->pad;
    bool odd = false;

    if (n == 0)
        return;
    for (uint32_t begin = 0; begin < (n + 1) / 2; begin += HC_LANES) {
        uint32_t i = begin + lane;
        bool exists = 2 * i < n;
        float2 pair = exists ? hc_pair_load(weights, n, i, pad) : make_float2(0.0f, 0.0f);
        bool outside = exists && hc_pair_outside(pair.x - centre_x, pair.y - centre_y, half);
        uint32_t mask = __ballot_sync(HC_WARP_ALL, outside);
        if (outside) {
            out[before + __popc(mask & ((1u << lane) - 1))] = pair;
            odd = 2 * i + 1 == n;
        }
        before += __popc(mask);
    }
    odd = __any_sync(HC_WARP_ALL, odd);
    if (lane == 0)
        counts[block] = 2 * before - odd;
}

cudaError_t hc_pair_search_cuda(const float *weights, size_t n, const uint32_t *counts,
                                const struct hc_pair_grid *grids, size_t grid_count, uint32_t *codes,
                                struct hc_pair_search *out, cudaStream_t stream)
{
    dim3 shape((unsigned)((n + HC_BLOCK - 1) / HC_BLOCK), (unsigned)grid_count);
    pair_search<<<shape, THREADS, 0, stream>>>(weights, n, counts, grids, codes, out);
    return cudaGetLastError();
}

cudaError_t hc_pair_outer_cuda(const float *weights, size_t n, const struct hc_pair_grid *grid, float *out,
                               uint32_t *counts, cudaStream_t stream)
{
    size_t blocks = (n + HC_BLOCK - 1) / HC_BLOCK;
    pair_outer<<<(unsigned)((blocks + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(weights, n, grid,
                                                                                                   out, counts);
    return cudaGetLastError();
}
