/* Sixteen numbers at a time; a masked step finishes. */
#include "silu.h"

#include "common/dot_avx512.h"
#include "common/exponential_avx512.h"

static void gate(float *gate, const float *up, size_t n)
{
    const __m512 one = _mm512_set1_ps(1), sign = _mm512_set1_ps(-0.0f);
    for (size_t j = 0; j < n; j += 16) {
        __mmask16 here = hc_lanes16(j, n);
        __m512 x = _mm512_maskz_loadu_ps(here, gate + j);
        __m512 silu = _mm512_div_ps(x, _mm512_add_ps(one, hc_exp_avx512(_mm512_xor_ps(x, sign))));
        _mm512_mask_storeu_ps(gate + j, here, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(here, up + j)));
    }
}

void hc_silu_avx512(struct hc_silu_ops *ops)
{
    ops->gate = gate;
}
