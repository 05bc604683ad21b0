#include "window_rows.h"

#include <float.h>
#include <math.h>

#include "common/lanes.h"

static size_t largest(const float *row, size_t n, float *out)
{
    size_t bad = 0;
    for (size_t j = 0; j < n; j++) {
        float magnitude = fabsf(row[j]);
        bool finite = magnitude <= FLT_MAX;
        bad += !finite;
        out[j] = finite && magnitude > out[j] ? magnitude : out[j];
    }
    return bad;
}

static void squares(const float *row, size_t n, const double *to_units, uint64_t *sums)
{
    for (size_t j = 0; j < n; j++) {
        int64_t units = lrint((double)row[j] * to_units[j]);
        sums[j] += (uint64_t)(units * units);
    }
}

static void scale(float *row, size_t n, const float *factors)
{
    for (size_t j = 0; j < n; j++)
        row[j] *= factors[j];
}

static double energy(const float *row, size_t n)
{
    double lanes[HC_LANES] = {0};
    for (size_t j = 0; j < n; j++)
        lanes[j % HC_LANES] += (double)row[j] * (double)row[j];
    return hc_lanes_sum(lanes);
}

static int16_t to_coder(float weight, float factor)
{
    float value = weight * factor;
    value = value < INT16_MAX ? value : INT16_MAX;
    value = value > -INT16_MAX ? value : -INT16_MAX;
    return (int16_t)lrintf(value);
}

static void tiles(const float *rows, size_t stride, size_t count, const float factor[HC_TILE], int16_t *out)
{
    for (size_t i = 0; i < count; i++)
        for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
            unsigned r = hc_window_row(t);
            out[i * HC_TILE_WEIGHTS + t] = to_coder(rows[r * stride + i * HC_TILE + hc_window_column(t)], factor[r]);
        }
}

static void fit(const float *row, const float *values, size_t n, struct hc_window_fit *out)
{
    double weights2[HC_LANES] = {0}, values2[HC_LANES] = {0}, product[HC_LANES] = {0};
    for (size_t j = 0; j < n; j++) {
        double w = (double)row[j], v = (double)values[j];
        weights2[j % HC_LANES] += w * w;
        values2[j % HC_LANES] += v * v;
        product[j % HC_LANES] += w * v;
    }
    *out = (struct hc_window_fit){hc_lanes_sum(weights2), hc_lanes_sum(values2), hc_lanes_sum(product)};
}

static void restore(float *row, size_t n, float row_scale, const float *factors)
{
    for (size_t j = 0; j < n; j++) {
        float value = row[j] * row_scale * factors[j];
        row[j] = value > FLT_MAX ? FLT_MAX : value < -FLT_MAX ? -FLT_MAX : value;
    }
}

void hc_window_rows_c(struct hc_window_rows_ops *ops)
{
    *ops = (struct hc_window_rows_ops){largest, squares, scale, energy, tiles, fit, restore};
}
