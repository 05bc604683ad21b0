#include "silu.h"

#include "common/exponential.h"

static void gate(float *gate, const float *up, size_t n)
{
    for (size_t j = 0; j < n; j++)
        gate[j] = gate[j] / (1 + hc_exp(-gate[j])) * up[j];
}

void hc_silu_c(struct hc_silu_ops *ops)
{
    ops->gate = gate;
}
