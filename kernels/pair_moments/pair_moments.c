#include "pair_moments.h"

#include <math.h>

#include "common/lanes.h"

static void block(const float *weights, size_t n, struct hc_pair_moments *out)
{
    double lanes[2][HC_LANES] = {{0}};
    uint64_t non_finite = 0;
    for (size_t i = 0; i < n; i++) {
        lanes[i % 2][i / 2 % HC_LANES] += (double)weights[i];
        non_finite += !isfinite(weights[i]);
    }
    out->sum[0] = hc_lanes_sum(lanes[0]);
    out->sum[1] = hc_lanes_sum(lanes[1]);
    out->non_finite = non_finite;
}

void hc_pair_moments_c(struct hc_pair_moments_ops *ops)
{
    ops->block = block;
}
