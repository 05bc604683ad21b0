#include "hadamard.h"

#include <math.h>

static void blocks(float *data, size_t n, unsigned block)
{
    float norm = (float)(1 / sqrt((double)block));
    for (float *at = data; at < data + n; at += block) {
        for (unsigned h = 1; h < block; h *= 2)
            for (unsigned i = 0; i < block; i++)
                if (!(i & h)) {
                    float a = at[i], b = at[i + h];
                    at[i] = a + b;
                    at[i + h] = a - b;
                }
        for (unsigned i = 0; i < block; i++)
            at[i] *= norm;
    }
}

void hc_hadamard_c(struct hc_hadamard_ops *ops)
{
    ops->blocks = blocks;
}
