#include "rms_norm.h"

#include "common/dot.h"

static void rows(const float *x, const float *gain, size_t rows, size_t width, float epsilon, float *out)
{
    for (const float *end = x + rows * width; x < end; x += width, out += width) {
        float factor = 1 / sqrtf(hc_dot(x, x, width) / (float)width + epsilon);
        for (size_t j = 0; j < width; j++)
            out[j] = x[j] * factor * gain[j];
    }
}

void hc_rms_norm_c(struct hc_rms_norm_ops *ops)
{
    ops->rows = rows;
}
