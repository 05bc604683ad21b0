/* Eight elements at a time; plain C finishes. */
#include <immintrin.h>

#include "convert.h"

static struct hc_convert_ops plain_ops(void)
{
    struct hc_convert_ops ops;
    hc_convert_c(&ops);
    return ops;
}

static __m256i abs_bits(__m256 value)
{
    return _mm256_and_si256(_mm256_castps_si256(value), _mm256_set1_epi32(0x7fffffff));
}

static void f16_to_f32(const uint16_t *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(in + i))));
    plain_ops().f16_to_f32(in + i, n - i, out + i);
}

static void bf16_to_f32(const uint16_t *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(in + i)));
        _mm256_storeu_si256((void *)(out + i), _mm256_slli_epi32(wide, 16));
    }
    plain_ops().bf16_to_f32(in + i, n - i, out + i);
}

static void f64_to_f32(const double *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        _mm_storeu_ps(out + i, _mm256_cvtpd_ps(_mm256_loadu_pd(in + i)));
    plain_ops().f64_to_f32(in + i, n - i, out + i);
}

/* Exponent and mantissa, put where a half has its own, mean 2^-8 times the value; subnormals included. */
static void f8_e4m3_to_f32(const uint8_t *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64((const void *)(in + i)));
        __m128i magnitude = _mm_and_si128(wide, _mm_set1_epi16(0x7f));
        __m128i sign = _mm_slli_epi16(_mm_and_si128(wide, _mm_set1_epi16(0x80)), 8);
        __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x7f)), _mm_set1_epi16(0x7e00));
        __m128i half = _mm_or_si128(_mm_or_si128(sign, nan), _mm_slli_epi16(magnitude, 7));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0f)));
    }
    plain_ops().f8_e4m3_to_f32(in + i, n - i, out + i);
}

static void f8_e5m2_to_f32(const uint8_t *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm_slli_epi16(_mm_cvtepu8_epi16(_mm_loadl_epi64((const void *)(in + i))), 8);
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
    }
    plain_ops().f8_e5m2_to_f32(in + i, n - i, out + i);
}

static void f32_to_f16(const float *in, size_t n, uint16_t *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    plain_ops().f32_to_f16(in + i, n - i, out + i);
}

static void f32_to_bf16(const float *in, size_t n, uint16_t *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 value = _mm256_loadu_ps(in + i);
        __m256i bits = _mm256_castps_si256(value);
        __m256i high = _mm256_srli_epi32(bits, 16);
        __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
        __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        __m256i is_nan = _mm256_cmpgt_epi32(abs_bits(value), _mm256_set1_epi32(0x7f800000));
        __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
        __m256i result = _mm256_blendv_epi8(_mm256_srli_epi32(rounded, 16), quiet, is_nan);
        /* The pack works in each half of the register: the quarters go back in order. */
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(result, result), 0x08);
        _mm_storeu_si128((void *)(out + i), _mm256_castsi256_si128(packed));
    }
    plain_ops().f32_to_bf16(in + i, n - i, out + i);
}

void hc_convert_avx2(struct hc_convert_ops *ops)
{
    *ops = (struct hc_convert_ops){
        .f16_to_f32 = f16_to_f32,
        .bf16_to_f32 = bf16_to_f32,
        .f64_to_f32 = f64_to_f32,
        .f8_e4m3_to_f32 = f8_e4m3_to_f32,
        .f8_e5m2_to_f32 = f8_e5m2_to_f32,
        .f32_to_f16 = f32_to_f16,
        .f32_to_bf16 = f32_to_bf16,
    };
}
