/* Device code that the CUDA operations share. A warp has as many threads as a sum has lanes, so that thread j of a
 * warp keeps lane j (HC_LANES in common/pair.h). */
#ifndef HC_KERNELS_COMMON_LANES_CUH
#define HC_KERNELS_COMMON_LANES_CUH

#include "common/pair.h"

static_assert(HC_LANES == 32, "a warp is one sum");

/* The mask of a whole warp. */
static constexpr unsigned HC_WARP_ALL = 0xffffffffu;

/* Blocks of weights per thread block, where one warp does a block of weights. */
enum { HC_WARPS = 4 };

/* Adds the lanes in halves. The sum is thread 0's result; the others' means nothing. */
static __device__ inline double hc_lanes_sum(double lane)
{
    for (int half = HC_LANES / 2; half > 0; half /= 2)
        lane += __shfl_down_sync(HC_WARP_ALL, lane, half);
    return lane;
}

/* The largest value of the warp, in thread 0. No NaN. */
static __device__ inline double hc_lanes_max(double lane)
{
    for (int half = HC_LANES / 2; half > 0; half /= 2)
        lane = fmax(lane, __shfl_down_sync(HC_WARP_ALL, lane, half));
    return lane;
}

/* Weights in block number `block` of an array of n weights; 0 past its end. */
static __device__ inline uint32_t hc_block_weights(size_t n, size_t block)
{
    size_t begin = block * HC_BLOCK;
    size_t left = begin < n ? n - begin : 0;
    return (uint32_t)(left < HC_BLOCK ? left : HC_BLOCK);
}

/* Pair i of a block of n weights that begins at an even place of an array aligned to 8 bytes. */
static __device__ inline float2 hc_pair_load(const float *weights, uint32_t n, uint32_t i, float pad)
{
    if (2 * i + 1 < n)
        return ((const float2 *)weights)[i];
    return make_float2(weights[2 * i], pad);
}

/* What lies outside of the inner square; classes aside. */
static __device__ inline bool hc_pair_outside(double dx, double dy, double half)
{
    return fabs(dx) > half || fabs(dy) > half;
}

#endif
