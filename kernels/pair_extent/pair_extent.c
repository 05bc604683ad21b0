#include "pair_extent.h"

#include <math.h>

static void block(const float *weights, size_t n, const struct hc_pair_grid *grid, struct hc_pair_extent *out)
{
    double farthest2 = 0;
    uint64_t outer = 0;
    for (size_t i = 0; i < n; i += 2) {
        double dx = (double)weights[i] - grid->centre[0];
        double dy = (double)(i + 1 < n ? weights[i + 1] : grid->pad) - grid->centre[1];
        double distance2 = dx * dx + dy * dy;
        if (distance2 > farthest2)
            farthest2 = distance2;
        outer += fabs(dx) > grid->half || fabs(dy) > grid->half;
    }
    out->max_distance2 = farthest2;
    out->outer = outer;
}

void hc_pair_extent_c(struct hc_pair_extent_ops *ops)
{
    ops->block = block;
}
