#include "rotary.h"

static void heads(float *x, size_t heads, size_t width, const float *cosines, const float *sines)
{
    size_t half = width / 2;
    for (float *end = x + heads * width; x < end; x += width)
        for (size_t d = 0; d < half; d++) {
            float a = x[d], b = x[half + d];
            x[d] = a * cosines[d] - b * sines[d];
            x[half + d] = b * cosines[d] + a * sines[d];
        }
}

void hc_rotary_c(struct hc_rotary_ops *ops)
{
    ops->heads = heads;
}
