/* CUDA version of pair_decode.h.
 *
 * in: aligned to 4 bytes, readable up to 4 bytes past the packed codes rounded up to whole words (the contents there do
 * not matter). table: aligned to 8 bytes. out: 2 * pairs floats, aligned to 8 bytes. faults: the number of codes that
 * were not below entries is added to it. All in device memory; pairs >= 1, bits 1..24. Queues on `stream`, returns the
 * launch error. */
#ifndef HC_KERNELS_PAIR_DECODE_CUDA_H
#define HC_KERNELS_PAIR_DECODE_CUDA_H

#include <cuda_runtime_api.h>

#include "pair_decode/pair_decode.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_pair_decode_cuda(const uint32_t *in, size_t pairs, unsigned bits, const float (*table)[2],
                                uint32_t entries, float *out, uint32_t *faults, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
