/* Eight numbers at a time; plain C finishes. */
#include "silu.h"

#include "common/exponential_avx2.h"

static void gate(float *gate, const float *up, size_t n)
{
    const __m256 one = _mm256_set1_ps(1), sign = _mm256_set1_ps(-0.0f);
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 x = _mm256_loadu_ps(gate + j);
        __m256 silu = _mm256_div_ps(x, _mm256_add_ps(one, hc_exp_avx2(_mm256_xor_ps(x, sign))));
        _mm256_storeu_ps(gate + j, _mm256_mul_ps(silu, _mm256_loadu_ps(up + j)));
    }
    struct hc_silu_ops plain;
    hc_silu_c(&plain);
    plain.gate(gate + j, up + j, n - j);
}

void hc_silu_avx2(struct hc_silu_ops *ops)
{
    ops->gate = gate;
}
