#include "softmax.h"

#include "common/dot.h"
#include "common/exponential.h"

static size_t largest(const float *x, size_t n)
{
    float most = -INFINITY;
    for (size_t j = 0; j < n; j++)
        most = x[j] > most ? x[j] : most;
    for (size_t j = 0; j < n; j++)
        if (x[j] == most)
            return j;
    return 0;
}

static float exponentials(float *x, size_t n, float max)
{
    float lanes[HC_DOT_LANES] = {0};
    for (size_t j = 0; j < n; j++) {
        x[j] = hc_exp(x[j] - max);
        lanes[j % HC_DOT_LANES] += x[j];
    }
    return hc_dot_sum(lanes);
}

void hc_softmax_c(struct hc_softmax_ops *ops)
{
    *ops = (struct hc_softmax_ops){largest, exponentials};
}
