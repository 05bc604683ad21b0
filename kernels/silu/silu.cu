#include "silu/silu_cuda.h"

#include <stdint.h>

#include "common/exponential.cuh"

enum { THREADS = 256 };

/* Grid: ceil(n / 256) blocks of 256 threads, no shared memory. A thread owns one element; any n. Memory sets the pace;
 * neighbours read neighbours. */
static __global__ void __launch_bounds__(THREADS) silu_gate(float *gate, const float *up, size_t n)
{
    size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (j < n)
        gate[j] = hc_silu_cuda(gate[j], up[j]);
}

/* As above. */
static __global__ void __launch_bounds__(THREADS) add(float *x, const float *y, size_t n)
{
    size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (j < n)
        x[j] += y[j];
}

cudaError_t hc_silu_gate_cuda(float *gate, const float *up, size_t n, cudaStream_t stream)
{
    silu_gate<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(gate, up, n);
    return cudaGetLastError();
}

cudaError_t hc_add_cuda(float *x, const float *y, size_t n, cudaStream_t stream)
{
    add<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(x, y, n);
    return cudaGetLastError();
}
