#include "engine.h"

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
