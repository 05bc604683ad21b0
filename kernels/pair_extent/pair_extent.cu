#include "pair_extent/pair_extent_cuda.h"

#include "common/lanes.cuh"

/* Grid: one warp per block of weights, HC_WARPS warps per thread block, no shared memory. Thread j owns the pairs j,
 * j + 32, ... of its block; any n. Counts and maxima do not depend on order; the shape is that of pair_moments, which
 * runs at the speed of the bus. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    pair_extent(const float *all, size_t n_all, const struct hc_pair_grid *grid, struct hc_pair_extent *out)
{
    uint32_t lane = threadIdx.x % HC_LANES;
    size_t block = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    uint32_t n = hc_block_weights(n_all, block);
    const float *weights = all + block * HC_BLOCK;
    double centre_x = grid->centre[0], centre_y = grid->centre[1], half = grid->half, farthest = 0.0;
    float pad = grid->pad;
    unsigned outer = 0;

    if (n == 0)
        return;
#pragma unroll 8
    for (uint32_t i = lane; i < (n + 1) / 2; i += HC_LANES) {
        float2 pair = hc_pair_load(weights, n, i, pad);
        double dx = pair.x - centre_x, dy = pair.y - centre_y;
        farthest = fmax(farthest, dx * dx + dy * dy);
        outer += hc_pair_outside(dx, dy, half);
    }
    farthest = hc_lanes_max(farthest);
    outer = __reduce_add_sync(HC_WARP_ALL, outer);
    if (lane == 0) {
        out[block].max_distance2 = farthest;
        out[block].outer = outer;
    }
}

cudaError_t hc_pair_extent_cuda(const float *weights, size_t n, const struct hc_pair_grid *grid,
                                struct hc_pair_extent *out, cudaStream_t stream)
{
    size_t blocks = (n + HC_BLOCK - 1) / HC_BLOCK;
    pair_extent<<<(unsigned)((blocks + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(weights, n, grid,
                                                                                                    out);
    return cudaGetLastError();
}
