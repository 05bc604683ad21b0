/* Sixteen pairs at a time; a masked step finishes. */
#include "rotary.h"

#include <immintrin.h>

#include "common/dot_avx512.h"

/* The pairs (a[d], b[d]). */
static void turn(float *a, float *b, size_t n, const float *cosines, const float *sines)
{
    for (size_t d = 0; d < n; d += 16) {
        __mmask16 here = hc_lanes16(d, n);
        __m512 x = _mm512_maskz_loadu_ps(here, a + d), y = _mm512_maskz_loadu_ps(here, b + d);
        __m512 c = _mm512_maskz_loadu_ps(here, cosines + d), s = _mm512_maskz_loadu_ps(here, sines + d);
        _mm512_mask_storeu_ps(a + d, here, _mm512_sub_ps(_mm512_mul_ps(x, c), _mm512_mul_ps(y, s)));
        _mm512_mask_storeu_ps(b + d, here, _mm512_add_ps(_mm512_mul_ps(y, c), _mm512_mul_ps(x, s)));
    }
}

static void heads(float *x, size_t heads, size_t width, const float *cosines, const float *sines)
{
    for (size_t h = 0; h < heads; h++)
        turn(x + h * width, x + h * width + width / 2, width / 2, cosines, sines);
}

void hc_rotary_avx512(struct hc_rotary_ops *ops)
{
    ops->heads = heads;
}
