#include "window_rows/window_rows_cuda.h"

#include <float.h>

#include "common/lanes.cuh"
#include "window_decode/window_decode.cuh"

enum {
    THREADS = 256,
    ROWS_EACH = 64 /* that a thread walks down its column */
};

/* ---- Columns ------------------------------------------------------------------------------ */

/* The rows of a thread: begin .. end - 1. */
static __device__ inline size_t first_row(void)
{
    return (size_t)blockIdx.x * ROWS_EACH;
}

static __device__ inline size_t end_row(size_t rows)
{
    size_t end = first_row() + ROWS_EACH;
    return end < rows ? end : rows;
}

static dim3 column_grid(size_t rows, size_t columns)
{
    return dim3((unsigned)((rows + ROWS_EACH - 1) / ROWS_EACH), (unsigned)((columns + THREADS - 1) / THREADS));
}

/* Grid: x = 64 rows each, y = 256 columns each; 256 threads, no shared memory. A thread owns one column of the 64 rows;
 * any shape. Neighbours read side by side, and one atomic operation for 64 weights is little. Magnitudes are compared
 * as integers, in whose order they are. */
static __global__ void __launch_bounds__(THREADS)
    largest(const float *weights, size_t rows, size_t columns, float *out, unsigned long long *non_finite)
{
    size_t column = (size_t)blockIdx.y * THREADS + threadIdx.x;
    float most = 0.0f;
    unsigned bad = 0;

    if (column < columns) {
#pragma unroll 8
        for (size_t r = first_row(); r < end_row(rows); r++) {
            float magnitude = fabsf(weights[r * columns + column]);
            bool finite = magnitude <= FLT_MAX;
            bad += !finite;
            most = finite ? fmaxf(most, magnitude) : most;
        }
        atomicMax((unsigned *)&out[column], __float_as_uint(most));
    }
    bad = __reduce_add_sync(HC_WARP_ALL, bad);
    if (bad > 0 && threadIdx.x % HC_LANES == 0)
        atomicAdd(non_finite, (unsigned long long)bad);
}

/* As above. The sums are integers, so that their order is free. */
static __global__ void __launch_bounds__(THREADS)
    squares(const float *weights, size_t rows, size_t columns, const double *to_units, unsigned long long *sums)
{
    size_t column = (size_t)blockIdx.y * THREADS + threadIdx.x;
    unsigned long long sum = 0;

    if (column >= columns)
        return;
    double unit = to_units[column];
#pragma unroll 8
    for (size_t r = first_row(); r < end_row(rows); r++) {
        long long units = __double2ll_rn((double)weights[r * columns + column] * unit);
        sum += (unsigned long long)(units * units);
    }
    atomicAdd(&sums[column], sum);
}

cudaError_t hc_window_largest_cuda(const float *weights, size_t rows, size_t columns, float *out, uint64_t *non_finite,
                                   cudaStream_t stream)
{
    largest<<<column_grid(rows, columns), THREADS, 0, stream>>>(weights, rows, columns, out,
                                                                (unsigned long long *)non_finite);
    return cudaGetLastError();
}

cudaError_t hc_window_squares_cuda(const float *weights, size_t rows, size_t columns, const double *to_units,
                                   uint64_t *sums, cudaStream_t stream)
{
    squares<<<column_grid(rows, columns), THREADS, 0, stream>>>(weights, rows, columns, to_units,
                                                                (unsigned long long *)sums);
    return cudaGetLastError();
}

/* ---- Into the frame ----------------------------------------------------------------------- */

/* Grid: x = rows, y = 256 columns each; 256 threads, no shared memory. A thread owns one weight; any shape. */
static __global__ void __launch_bounds__(THREADS)
    scale(const float *weights, size_t columns, size_t padded, const float *factors, float *out)
{
    size_t row = blockIdx.x, column = (size_t)blockIdx.y * THREADS + threadIdx.x;
    if (column < padded)
        out[row * padded + column] = column < columns ? weights[row * columns + column] * factors[column] : 0.0f;
}

/* Grid: one warp per row, HC_WARPS warps per thread block, no shared memory. Thread j owns lane j: the weights j,
 * j + 32, ... in order; padded is a multiple of 16. The order of the sums leaves one warp per row. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    factors(const float *weights, size_t rows, size_t padded, float full_scale, double least, float *out)
{
    size_t row = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    unsigned lane = threadIdx.x % HC_LANES;
    double energy = 0.0;

    if (row >= rows)
        return;
#pragma unroll 8
    for (size_t j = lane; j < padded; j += HC_LANES) {
        double weight = weights[row * padded + j];
        energy += weight * weight;
    }
    energy = hc_lanes_sum(energy);
    if (lane == 0) {
        double deviation = sqrt(energy / (double)padded);
        out[row] = deviation >= least ? (float)((double)full_scale / deviation) : 0.0f;
    }
}

static __device__ inline unsigned to_coder(float weight, float factor)
{
    float value = weight * factor;
    value = value < (float)INT16_MAX ? value : (float)INT16_MAX;
    value = value > -(float)INT16_MAX ? value : -(float)INT16_MAX;
    return (unsigned)__float2int_rn(value) & 0xffff;
}

static __device__ inline unsigned pair_to_coder(const float *weights, float factor)
{
    float2 pair = *(const float2 *)weights;
    return to_coder(pair.x, factor) | to_coder(pair.y, factor) << 16;
}

/* Grid: one warp per tile, HC_WARPS warps per thread block, no shared memory. Thread 4 g + t owns 8 stream positions in
 * a row: columns 2t, 2t + 1 and 8 more of rows g and g + 8. Four threads read 32 bytes of a row, and a warp writes 512
 * bytes in a row. weights: 8-byte aligned, tiles: 16-byte. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    tiles(const float *weights, size_t tile_columns, size_t all, const float *row_factors, int16_t *out)
{
    size_t tile = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    unsigned lane = threadIdx.x % HC_LANES;

    if (tile >= all)
        return;
    size_t stride = tile_columns * HC_TILE, row = tile / tile_columns * HC_TILE + lane / 4;
    const float *upper = weights + row * stride + tile % tile_columns * HC_TILE + lane % 4 * 2;
    const float *lower = upper + 8 * stride;
    float factor[2] = {row_factors[row], row_factors[row + 8]};
    ((uint4 *)out)[tile * HC_LANES + lane] =
        make_uint4(pair_to_coder(upper, factor[0]), pair_to_coder(lower, factor[1]),
                   pair_to_coder(upper + 8, factor[0]), pair_to_coder(lower + 8, factor[1]));
}

cudaError_t hc_window_scale_cuda(const float *weights, size_t rows, size_t columns, size_t padded,
                                 const float *column_factors, float *out, cudaStream_t stream)
{
    dim3 shape((unsigned)rows, (unsigned)((padded + THREADS - 1) / THREADS));
    scale<<<shape, THREADS, 0, stream>>>(weights, columns, padded, column_factors, out);
    return cudaGetLastError();
}

cudaError_t hc_window_factors_cuda(const float *weights, size_t rows, size_t padded, float full_scale, double least,
                                   float *out, cudaStream_t stream)
{
    factors<<<(unsigned)((rows + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(weights, rows, padded,
                                                                                              full_scale, least, out);
    return cudaGetLastError();
}

cudaError_t hc_window_tiles_cuda(const float *weights, size_t tile_rows, size_t tile_columns, const float *row_factors,
                                 int16_t *out, cudaStream_t stream)
{
    size_t all = tile_rows * tile_columns;
    tiles<<<(unsigned)((all + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(weights, tile_columns, all,
                                                                                           row_factors, out);
    return cudaGetLastError();
}

/* ---- And how well it went ----------------------------------------------------------------- */

static __device__ inline struct hc_window_fitted best_scale(const struct hc_window_fit *fit)
{
    struct hc_window_fitted fitted;
    float unrounded = fit->product > 0.0 ? (float)(fit->product / fit->values2) : 0.0f;
    __half half = __float2half_rn(fminf(unrounded, 65504.0f));
    double rounded = (double)__half2float(half);
    fitted.residual = fit->weights2 - 2.0 * rounded * fit->product + rounded * rounded * fit->values2;
    fitted.scale = __half_as_ushort(half);
    return fitted;
}

/* Grid: one warp per row, HC_WARPS warps per thread block, no shared memory. Thread j owns lane j: the weights j,
 * j + 32, ... in order; any shape. Values are looked up here rather than stored in between: a weight is read once. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    fit(struct hc_window_lookup lookup, const uint8_t *codes, const float *weights, size_t rows, size_t tile_columns,
        struct hc_window_fitted *fitted, uint16_t *scales)
{
    size_t row = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES, padded = tile_columns * HC_TILE;
    unsigned lane = threadIdx.x % HC_LANES;
    struct hc_window_fit sum = {0.0, 0.0, 0.0};

    if (row >= rows)
        return;
    codes += row / HC_TILE * tile_columns * (HC_TILE_WEIGHTS / 8) * lookup.k;
#pragma unroll 8
    for (size_t j = lane; j < padded; j += HC_LANES) {
        double w = weights[row * padded + j], v = hc_window_exact(lookup, codes, (unsigned)(row % HC_TILE), j);
        sum.weights2 += w * w;
        sum.values2 += v * v;
        sum.product += w * v;
    }
    sum.weights2 = hc_lanes_sum(sum.weights2);
    sum.values2 = hc_lanes_sum(sum.values2);
    sum.product = hc_lanes_sum(sum.product);
    if (lane == 0) {
        fitted[row] = best_scale(&sum);
        scales[row] = fitted[row].scale;
    }
}

cudaError_t hc_window_fit_cuda(const struct hc_window_code *code, const uint16_t *table, const uint8_t *codes,
                               const float *weights, size_t rows, size_t tile_columns, struct hc_window_fitted *fitted,
                               uint16_t *scales, cudaStream_t stream)
{
    fit<<<(unsigned)((rows + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(
        hc_window_lookup_of(code, table), codes, weights, rows, tile_columns, fitted, scales);
    return cudaGetLastError();
}
