#include "convert/convert_rows_cuda.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <stdint.h>

enum { THREADS = 256 };

static __device__ inline float load(const void *matrix, hc_type type, size_t i)
{
    if (type == HC_TYPE_F32)
        return ((const float *)matrix)[i];
    uint16_t bits = ((const uint16_t *)matrix)[i];
    return type == HC_TYPE_F16 ? __half2float(__ushort_as_half(bits)) : __uint_as_float((uint32_t)bits << 16);
}

/* Grid: x over the columns, 256 per block, y = rows, up to 65535; no shared memory. A thread owns one element; any
 * number of columns. Neighbours read neighbours, and memory sets the pace. */
static __global__ void __launch_bounds__(THREADS)
    convert_rows(const void *matrix, hc_type type, size_t columns, const int32_t *rows, float *out)
{
    size_t j = (size_t)blockIdx.x * THREADS + threadIdx.x;
    int32_t row = rows[blockIdx.y];
    if (j < columns)
        out[blockIdx.y * columns + j] = row < 0 ? 0.0f : load(matrix, type, (size_t)row * columns + j);
}

/* Grid: ceil(n / 256) blocks of 256 threads, no shared memory. A thread owns one element; any n. */
static __global__ void __launch_bounds__(THREADS) convert_to(const float *x, size_t n, hc_type type, uint16_t *out)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n)
        return;
    out[i] =
        type == HC_TYPE_F16 ? __half_as_ushort(__float2half_rn(x[i])) : __bfloat16_as_ushort(__float2bfloat16_rn(x[i]));
}

cudaError_t hc_convert_rows_cuda(const void *matrix, hc_type type, size_t columns, const int32_t *rows, size_t n,
                                 float *out, cudaStream_t stream)
{
    dim3 shape((unsigned)((columns + THREADS - 1) / THREADS), (unsigned)n);
    convert_rows<<<shape, THREADS, 0, stream>>>(matrix, type, columns, rows, out);
    return cudaGetLastError();
}

cudaError_t hc_convert_to_cuda(const float *x, size_t n, hc_type type, void *out, cudaStream_t stream)
{
    convert_to<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(x, n, type, (uint16_t *)out);
    return cudaGetLastError();
}
