#include "kernels.h"

#ifdef HC_X86_64
#include <cpuid.h>

/* clang's __builtin_cpu_supports does not know F16C. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

hc_tier hc_cpu_tier(void)
{
#ifdef HC_X86_64
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"))
        return HC_TIER_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") && has_f16c())
        return HC_TIER_AVX2;
#endif
    return HC_TIER_C;
}

hc_tier hc_kernels_init(struct hc_kernels *kernels, hc_tier tier)
{
    hc_tier machine = hc_cpu_tier();
    if (tier == HC_TIER_BEST || tier > machine)
        tier = machine;

    hc_convert_c(&kernels->convert);
    hc_dequant_c(&kernels->dequant);
    hc_pair_moments_c(&kernels->pair_moments);
    hc_pair_extent_c(&kernels->pair_extent);
    hc_pair_search_c(&kernels->pair_search);
    hc_bitpack_c(&kernels->bitpack);
    hc_pair_decode_c(&kernels->pair_decode);
    hc_pair_product_c(&kernels->pair_product);
    hc_compare_c(&kernels->compare);
    hc_hadamard_c(&kernels->hadamard);
    hc_window_rows_c(&kernels->window_rows);
    hc_window_encode_c(&kernels->window_encode);
    hc_window_decode_c(&kernels->window_decode);
    hc_window_product_c(&kernels->window_product);
    hc_dense_product_c(&kernels->dense_product);
    hc_rms_norm_c(&kernels->rms_norm);
    hc_rotary_c(&kernels->rotary);
    hc_silu_c(&kernels->silu);
    hc_softmax_c(&kernels->softmax);
    hc_attention_c(&kernels->attention);
    hc_sampling_c(&kernels->sampling);
#ifdef HC_X86_64
    if (tier >= HC_TIER_AVX2) {
        hc_convert_avx2(&kernels->convert);
        hc_pair_moments_avx2(&kernels->pair_moments);
        hc_pair_extent_avx2(&kernels->pair_extent);
        hc_pair_search_avx2(&kernels->pair_search);
        hc_bitpack_avx2(&kernels->bitpack);
        hc_pair_decode_avx2(&kernels->pair_decode);
        hc_pair_product_avx2(&kernels->pair_product);
        hc_compare_avx2(&kernels->compare);
        hc_hadamard_avx2(&kernels->hadamard);
        hc_window_rows_avx2(&kernels->window_rows);
        hc_window_encode_avx2(&kernels->window_encode);
        hc_window_decode_avx2(&kernels->window_decode);
        hc_window_product_avx2(&kernels->window_product);
        hc_dense_product_avx2(&kernels->dense_product);
        hc_rms_norm_avx2(&kernels->rms_norm);
        hc_rotary_avx2(&kernels->rotary);
        hc_silu_avx2(&kernels->silu);
        hc_softmax_avx2(&kernels->softmax);
        hc_attention_avx2(&kernels->attention);
        hc_sampling_avx2(&kernels->sampling);
    }
    if (tier >= HC_TIER_AVX512) {
        hc_convert_avx512(&kernels->convert);
        hc_pair_moments_avx512(&kernels->pair_moments);
        hc_pair_extent_avx512(&kernels->pair_extent);
        hc_pair_search_avx512(&kernels->pair_search);
        hc_bitpack_avx512(&kernels->bitpack);
        hc_pair_decode_avx512(&kernels->pair_decode);
        hc_pair_product_avx512(&kernels->pair_product);
        hc_compare_avx512(&kernels->compare);
        hc_hadamard_avx512(&kernels->hadamard);
        hc_window_rows_avx512(&kernels->window_rows);
        hc_window_encode_avx512(&kernels->window_encode);
        hc_window_decode_avx512(&kernels->window_decode);
        hc_dense_product_avx512(&kernels->dense_product);
        hc_rms_norm_avx512(&kernels->rms_norm);
        hc_rotary_avx512(&kernels->rotary);
        hc_silu_avx512(&kernels->silu);
        hc_softmax_avx512(&kernels->softmax);
        hc_attention_avx512(&kernels->attention);
        hc_sampling_avx512(&kernels->sampling);
        if (__builtin_cpu_supports("avx512vnni"))
            hc_window_product_avx512(&kernels->window_product);
    }
#endif
    return tier;
}
