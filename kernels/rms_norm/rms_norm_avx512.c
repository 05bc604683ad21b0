/* Sixteen numbers at a time; a masked step finishes. */
#include "rms_norm.h"

#include <math.h>

#include "common/dot_avx512.h"

static void row(const float *x, const float *gain, size_t width, float epsilon, float *out)
{
    const __m512 factor = _mm512_set1_ps(1 / sqrtf(hc_dot_avx512(x, x, width) / (float)width + epsilon));
    for (size_t j = 0; j < width; j += 16) {
        __mmask16 here = hc_lanes16(j, width);
        __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(here, x + j), factor);
        _mm512_mask_storeu_ps(out + j, here, _mm512_mul_ps(value, _mm512_maskz_loadu_ps(here, gain + j)));
    }
}

static void rows(const float *x, const float *gain, size_t rows, size_t width, float epsilon, float *out)
{
    for (size_t r = 0; r < rows; r++)
        row(x + r * width, gain, width, epsilon, out + r * width);
}

void hc_rms_norm_avx512(struct hc_rms_norm_ops *ops)
{
    ops->rows = rows;
}
