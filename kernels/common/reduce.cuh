/* Sums and maxima over a thread block of whole warps, in an order that its number of threads alone decides. Every
 * thread gets the result. No two of the same kind without a barrier between. */
#ifndef HC_KERNELS_COMMON_REDUCE_CUH
#define HC_KERNELS_COMMON_REDUCE_CUH

#include "common/lanes.cuh"

enum { HC_REDUCE_WARPS = 32 }; /* at most */

/* Over a warp. Both sides of an exchange add the same two numbers, so that all lanes have the same bits. */
static __device__ inline float hc_reduce_lanes(float own)
{
    for (int apart = HC_LANES / 2; apart > 0; apart /= 2)
        own += __shfl_xor_sync(HC_WARP_ALL, own, apart);
    return own;
}

static __device__ inline float hc_reduce_sum(float own)
{
    __shared__ float warps[HC_REDUCE_WARPS];
    uint32_t lane = threadIdx.x % HC_LANES, count = blockDim.x / HC_LANES;
    own = hc_reduce_lanes(own);
    if (lane == 0)
        warps[threadIdx.x / HC_LANES] = own;
    __syncthreads();
    return hc_reduce_lanes(lane < count ? warps[lane] : 0.0f);
}

static __device__ inline uint32_t hc_reduce_max(uint32_t own)
{
    __shared__ uint32_t warps[HC_REDUCE_WARPS];
    uint32_t lane = threadIdx.x % HC_LANES, count = blockDim.x / HC_LANES;
    own = __reduce_max_sync(HC_WARP_ALL, own);
    if (lane == 0)
        warps[threadIdx.x / HC_LANES] = own;
    __syncthreads();
    return __reduce_max_sync(HC_WARP_ALL, lane < count ? warps[lane] : 0);
}

/* What RMSNorm multiplies a row by (rms_norm.h). */
static __device__ inline float hc_reduce_norm(const float *row, size_t width, float epsilon)
{
    float own = 0.0f;
#pragma unroll 8
    for (size_t j = threadIdx.x; j < width; j += blockDim.x)
        own = fmaf(row[j], row[j], own);
    return 1.0f / sqrtf(hc_reduce_sum(own) / (float)width + epsilon);
}

#endif
