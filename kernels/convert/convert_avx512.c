/* Sixteen elements at a time (eight doubles); a masked step finishes. */
#include <immintrin.h>

#include "convert.h"

/* The lanes of the step at i: all, or what is left of n. */
static __mmask16 lanes16(size_t i, size_t n)
{
    return n - i >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (n - i)) - 1);
}

static void f16_to_f32(const uint16_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes16(i, n);
        __m256i half = _mm256_maskz_loadu_epi16(lanes, in + i);
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_cvtph_ps(half));
    }
}

static void bf16_to_f32(const uint16_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes16(i, n);
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, in + i));
        _mm512_mask_storeu_epi32(out + i, lanes, _mm512_slli_epi32(wide, 16));
    }
}

static void f64_to_f32(const double *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 8) {
        __mmask8 lanes = n - i >= 8 ? (__mmask8)0xff : (__mmask8)((1u << (n - i)) - 1);
        _mm256_mask_storeu_ps(out + i, lanes, _mm512_cvtpd_ps(_mm512_maskz_loadu_pd(lanes, in + i)));
    }
}

/* Exponent and mantissa, put where a half has its own, mean 2^-8 times the value; subnormals included. */
static void f8_e4m3_to_f32(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes16(i, n);
        __m256i wide = _mm256_cvtepu8_epi16(_mm_maskz_loadu_epi8(lanes, in + i));
        __m256i magnitude = _mm256_and_si256(wide, _mm256_set1_epi16(0x7f));
        __m256i sign = _mm256_slli_epi16(_mm256_and_si256(wide, _mm256_set1_epi16(0x80)), 8);
        __mmask16 is_nan = _mm256_cmpeq_epi16_mask(magnitude, _mm256_set1_epi16(0x7f));
        __m256i half = _mm256_mask_mov_epi16(_mm256_slli_epi16(magnitude, 7), is_nan, _mm256_set1_epi16(0x7e00));
        __m512 value = _mm512_cvtph_ps(_mm256_or_si256(half, sign));
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(value, _mm512_set1_ps(256.0f)));
    }
}

static void f8_e5m2_to_f32(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes16(i, n);
        __m256i half = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_maskz_loadu_epi8(lanes, in + i)), 8);
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_cvtph_ps(half));
    }
}

static void f32_to_f16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes16(i, n);
        __m512 value = _mm512_maskz_loadu_ps(lanes, in + i);
        __m256i half = _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16(out + i, lanes, half);
    }
}

static void f32_to_bf16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes16(i, n);
        __m512 value = _mm512_maskz_loadu_ps(lanes, in + i);
        __m512i bits = _mm512_castps_si512(value);
        __m512i high = _mm512_srli_epi32(bits, 16);
        __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
        __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
        __m512i quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
        __m512i result = _mm512_mask_mov_epi32(_mm512_srli_epi32(rounded, 16), is_nan, quiet);
        _mm256_mask_storeu_epi16(out + i, lanes, _mm512_cvtepi32_epi16(result));
    }
}

void hc_convert_avx512(struct hc_convert_ops *ops)
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
