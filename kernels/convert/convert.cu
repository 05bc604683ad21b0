#include "convert/convert_cuda.h"

#include <cuda_fp16.h>

enum { THREADS = 256 };

/* Grid: ceil(n / 256) blocks of 256 threads, no shared memory. A thread owns one element; any n. A warp reads 64 and
 * writes 128 bytes in a row, and the arithmetic is nothing beside that. */
static __global__ void __launch_bounds__(THREADS) f16_to_f32(const uint16_t *in, size_t n, float *out)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        out[i] = __half2float(__ushort_as_half(in[i]));
}

/* As above. */
static __global__ void __launch_bounds__(THREADS) bf16_to_f32(const uint16_t *in, size_t n, float *out)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        out[i] = __uint_as_float((uint32_t)in[i] << 16);
}

cudaError_t hc_f16_to_f32_cuda(const uint16_t *in, size_t n, float *out, cudaStream_t stream)
{
    f16_to_f32<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(in, n, out);
    return cudaGetLastError();
}

cudaError_t hc_bf16_to_f32_cuda(const uint16_t *in, size_t n, float *out, cudaStream_t stream)
{
    bf16_to_f32<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(in, n, out);
    return cudaGetLastError();
}
