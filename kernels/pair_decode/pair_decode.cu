#include "pair_decode/pair_decode_cuda.h"

enum { THREADS = 256 };

/* Grid: one thread per pair, 256 per block, no shared memory; any count. A thread cuts its code out of two words (one
 * funnel shift) and copies one table entry. A warp writes 256 bytes in a row; the table of the usual settings (at most
 * 51 KB) lives in the first-level cache. */
static __global__ void __launch_bounds__(THREADS)
    pair_decode(const uint32_t *in, size_t pairs, unsigned bits, const float2 *table, uint32_t entries, float2 *out,
                uint32_t *faults)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= pairs)
        return;
    size_t begin = i * bits;
    uint32_t code = __funnelshift_r(in[begin / 32], in[begin / 32 + 1], begin % 32) & ((1u << bits) - 1);
    if (code >= entries) {
        code = 0;
        atomicAdd(faults, 1u);
    }
    out[i] = __ldg(&table[code]);
}

cudaError_t hc_pair_decode_cuda(const uint32_t *in, size_t pairs, unsigned bits, const float (*table)[2],
                                uint32_t entries, float *out, uint32_t *faults, cudaStream_t stream)
{
    pair_decode<<<(unsigned)((pairs + THREADS - 1) / THREADS), THREADS, 0, stream>>>(
        in, pairs, bits, (const float2 *)table, entries, (float2 *)out, faults);
    return cudaGetLastError();
}
