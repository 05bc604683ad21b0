/* Eight numbers at a time; plain C finishes. */
#include "rms_norm.h"

#include <math.h>

#include "common/dot_avx2.h"

static void row(const float *x, const float *gain, size_t width, float epsilon, float *out)
{
    const float factor = 1 / sqrtf(hc_dot_avx2(x, x, width) / (float)width + epsilon);
    size_t j = 0;
    for (; j + 8 <= width; j += 8) {
        __m256 value = _mm256_mul_ps(_mm256_loadu_ps(x + j), _mm256_set1_ps(factor));
        _mm256_storeu_ps(out + j, _mm256_mul_ps(value, _mm256_loadu_ps(gain + j)));
    }
    for (; j < width; j++)
        out[j] = x[j] * factor * gain[j];
}

static void rows(const float *x, const float *gain, size_t rows, size_t width, float epsilon, float *out)
{
    for (size_t r = 0; r < rows; r++)
        row(x + r * width, gain, width, epsilon, out + r * width);
}

void hc_rms_norm_avx2(struct hc_rms_norm_ops *ops)
{
    ops->rows = rows;
}
