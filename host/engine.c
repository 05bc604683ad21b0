#include "engine.h"

void hc_compare_add(struct hc_compare_sum *sum, const struct hc_compare_sum *other)
{
    hc_exact_add_sum(&sum->abs_error, &other->abs_error);
    hc_exact_add_sum(&sum->squared_error, &other->squared_error);
    hc_exact_add_sum(&sum->squared_weights, &other->squared_weights);
    if (other->max_abs_error > sum->max_abs_error)
        sum->max_abs_error = other->max_abs_error;
}
