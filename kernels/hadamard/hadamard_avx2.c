/* A vector is transformed in itself first (h = 1, 2, 4), then vectors with each other. */
#include "hadamard.h"

#include <immintrin.h>
#include <math.h>

enum { LANES = 8 };

static inline __m256 vector(__m256 x)
{
    enum { NEXT = 1 | 0 << 2 | 3 << 4 | 2 << 6, NEXT_BUT_ONE = 2 | 3 << 2 | 0 << 4 | 1 << 6, HALVES = 1 };
    __m256 other = _mm256_permute_ps(x, NEXT);
    x = _mm256_blend_ps(_mm256_add_ps(x, other), _mm256_sub_ps(other, x), 0xaa);
    other = _mm256_permute_ps(x, NEXT_BUT_ONE);
    x = _mm256_blend_ps(_mm256_add_ps(x, other), _mm256_sub_ps(other, x), 0xcc);
    other = _mm256_permute2f128_ps(x, x, HALVES);
    return _mm256_blend_ps(_mm256_add_ps(x, other), _mm256_sub_ps(other, x), 0xf0);
}

/* The last steps, h = 8 .. block/2. */
static inline void between(float *at, unsigned block, unsigned h)
{
    for (unsigned i = 0; i < block; i += LANES) {
        if (i & h)
            continue;
        __m256 a = _mm256_loadu_ps(at + i), b = _mm256_loadu_ps(at + i + h);
        _mm256_storeu_ps(at + i, _mm256_add_ps(a, b));
        _mm256_storeu_ps(at + i + h, _mm256_sub_ps(a, b));
    }
}

static void blocks(float *data, size_t n, unsigned block)
{
    const __m256 norm = _mm256_set1_ps((float)(1 / sqrt((double)block)));
    for (float *at = data; at < data + n; at += block) {
        for (unsigned i = 0; i < block; i += LANES)
            _mm256_storeu_ps(at + i, vector(_mm256_loadu_ps(at + i)));
        for (unsigned h = LANES; h < block; h *= 2)
            between(at, block, h);
        for (unsigned i = 0; i < block; i += LANES)
            _mm256_storeu_ps(at + i, _mm256_mul_ps(_mm256_loadu_ps(at + i), norm));
    }
}

void hc_hadamard_avx2(struct hc_hadamard_ops *ops)
{
    ops->blocks = blocks;
}
