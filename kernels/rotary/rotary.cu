#include "rotary/rotary_cuda.h"

enum { THREADS = 256 };

/* Grid: x over the turns, 256 per block, y = positions, up to 65535; no shared memory. A thread owns a turn. In double,
 * as the angles of long texts are large; there are few of them. */
static __global__ void __launch_bounds__(THREADS)
    turns(const uint32_t *first, const float *frequencies, size_t count, float *out)
{
    size_t d = (size_t)blockIdx.x * THREADS + threadIdx.x, begin = blockIdx.y * 2 * count;
    double sine, cosine;
    if (d >= count)
        return;
    sincos((double)((float)(*first + blockIdx.y) * frequencies[d]), &sine, &cosine);
    out[begin + d] = (float)cosine;
    out[begin + count + d] = (float)sine;
}

/* Grid: x over the pairs of a position, 256 per block, y = positions, up to 65535; no shared memory. A thread owns a
 * pair. Memory sets the pace: both halves of a head are read and written in a row. */
static __global__ void __launch_bounds__(THREADS) rotate(float *x, size_t heads, size_t width, const float *all_turns)
{
    size_t pair = (size_t)blockIdx.x * THREADS + threadIdx.x, half = width / 2;
    size_t head = pair / half, d = pair % half;
    if (head >= heads)
        return;
    const float *turn = all_turns + blockIdx.y * width;
    float *first = x + (blockIdx.y * heads + head) * width + d, *second = first + half;
    float a = *first, b = *second, cosine = turn[d], sine = turn[half + d];
    *first = a * cosine - b * sine;
    *second = b * cosine + a * sine;
}

cudaError_t hc_rotary_turns_cuda(const uint32_t *first, size_t n, const float *frequencies, size_t count, float *out,
                                 cudaStream_t stream)
{
    dim3 shape((unsigned)((count + THREADS - 1) / THREADS), (unsigned)n);
    turns<<<shape, THREADS, 0, stream>>>(first, frequencies, count, out);
    return cudaGetLastError();
}

cudaError_t hc_rotary_cuda(float *x, size_t n, size_t heads, size_t width, const float *turns, cudaStream_t stream)
{
    dim3 shape((unsigned)((heads * (width / 2) + THREADS - 1) / THREADS), (unsigned)n);
    rotate<<<shape, THREADS, 0, stream>>>(x, heads, width, turns);
    return cudaGetLastError();
}
