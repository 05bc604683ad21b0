/* exp in float32 on a GPU: the operations of exponential.h, and so its bits. No fused multiply-add but the written. */
#ifndef HC_KERNELS_COMMON_EXPONENTIAL_CUH
#define HC_KERNELS_COMMON_EXPONENTIAL_CUH

#include "common/exponential.h"

static __device__ inline float hc_exp_cuda(float x)
{
    float t = fmaf(x, HC_EXP_PER_LN2, HC_EXP_INTEGER), n = t - HC_EXP_INTEGER;
    float r = fmaf(-n, HC_EXP_LN2_LOW, fmaf(-n, HC_EXP_LN2_HIGH, x));
    float p = fmaf(fmaf(fmaf(HC_EXP_C6, r, HC_EXP_C5), r, HC_EXP_C4), r, HC_EXP_C3);
    p = fmaf(fmaf(fmaf(p, r, HC_EXP_C2), r, 1.0f), r, 1.0f);
    p = __uint_as_float(__float_as_uint(p) + (__float_as_uint(t) << HC_EXP_MANTISSA));
    if (x < HC_EXP_LEAST)
        return 0.0f;
    return x <= HC_EXP_MOST ? p : x + INFINITY; /* or NaN */
}

/* silu(x) up, as silu.h rounds it. */
static __device__ inline float hc_silu_cuda(float x, float up)
{
    return x / (1.0f + hc_exp_cuda(-x)) * up;
}

#endif
