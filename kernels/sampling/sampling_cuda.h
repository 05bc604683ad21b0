/* Choosing a token by its logits on a GPU, so that a step of a text moves one number to the host.
 *
 * Results are those of hc_sampler_choose (include/hyperc/run.h) after its penalty. NaN counts as -infinity, and
 * infinities as the largest finite numbers.
 * All pointers are device memory but the structure's own, whatever changes from token to token lies there: a graph of
 * these launches can be launched again. Launchers queue on `stream`, and return the launch error.
 */
#ifndef HC_KERNELS_SAMPLING_CUDA_H
#define HC_KERNELS_SAMPLING_CUDA_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of workspace, 8-byte aligned; no contents expected or left. */
size_t hc_largest_cuda_workspace(size_t n);

/* The lowest index of the largest of n logits, 1 <= n < 2^31. */
cudaError_t hc_largest_cuda(const float *logits, size_t n, void *workspace, int32_t *token, cudaStream_t stream);

enum { HC_TOP_K_CUDA = 1024 };

struct hc_top_k_cuda {
    size_t vocabulary; /* 1 <= vocabulary < 2^31 */
    uint32_t k;        /* 1 to HC_TOP_K_CUDA; the vocabulary or more: all */
    float temperature; /* 0: the most likely token */
    float top_p, min_p;
};

/* As above. */
size_t hc_top_k_cuda_workspace(const struct hc_top_k_cuda *options);

/* Orders the k best by logit, then by number, the lowest first; of those, the fewest that reach top_p and are likely
 * enough by min_p; of these, one, by *uniform: the sampler's random number, in [0, 1). */
cudaError_t hc_top_k_cuda(const float *logits, const struct hc_top_k_cuda *options, const double *uniform,
                          void *workspace, int32_t *token, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
