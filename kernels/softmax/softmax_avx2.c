/* Eight numbers at a time; plain C finishes. */
#include "softmax.h"

#include "common/dot.h"
#include "common/dot_avx2.h"
#include "common/exponential_avx2.h"

static float most_of(const float *x, size_t n)
{
    __m256 most = _mm256_set1_ps(-INFINITY);
    size_t j = 0;
    for (; j + 8 <= n; j += 8) /* of NaN and another the second is taken */
        most = _mm256_max_ps(_mm256_loadu_ps(x + j), most);
    float lanes[8], result = -INFINITY;
    _mm256_storeu_ps(lanes, most);
    for (int l = 0; l < 8; l++)
        result = lanes[l] > result ? lanes[l] : result;
    for (; j < n; j++)
        result = x[j] > result ? x[j] : result;
    return result;
}

static size_t largest(const float *x, size_t n)
{
    const float most = most_of(x, n);
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 equal = _mm256_cmp_ps(_mm256_loadu_ps(x + j), _mm256_set1_ps(most), _CMP_EQ_OQ);
        unsigned lanes = (unsigned)_mm256_movemask_ps(equal);
        if (lanes != 0)
            return j + (unsigned)__builtin_ctz(lanes);
    }
    for (; j < n; j++)
        if (x[j] == most)
            return j;
    return 0;
}

static __m256 eight(float *x, float max)
{
    __m256 value = hc_exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(x), _mm256_set1_ps(max)));
    _mm256_storeu_ps(x, value);
    return value;
}

static float exponentials(float *x, size_t n, float max)
{
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    size_t j = 0;
    for (; j + 16 <= n; j += 16) {
        low = _mm256_add_ps(low, eight(x + j, max));
        high = _mm256_add_ps(high, eight(x + j + 8, max));
    }
    float lanes[HC_DOT_LANES];
    _mm256_storeu_ps(lanes, low);
    _mm256_storeu_ps(lanes + 8, high);
    for (size_t l = 0; j + l < n; l++) {
        x[j + l] = hc_exp(x[j + l] - max);
        lanes[l] += x[j + l];
    }
    return hc_dot_sum(lanes);
}

void hc_softmax_avx2(struct hc_softmax_ops *ops)
{
    *ops = (struct hc_softmax_ops){largest, exponentials};
}
