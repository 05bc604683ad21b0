#include "hadamard/hadamard_cuda.h"

#include <math.h>

#include "hadamard/hadamard.cuh"

/* Grid: one warp per 128 elements, HC_WARPS warps per thread block, no shared memory. A thread owns 4 elements, 32
 * apart, so that a warp's reads and writes are 128 bytes in a row; n is a multiple of the transform's block. Each
 * element is moved once and costs 7 additions: memory sets the pace. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES) hadamard(float *data, size_t n, unsigned block, float norm)
{
    size_t warp = (size_t)blockIdx.x * HC_WARPS + threadIdx.x / HC_LANES;
    size_t first = warp * HC_HADAMARD_MAX + threadIdx.x % HC_LANES;
    float at[HC_HADAMARD_EACH];

#pragma unroll
    for (unsigned i = 0; i < HC_HADAMARD_EACH; i++)
        at[i] = first + i * HC_LANES < n ? data[first + i * HC_LANES] : 0.0f;
    hc_hadamard_warp(at, block, norm);
#pragma unroll
    for (unsigned i = 0; i < HC_HADAMARD_EACH; i++)
        if (first + i * HC_LANES < n)
            data[first + i * HC_LANES] = at[i];
}

cudaError_t hc_hadamard_cuda(float *data, size_t n, unsigned block, cudaStream_t stream)
{
    enum { BLOCK_WEIGHTS = HC_WARPS * HC_HADAMARD_MAX };
    hadamard<<<(unsigned)((n + BLOCK_WEIGHTS - 1) / BLOCK_WEIGHTS), HC_WARPS * HC_LANES, 0, stream>>>(
        data, n, block, hc_hadamard_norm(block));
    return cudaGetLastError();
}
