#include "engine.h"

#include <string.h>

void hc_compare_add(struct hc_compare_sum *sum, const struct hc_compare_sum *other)
{
    hc_exact_add_sum(&sum->abs_error, &other->abs_error);
    hc_exact_add_sum(&sum->squared_error, &other->squared_error);
    hc_exact_add_sum(&sum->squared_weights, &other->squared_weights);
    if (other->max_abs_error > sum->max_abs_error)
        sum->max_abs_error = other->max_abs_error;
}

void hc_compare_add_block(struct hc_compare_sum *sum, const struct hc_compare *block)
{
    hc_exact_add(&sum->abs_error, block->abs_error);
    hc_exact_add(&sum->squared_error, block->squared_error);
    hc_exact_add(&sum->squared_weights, block->squared_weights);
    if (block->max_abs_error > sum->max_abs_error)
        sum->max_abs_error = block->max_abs_error;
}

void hc_engine_round(const struct hc_kernels *kernels, const float *weights, size_t n, hc_type type, void *out)
{
    if (type == HC_TYPE_F16)
        kernels->convert.f32_to_f16(weights, n, out);
    else if (type == HC_TYPE_BF16)
        kernels->convert.f32_to_bf16(weights, n, out);
    else
        memcpy(out, weights, n * sizeof *weights);
}
