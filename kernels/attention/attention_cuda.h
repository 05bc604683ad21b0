/* CUDA version of attention.h: all heads of some positions at once, with the cache laid out as host/runtime.h says. Not
 * the CPU's bits: dot products, and sums over positions, are in float32 in an order that depends on shapes and the
 * first position, and on `most`, never on timing. Where there are many queries, and widths are multiples of 16 up to
 * 256, those over caches of F16 and I8 go through tensor cores: queries, values and p are rounded to half precision
 * there, beyond whose range they are infinite.
 *
 * A score that is NaN or +infinity makes all of out NaN, as on the CPU. A value that is not finite spoils its own
 * column, for queries that see it; by tensor cores it may for queries before it, too.
 *
 * The first position is read on the device, so that a graph can be launched again for the next one.
 * All pointers are device memory but the structure's own. Launchers queue on `stream`, and return the launch error.
 */
#ifndef HC_KERNELS_ATTENTION_CUDA_H
#define HC_KERNELS_ATTENTION_CUDA_H

#include <cuda_runtime_api.h>

#include "attention/attention.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hc_attention_cuda {
    hc_type type;                     /* F16, F32 or I8 */
    void *keys, *values;              /* [key_value_heads][context][width]; 16-byte aligned */
    float *key_scales, *value_scales; /* I8: [key_value_heads][context], else NULL */
    uint32_t context;
    uint32_t heads, key_value_heads,
        width;             /* heads a multiple of key_value_heads; width even, at most HC_ATTENTION_WIDTH */
    uint32_t window;       /* 0, or positions that a query sees, itself included */
    float scale;           /* of the scores */
    const uint32_t *first; /* position of the first query */
    uint32_t count;        /* queries, at positions *first .. *first + count - 1 */
    uint32_t most;         /* *first + count is at most this, which is at most context: it sizes the grid */
};

/* Rounds keys and values (count x key_value_heads x width floats) as attention.h's `store` does, into the cache. */
cudaError_t hc_attention_store_cuda(const struct hc_attention_cuda *attention, const float *keys, const float *values,
                                    cudaStream_t stream);

/* Bytes that `attend` needs for up to `count` queries and `most` positions, whatever the type; 256-byte aligned, no
 * contents expected or left. */
size_t hc_attention_cuda_workspace(const struct hc_attention_cuda *attention);

/* queries, out: count x heads x width floats; queries 8-byte aligned; out overlaps with nothing. */
cudaError_t hc_attention_cuda(const struct hc_attention_cuda *attention, const float *queries, void *workspace,
                              float *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
