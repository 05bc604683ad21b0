#include "bitpack/bitpack_cuda.h"

enum { THREADS = 256 };

/* Grid: one thread per 32-bit word of output, 256 per block, no shared memory. A thread owns its word and gathers the
 * codes that reach into it, so that nothing is written twice and no atomics are needed; neighbours read the same
 * codes, from the cache. Any n. */
static __global__ void __launch_bounds__(THREADS)
    bitpack(const uint32_t *codes, size_t n, unsigned bits, uint32_t *out, size_t words)
{
    size_t word = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (word >= words)
        return;
    size_t begin = word * 32;
    size_t i = begin / bits;
    /* The first code may have begun in an earlier word. */
    uint32_t value = codes[i] >> (begin - i * bits);
    for (i++; i < n && i * bits < begin + 32; i++)
        value |= codes[i] << (i * bits - begin);
    out[word] = value;
}

cudaError_t hc_bitpack_cuda(const uint32_t *codes, size_t n, unsigned bits, uint32_t *out, cudaStream_t stream)
{
    size_t words = (n * bits + 31) / 32;
    bitpack<<<(unsigned)((words + THREADS - 1) / THREADS), THREADS, 0, stream>>>(codes, n, bits, out, words);
    return cudaGetLastError();
}
