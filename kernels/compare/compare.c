#include "compare.h"

#include <math.h>

#include "common/lanes.h"

static void block(const float *weights, const float *decoded, size_t n, struct hc_compare *out)
{
    double abs_error[HC_LANES] = {0}, squared_error[HC_LANES] = {0}, squared_weights[HC_LANES] = {0};
    double max_abs_error = 0;
    for (size_t i = 0; i < n; i++) {
        double w = (double)weights[i];
        double e = (double)decoded[i] - w;
        abs_error[i % HC_LANES] += fabs(e);
        squared_error[i % HC_LANES] += e * e;
        squared_weights[i % HC_LANES] += w * w;
        if (fabs(e) > max_abs_error)
            max_abs_error = fabs(e);
    }
    *out = (struct hc_compare){
        .abs_error = hc_lanes_sum(abs_error),
        .squared_error = hc_lanes_sum(squared_error),
        .squared_weights = hc_lanes_sum(squared_weights),
        .max_abs_error = max_abs_error,
    };
}

void hc_compare_c(struct hc_compare_ops *ops)
{
    ops->block = block;
}
