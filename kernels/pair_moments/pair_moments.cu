#include "pair_moments/pair_moments_cuda.h"

#include "common/lanes.cuh"

/* NaN and infinities have all bits of the exponent set. */
static __device__ inline unsigned is_not_finite(float x)
{
    return (__float_as_uint(x) & 0x7f800000u) == 0x7f800000u;
}

/* Grid: one warp per block of weights, HC_WARPS warps per thread block, no shared memory. Thread j owns lane j: the
 * pairs j, j + 32, ... in order, read 256 bytes per warp at a time. Any n. The 128 dependent additions of a lane set
 * the pace, which is still far above that of the bus that brings the weights; more threads per block would have to
 * add in another order. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    pair_moments(const float *all, size_t n_all, struct hc_pair_moments *out)
{
    uint32_t lane = threadIdx.x % HC_LANES;
    size_t block = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    uint32_t n = hc_block_weights(n_all, block);
    const float *weights = all + block * HC_BLOCK;
    double sum_x = 0.0, sum_y = 0.0;
    unsigned bad = 0;

    if (n == 0)
        return;
#pragma unroll 8
    for (uint32_t i = lane; i < (n + 1) / 2; i += HC_LANES) {
        /* The padding 0 adds nothing: a sum that began at +0.0 never is -0.0. */
        float2 pair = hc_pair_load(weights, n, i, 0.0f);
        sum_x += pair.x;
        sum_y += pair.y;
        bad += is_not_finite(pair.x) + is_not_finite(pair.y);
    }
    sum_x = hc_lanes_sum(sum_x);
    sum_y = hc_lanes_sum(sum_y);
    bad = __reduce_add_sync(HC_WARP_ALL, bad);
    if (lane == 0) {
        out[block].sum[0] = sum_x;
        out[block].sum[1] = sum_y;
        out[block].non_finite = bad;
    }
}

cudaError_t hc_pair_moments_cuda(const float *weights, size_t n, struct hc_pair_moments *out, cudaStream_t stream)
{
    size_t blocks = (n + HC_BLOCK - 1) / HC_BLOCK;
    pair_moments<<<(unsigned)((blocks + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(weights, n, out);
    return cudaGetLastError();
}
