#include "pair_search.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "common/lanes.h"

struct candidate {
    double d2;
    double a, b;
    uint32_t index;
};

static uint32_t class_of(const struct hc_pair_grid *grid, double dx, double dy)
{
    if (grid->classes == 0 || (fabs(dx) <= grid->half && fabs(dy) <= grid->half))
        return 0;
    double distance2 = dx * dx + dy * dy;
    uint32_t k = 1;
    while (k < grid->classes && distance2 > grid->limit2[k])
        k++;
    return k;
}

static double clamp(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

/* The nearest point of row q takes the lead if it is nearer, or as near with a lower index. */
static void try_row(const struct hc_pair_grid *grid, double u, double v, double q, struct candidate *best)
{
    double r_max = q <= grid->last_row ? grid->r_max : grid->r_max - 1.0;
    double s = u - q * grid->inv_m;
    double r = clamp(ceil(s - 0.5), 0, r_max);
    double a = s - r;
    double b = v - q;
    double d2 = a * a + b * b;
    uint32_t index = (uint32_t)(r * grid->m + q) + 1;
    if (d2 < best->d2 || (d2 == best->d2 && index < best->index))
        *best = (struct candidate){d2, a, b, index};
}

static struct candidate nearest(const struct hc_pair_grid *grid, double u, double v)
{
    double last = grid->m - 1.0;
    double below = floor(v);
    struct candidate best = {.d2 = INFINITY};
    try_row(grid, u, v, clamp(below, 0, last), &best);
    try_row(grid, u, v, clamp(below + 1, 0, last), &best);
    if (!(best.d2 < 1)) {
        for (double q = fmax(below - 4, 0); q <= fmin(below + 5, last); q++)
            try_row(grid, u, v, q, &best);
    }
    double a = u - grid->mid;
    double b = v - grid->mid;
    double d2 = a * a + b * b;
    if (d2 <= best.d2)
        best = (struct candidate){d2, a, b, 0};
    return best;
}

static void block(const float *weights, size_t n, const struct hc_pair_grid *grid, uint32_t *codes,
                  struct hc_pair_search *out)
{
    assert(n >= 1 && n <= HC_BLOCK);
    double lanes[2][HC_LANES] = {{0}};
    int32_t max_code[2] = {-1, -1};
    for (size_t i = 0; i < (n + 1) / 2; i++) {
        bool padded = 2 * i + 1 == n;
        double dx = (double)weights[2 * i] - grid->centre[0];
        double dy = (double)(padded ? grid->pad : weights[2 * i + 1]) - grid->centre[1];
        uint32_t k = class_of(grid, dx, dy);
        struct candidate best = nearest(grid, dx * grid->scale[k] + grid->mid, dy * grid->scale[k] + grid->mid);

        uint32_t code = best.index + (grid->points + 1) * k;
        double error = padded ? fabs(best.a) : fabs(best.a) + fabs(best.b);
        lanes[k > 0][i % HC_LANES] += error * grid->unit[k];
        if ((int32_t)code > max_code[k > 0])
            max_code[k > 0] = (int32_t)code;
        if (codes != NULL)
            codes[i] = code;
    }
    for (int i = 0; i < 2; i++) {
        out->error[i] = hc_lanes_sum(lanes[i]);
        out->max_code[i] = max_code[i];
    }
}

static size_t outer(const float *weights, size_t n, const struct hc_pair_grid *grid, float *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += 2) {
        bool padded = i + 1 == n;
        double dx = (double)weights[i] - grid->centre[0];
        double dy = (double)(padded ? grid->pad : weights[i + 1]) - grid->centre[1];
        if (!(fabs(dx) > grid->half || fabs(dy) > grid->half))
            continue;
        out[count++] = weights[i];
        if (!padded)
            out[count++] = weights[i + 1];
    }
    return count;
}

void hc_pair_search_c(struct hc_pair_search_ops *ops)
{
    ops->block = block;
    ops->outer = outer;
}
