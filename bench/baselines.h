/* Common ways to round weights, one group of neighbours at a time, to hold ours against. What they store per group is
 * rounded to half precision before it is used. */
#ifndef HC_BENCH_BASELINES_H
#define HC_BENCH_BASELINES_H

#include <kernels.h>

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum baseline_kind {
    /* The weight of the largest magnitude becomes -2^(b-1) steps, so that all 2^b whole numbers are used; stored: the
     * step, with its sign. */
    BASELINE_SYMMETRIC,
    BASELINE_ASYMMETRIC, /* 2^b even levels from the least weight to the largest; stored: the least, and the step */
    BASELINE_NORMAL      /* 16 quantiles of the normal distribution; stored: the largest magnitude */
};

struct baseline {
    enum baseline_kind kind;
    unsigned bits, group;
};

/* Exactly what is stored, per weight. */
static inline double baseline_rate(const struct baseline *baseline)
{
    return baseline->bits + (baseline->kind == BASELINE_ASYMMETRIC ? 32.0 : 16.0) / baseline->group;
}

/* Inverse of the normal distribution function for 1/2 <= p < 1, by Newton's method, which converges from 0 since the
 * distribution function is concave there. */
static inline double normal_quantile(double p)
{
    double x = 0;
    for (int i = 0; i < 60; i++)
        x += (p - erfc(-x / sqrt(2)) / 2) * sqrt(2 * 3.14159265358979323846) * exp(x * x / 2);
    return x;
}

/* NF4 as QLoRA (arXiv 2305.14314) has it: zero, 8 quantiles above and 7 below it, evenly spaced in probability from
 * 1/2 to 1 - delta with delta = (1/32 + 1/30) / 2, divided by the largest. */
static inline void normal_levels(float levels[16])
{
    const double end = 1 - (1.0 / 32 + 1.0 / 30) / 2, largest = normal_quantile(end);
    levels[7] = 0;
    for (int i = 1; i <= 8; i++)
        levels[7 + i] = (float)(normal_quantile(0.5 + (end - 0.5) * i / 8) / largest);
    for (int i = 1; i <= 7; i++)
        levels[7 - i] = (float)(-normal_quantile(0.5 + (end - 0.5) * i / 7) / largest);
}

static inline float as_half(const struct hc_convert_ops *convert, float value)
{
    uint16_t half;
    float rounded;
    convert->f32_to_f16(&value, 1, &half);
    convert->f16_to_f32(&half, 1, &rounded);
    return rounded;
}

/* The whole number in least..most that is nearest to x / step, ties to even; step may be 0. A sum of 3 2^22 and a
 * number as small as these has no place for a fraction. (rintf and fminf would be calls.) */
static inline float nearest_step(float x, float step, float least, float most)
{
    float q = step != 0 ? x / step : 0;
    q = q < least ? least : q > most ? most : q;
    return q + 0x1.8p23f - 0x1.8p23f;
}

static inline float nearest_level(const float levels[16], float x)
{
    int best = 0;
    for (int i = 1; i < 16; i++)
        if (fabsf(x - levels[i]) < fabsf(x - levels[best]))
            best = i;
    return levels[best];
}

/* What a group of n weights comes back as. */
static inline void baseline_round(const struct baseline *baseline, const struct hc_convert_ops *convert,
                                  const float levels[16], const float *weights, size_t n, float *out)
{
    float least = weights[0], most = weights[0], half = (float)(1u << (baseline->bits - 1));
    for (size_t i = 1; i < n; i++) {
        least = fminf(least, weights[i]);
        most = fmaxf(most, weights[i]);
    }
    float extreme = -least > most ? least : most;
    float base = as_half(convert, least), step;
    switch (baseline->kind) {
    case BASELINE_SYMMETRIC:
        step = as_half(convert, -extreme / half);
        for (size_t i = 0; i < n; i++)
            out[i] = step * nearest_step(weights[i], step, -half, half - 1);
        break;
    case BASELINE_ASYMMETRIC:
        step = as_half(convert, (most - least) / (2 * half - 1));
        for (size_t i = 0; i < n; i++)
            out[i] = base + step * nearest_step(weights[i] - base, step, 0, 2 * half - 1);
        break;
    case BASELINE_NORMAL:
        step = as_half(convert, fabsf(extreme));
        for (size_t i = 0; i < n; i++)
            out[i] = step * (step != 0 ? nearest_level(levels, weights[i] / step) : 0);
        break;
    }
}

#endif
