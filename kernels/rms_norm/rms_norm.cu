#include "rms_norm/rms_norm_cuda.h"

#include "common/reduce.cuh"

enum { THREADS = 256, WARP = HC_LANES, WARP_WIDTH = 512 };

/* Grid: one block per row; 256 threads, or one warp for rows of up to 512 numbers, as those of heads are, of which
 * there are many; 128 bytes of shared memory. A thread owns every 256th (32nd) number: it reads it twice, the second
 * time from the cache. Any width. */
static __global__ void __launch_bounds__(THREADS)
    rms_norm(const float *x, const float *gain, size_t width, float epsilon, float *out)
{
    size_t begin = blockIdx.x * width;
    float factor = hc_reduce_norm(x + begin, width, epsilon);
    for (size_t j = threadIdx.x; j < width; j += blockDim.x)
        out[begin + j] = x[begin + j] * factor * gain[j];
}

cudaError_t hc_rms_norm_cuda(const float *x, const float *gain, size_t rows, size_t width, float epsilon, float *out,
                             cudaStream_t stream)
{
    unsigned threads = width <= WARP_WIDTH ? WARP : THREADS;
    rms_norm<<<(unsigned)rows, threads, 0, stream>>>(x, gain, width, epsilon, out);
    return cudaGetLastError();
}
