#include "window_input/window_input_cuda.h"

#include <cuda_fp16.h>

#include "common/exponential.cuh"
#include "common/reduce.cuh"
#include "hadamard/hadamard.cuh"

enum {
    THREADS = 256,
    WARPS = THREADS / HC_LANES,
    EACH = HC_HADAMARD_EACH, /* columns of a lane, 32 apart */
    WARP_COLUMNS = HC_HADAMARD_MAX,
    BLOCK_COLUMNS = WARPS * WARP_COLUMNS,
    GROUP_WARPS = HC_INPUT_GROUP / WARP_COLUMNS,
    SCALED_BITS = 9 /* 2^9 <= m / s */
};

/* Biased exponents of float32. */
enum { MANTISSA = 23, NOT_FINITE = 255, LEAST_SCALE = 1, MOST_SCALE = 127 + 117, TWICE_BIAS = 254 };

/* The factors of hadamard.h's last step, for each matrix. */
struct norms {
    float at[HC_INPUT_MATRICES];
};

/* Columns of a lane. */
struct values {
    float v[EACH];
};

/* What the values of a position are made from; with: gain or up. */
struct parts {
    struct values x, with, factors;
};

/* From column j of a row on, zeros beyond its end. */
static __device__ inline struct values load(const float *row, size_t columns, size_t j)
{
    struct values values;
    for (uint32_t i = 0; i < EACH; i++)
        values.v[i] = j + i * HC_LANES < columns ? row[j + i * HC_LANES] : 0.0f;
    return values;
}

static __device__ inline struct parts load_parts(const struct hc_input_launch *launch,
                                                 const struct hc_input_ready *ready, size_t position, size_t j)
{
    struct parts parts = {load(launch->x + position * launch->columns, launch->columns, j)};
    if (launch->gain)
        parts.with = load(launch->gain, launch->columns, j);
    else if (launch->up)
        parts.with = load(launch->up + position * launch->columns, launch->columns, j);
    if (ready->factors)
        parts.factors = load(ready->factors, ready->padded, j);
    return parts;
}

/* What the matrix reads. By whole warps. */
static __device__ inline struct values values_of(const struct hc_input_launch *launch,
                                                 const struct hc_input_ready *ready, const struct parts *parts,
                                                 float norm, float hadamard_norm)
{
    struct values values = parts->x;
    for (int i = 0; i < EACH; i++) {
        if (launch->gain)
            values.v[i] = values.v[i] * norm * parts->with.v[i];
        else if (launch->up)
            values.v[i] = hc_silu_cuda(values.v[i], parts->with.v[i]);
        if (ready->factors)
            values.v[i] *= parts->factors.v[i];
    }
    if (ready->factors)
        hc_hadamard_warp(values.v, ready->block, hadamard_norm);
    return values;
}

/* The largest magnitude, as bits: their order is that of the numbers, and NaN is above them all. */
static __device__ inline uint32_t largest_of(const struct values *values)
{
    uint32_t most = 0;
    for (int i = 0; i < EACH; i++)
        most = max(most, __float_as_uint(fabsf(values->v[i])));
    return most;
}

static __device__ inline float scale_of(uint32_t largest)
{
    int exponent = (int)(largest >> MANTISSA);
    if (exponent == NOT_FINITE)
        return NAN;
    return __uint_as_float((uint32_t)min(max(exponent - SCALED_BITS, (int)LEAST_SCALE), (int)MOST_SCALE) << MANTISSA);
}

/* The scale is a power of two: so is its inverse, which the scale's bounds keep normal. */
static __device__ inline void store(const struct hc_input_ready *ready, size_t position, size_t j,
                                    const struct values *values, float scale)
{
    float inverse = isnan(scale) ? scale : __uint_as_float((TWICE_BIAS << MANTISSA) - __float_as_uint(scale));
    for (uint32_t i = 0; i < EACH; i++)
        if (j + i * HC_LANES < ready->padded)
            ready->halves[position * ready->padded + j + i * HC_LANES] =
                __half_as_ushort(__float2half_rn(values->v[i] * inverse));
}

static __device__ inline size_t groups_of(const struct hc_input_ready *ready)
{
    return (ready->padded + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP;
}

static __device__ inline float norm_of(const struct hc_input_launch *launch, size_t position)
{
    if (!launch->gain)
        return 1.0f;
    return hc_reduce_norm(launch->x + position * launch->columns, launch->columns, launch->epsilon);
}

/* Grid: x = positions, y over the columns, 1024 per block, z = matrices; 256 threads; 160 bytes of shared memory. A
 * lane owns four columns, 32 apart, a warp 128, which hold whole Hadamard blocks, two warps a group. Any number of
 * columns.
 *
 * For few positions: a row is spread over as many blocks as it has stretches of 1024, and latency is what counts. So
 * each block adds up the squares of the whole row, which lies in the cache, rather than wait for another launch; its
 * own columns are on their way meanwhile. */
static __global__ void __launch_bounds__(THREADS)
    input_groups(const __grid_constant__ struct hc_input_launch launch, const __grid_constant__ struct norms norms)
{
    __shared__ uint32_t largest[WARPS];
    const struct hc_input_ready *ready = &launch.ready[blockIdx.z];
    uint32_t lane = threadIdx.x % HC_LANES, warp = threadIdx.x / HC_LANES;
    size_t position = blockIdx.x, j = (size_t)blockIdx.y * BLOCK_COLUMNS + warp * WARP_COLUMNS + lane;

    if ((size_t)blockIdx.y * BLOCK_COLUMNS >= ready->padded)
        return;
    struct parts parts = load_parts(&launch, ready, position, j);
    struct values values = values_of(&launch, ready, &parts, norm_of(&launch, position), norms.at[blockIdx.z]);
    uint32_t most = __reduce_max_sync(HC_WARP_ALL, largest_of(&values));
    if (lane == 0)
        largest[warp] = most;
    __syncthreads();
    float scale = scale_of(max(largest[warp], largest[warp ^ 1]));
    store(ready, position, j, &values, scale);
    if (lane == 0 && warp % GROUP_WARPS == 0 && j < ready->padded) {
        ready->scales[position * groups_of(ready) + j / HC_INPUT_GROUP] = scale;
        if (isnan(scale))
            atomicAdd(launch.not_finite, 1);
    }
}

/* Grid: x = positions, y = matrices; 256 threads; 256 bytes of shared memory. Columns as above, in steps of 1024.
 *
 * For many positions with one scale each: a block does a whole row, twice, once for its largest magnitude; to do it
 * again is cheaper than to keep it. */
static __global__ void __launch_bounds__(THREADS)
    input_positions(const __grid_constant__ struct hc_input_launch launch, const __grid_constant__ struct norms norms)
{
    const struct hc_input_ready *ready = &launch.ready[blockIdx.y];
    size_t position = blockIdx.x, groups = groups_of(ready), own = threadIdx.x % HC_LANES;
    size_t begin = threadIdx.x / HC_LANES * WARP_COLUMNS;
    float norm = norm_of(&launch, position), scale;
    uint32_t most = 0;

    for (size_t j = begin; j < ready->padded; j += BLOCK_COLUMNS) {
        struct parts parts = load_parts(&launch, ready, position, j + own);
        struct values values = values_of(&launch, ready, &parts, norm, norms.at[blockIdx.y]);
        most = max(most, largest_of(&values));
    }
    scale = scale_of(hc_reduce_max(most));
    for (size_t j = begin; j < ready->padded; j += BLOCK_COLUMNS) {
        struct parts parts = load_parts(&launch, ready, position, j + own);
        struct values values = values_of(&launch, ready, &parts, norm, norms.at[blockIdx.y]);
        store(ready, position, j + own, &values, scale);
    }
    for (size_t g = threadIdx.x; g < groups; g += THREADS)
        ready->scales[position * groups + g] = scale;
    if (threadIdx.x == 0 && isnan(scale))
        atomicAdd(launch.not_finite, 1);
}

cudaError_t hc_window_input_cuda(const struct hc_input_launch *launch, cudaStream_t stream)
{
    static_assert(GROUP_WARPS == 2, "a group is a warp and its neighbour");
    size_t most = 0;
    struct norms norms = {};
    for (unsigned i = 0; i < launch->count; i++) {
        most = launch->ready[i].padded > most ? launch->ready[i].padded : most;
        norms.at[i] = hc_hadamard_norm(launch->ready[i].block);
    }
    dim3 groups((unsigned)launch->n, (unsigned)((most + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS), launch->count);
    dim3 positions((unsigned)launch->n, launch->count);
    if (launch->uniform)
        input_positions<<<positions, THREADS, 0, stream>>>(*launch, norms);
    else
        input_groups<<<groups, THREADS, 0, stream>>>(*launch, norms);
    return cudaGetLastError();
}
