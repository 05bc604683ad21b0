#include "sampling.h"

#include <float.h>

static void make_finite(float *logits, size_t n)
{
    for (size_t t = 0; t < n; t++) {
        float most = logits[t] > -FLT_MAX ? logits[t] : -FLT_MAX; /* NaN is not */
        logits[t] = most < FLT_MAX ? most : FLT_MAX;
    }
}

static float reached(const float *logits, size_t n, size_t k)
{
    float least = FLT_MAX;
    size_t t = 0;
    for (size_t i = 0; i < k; i++) {
        const size_t end = (size_t)((uint64_t)n * (i + 1) / k);
        float greatest = -FLT_MAX;
        for (; t < end; t++)
            greatest = logits[t] > greatest ? logits[t] : greatest;
        least = greatest < least ? greatest : least;
    }
    return least + 0.0f;
}

static size_t collect(const float *logits, size_t n, float least, uint64_t *keys)
{
    size_t count = 0;
    for (size_t t = 0; t < n; t++)
        if (logits[t] >= least)
            keys[count++] = hc_sampling_key(logits[t], (int32_t)t);
    return count;
}

static double total(const float *logits, size_t n, float best, float temperature)
{
    double sum = 0;
    for (size_t t = 0; t < n; t++)
        sum += (double)hc_sampling_weight(logits[t], best, temperature);
    return sum;
}

void hc_sampling_c(struct hc_sampling_ops *ops)
{
    *ops = (struct hc_sampling_ops){make_finite, reached, collect, total};
}
