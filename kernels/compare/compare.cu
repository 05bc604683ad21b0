#include "compare/compare_cuda.h"

#include "common/lanes.cuh"

/* Grid: one warp per block of weights, HC_WARPS warps per thread block, no shared memory. Thread j owns lane j: the
 * weights j, j + 32, ... in order; any n. The order of the sums leaves one warp per block; the three sums of a lane
 * overlap each other. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    compare(const float *weights, const float *decoded, size_t n_all, struct hc_compare *out)
{
    uint32_t lane = threadIdx.x % HC_LANES;
    size_t block = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    uint32_t n = hc_block_weights(n_all, block);
    double abs_error = 0.0, squared_error = 0.0, squared_weights = 0.0, farthest = 0.0;

    if (n == 0)
        return;
#pragma unroll 8
    for (uint32_t i = lane; i < n; i += HC_LANES) {
        double weight = weights[block * HC_BLOCK + i];
        double e = (double)decoded[block * HC_BLOCK + i] - weight;
        abs_error += fabs(e);
        squared_error += e * e;
        squared_weights += weight * weight;
        farthest = fmax(farthest, fabs(e));
    }
    abs_error = hc_lanes_sum(abs_error);
    squared_error = hc_lanes_sum(squared_error);
    squared_weights = hc_lanes_sum(squared_weights);
    farthest = hc_lanes_max(farthest);
    if (lane == 0) {
        out[block].abs_error = abs_error;
        out[block].squared_error = squared_error;
        out[block].squared_weights = squared_weights;
        out[block].max_abs_error = farthest;
    }
}

cudaError_t hc_compare_cuda(const float *weights, const float *decoded, size_t n, struct hc_compare *out,
                            cudaStream_t stream)
{
    size_t blocks = (n + HC_BLOCK - 1) / HC_BLOCK;
    compare<<<(unsigned)((blocks + HC_WARPS - 1) / HC_WARPS), HC_WARPS * HC_LANES, 0, stream>>>(weights, decoded, n,
                                                                                                out);
    return cudaGetLastError();
}
