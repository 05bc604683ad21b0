/* Sixteen numbers at a time, which are the lanes of the sum; a masked step finishes. */
#include "softmax.h"

#include "common/dot_avx512.h"
#include "common/exponential_avx512.h"

static size_t largest(const float *x, size_t n)
{
    const __m512 least = _mm512_set1_ps(-INFINITY);
    __m512 most = least;
    for (size_t j = 0; j < n; j += 16) /* of NaN and another the second is taken */
        most = _mm512_max_ps(_mm512_mask_loadu_ps(least, hc_lanes16(j, n), x + j), most);
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (size_t j = 0; j < n; j += 16) {
        __mmask16 here = hc_lanes16(j, n);
        __mmask16 equal = _mm512_mask_cmp_ps_mask(here, _mm512_maskz_loadu_ps(here, x + j), most, _CMP_EQ_OQ);
        if (equal != 0)
            return j + (unsigned)__builtin_ctz(equal);
    }
    return 0;
}

static float exponentials(float *x, size_t n, float max)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t j = 0; j < n; j += 16) {
        __mmask16 here = hc_lanes16(j, n);
        __m512 value = hc_exp_avx512(_mm512_sub_ps(_mm512_maskz_loadu_ps(here, x + j), _mm512_set1_ps(max)));
        _mm512_mask_storeu_ps(x + j, here, value);
        sum = _mm512_mask_add_ps(sum, here, sum, value);
    }
    return hc_dot_sum_avx512(sum);
}

void hc_softmax_avx512(struct hc_softmax_ops *ops)
{
    *ops = (struct hc_softmax_ops){largest, exponentials};
}
