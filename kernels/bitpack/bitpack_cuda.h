/* CUDA version of bitpack.h's pack. Unpacking is part of the decoders.
 *
 * codes: n >= 1 of them; out: aligned to 4 bytes, with room for the packed bytes rounded up to whole words, which are
 * all written. Both in device memory. bits: 1..32. Queues on `stream`, returns the launch error. */
#ifndef HC_KERNELS_BITPACK_CUDA_H
#define HC_KERNELS_BITPACK_CUDA_H

#include <cuda_runtime_api.h>

#include "bitpack/bitpack.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t hc_bitpack_cuda(const uint32_t *codes, size_t n, unsigned bits, uint32_t *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
