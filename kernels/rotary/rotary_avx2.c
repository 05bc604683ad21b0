/* Eight pairs at a time; plain C finishes. */
#include "rotary.h"

#include <immintrin.h>

/* The pairs (a[d], b[d]). */
static void turn(float *a, float *b, size_t n, const float *cosines, const float *sines)
{
    size_t d = 0;
    for (; d + 8 <= n; d += 8) {
        __m256 x = _mm256_loadu_ps(a + d), y = _mm256_loadu_ps(b + d);
        __m256 c = _mm256_loadu_ps(cosines + d), s = _mm256_loadu_ps(sines + d);
        _mm256_storeu_ps(a + d, _mm256_sub_ps(_mm256_mul_ps(x, c), _mm256_mul_ps(y, s)));
        _mm256_storeu_ps(b + d, _mm256_add_ps(_mm256_mul_ps(y, c), _mm256_mul_ps(x, s)));
    }
    for (; d < n; d++) {
        float x = a[d], y = b[d];
        a[d] = x * cosines[d] - y * sines[d];
        b[d] = y * cosines[d] + x * sines[d];
    }
}

static void heads(float *x, size_t heads, size_t width, const float *cosines, const float *sines)
{
    for (size_t h = 0; h < heads; h++)
        turn(x + h * width, x + h * width + width / 2, width / 2, cosines, sines);
}

void hc_rotary_avx2(struct hc_rotary_ops *ops)
{
    ops->heads = heads;
}
