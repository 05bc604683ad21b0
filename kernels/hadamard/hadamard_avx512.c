/* A vector is transformed in itself first (h = 1 .. 8), then vectors with each other. */
#include "hadamard.h"

#include <immintrin.h>
#include <math.h>

enum { LANES = 16 };

/* Between neighbours h lanes apart: `other` is `x` with each pair exchanged, `upper` are the lanes with bit h set. */
static inline __m512 within(__m512 x, __m512 other, __mmask16 upper)
{
    return _mm512_mask_sub_ps(_mm512_add_ps(x, other), upper, other, x);
}

static inline __m512 vector(__m512 x)
{
    enum { NEXT = 1 | 0 << 2 | 3 << 4 | 2 << 6, NEXT_BUT_ONE = 2 | 3 << 2 | 0 << 4 | 1 << 6 };
    x = within(x, _mm512_permute_ps(x, NEXT), 0xaaaa);
    x = within(x, _mm512_permute_ps(x, NEXT_BUT_ONE), 0xcccc);
    x = within(x, _mm512_shuffle_f32x4(x, x, NEXT), 0xf0f0);
    return within(x, _mm512_shuffle_f32x4(x, x, NEXT_BUT_ONE), 0xff00);
}

/* The last steps, h = 16 .. block/2. */
static inline void between(float *at, unsigned block, unsigned h)
{
    for (unsigned i = 0; i < block; i += LANES) {
        if (i & h)
            continue;
        __m512 a = _mm512_loadu_ps(at + i), b = _mm512_loadu_ps(at + i + h);
        _mm512_storeu_ps(at + i, _mm512_add_ps(a, b));
        _mm512_storeu_ps(at + i + h, _mm512_sub_ps(a, b));
    }
}

static void blocks(float *data, size_t n, unsigned block)
{
    const __m512 norm = _mm512_set1_ps((float)(1 / sqrt((double)block)));
    for (float *at = data; at < data + n; at += block) {
        for (unsigned i = 0; i < block; i += LANES)
            _mm512_storeu_ps(at + i, vector(_mm512_loadu_ps(at + i)));
        for (unsigned h = LANES; h < block; h *= 2)
            between(at, block, h);
        for (unsigned i = 0; i < block; i += LANES)
            _mm512_storeu_ps(at + i, _mm512_mul_ps(_mm512_loadu_ps(at + i), norm));
    }
}

void hc_hadamard_avx512(struct hc_hadamard_ops *ops)
{
    ops->blocks = blocks;
}
