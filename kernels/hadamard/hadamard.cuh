/* The transform of hadamard.h within a warp, for kernels that have a row at hand anyway. */
#ifndef HC_KERNELS_HADAMARD_CUH
#define HC_KERNELS_HADAMARD_CUH

#include "common/lanes.cuh"
#include "hadamard/hadamard.h"

/* What a warp transforms at once: one block of 128, or several smaller ones. Thread j has the elements j + 32 i. */
enum { HC_HADAMARD_EACH = HC_HADAMARD_MAX / HC_LANES };

/* The float32 nearest to 1 / sqrt(block). */
static inline float hc_hadamard_norm(unsigned block)
{
    return (float)(1 / sqrt((double)block));
}

/* All threads of the warp take part. norm: hc_hadamard_norm(block). Pairs that lie less than 32 apart are in two
 * threads, the others in one. */
static __device__ inline void hc_hadamard_warp(float at[HC_HADAMARD_EACH], unsigned block, float norm)
{
    unsigned lane = threadIdx.x % HC_LANES;
#pragma unroll
    for (unsigned h = 1; h < HC_LANES; h *= 2)
        if (h < block)
            for (unsigned i = 0; i < HC_HADAMARD_EACH; i++) {
                float other = __shfl_xor_sync(HC_WARP_ALL, at[i], (int)h);
                at[i] = lane & h ? other - at[i] : at[i] + other;
            }
#pragma unroll
    for (unsigned h = HC_LANES; h < HC_HADAMARD_MAX; h *= 2)
        if (h < block)
            for (unsigned i = 0; i < HC_HADAMARD_EACH; i++)
                if (!(i & h / HC_LANES)) {
                    unsigned j = i + h / HC_LANES;
                    float a = at[i], b = at[j];
                    at[i] = a + b;
                    at[j] = a - b;
                }
#pragma unroll
    for (unsigned i = 0; i < HC_HADAMARD_EACH; i++)
        at[i] *= norm;
}

#endif
