#include "convert.h"

#include <string.h>

/* Elements of files lie at any address: they are loaded byte by byte. */
static uint16_t load_u16(const uint16_t *in, size_t i)
{
    uint16_t value;
    memcpy(&value, (const unsigned char *)in + i * sizeof value, sizeof value);
    return value;
}

static void store_u16(uint16_t *out, size_t i, uint16_t value)
{
    memcpy((unsigned char *)out + i * sizeof value, &value, sizeof value);
}

static float load_f32(const float *in, size_t i)
{
    float value;
    memcpy(&value, (const unsigned char *)in + i * sizeof value, sizeof value);
    return value;
}

static void store_f32(float *out, size_t i, float value)
{
    memcpy((unsigned char *)out + i * sizeof value, &value, sizeof value);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Half precision: 1 sign, 5 exponent (bias 15), 10 mantissa bits. */
static float f16_value(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 0x1f)
        return from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) {
        float magnitude = (float)mantissa * 0x1p-24f;
        return from_bits(sign | bits_of(magnitude));
    }
    return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* 4 exponent bits (bias 7), 3 mantissa bits; no infinity. */
static float f8_e4m3_value(uint8_t byte)
{
    uint32_t sign = (uint32_t)(byte & 0x80) << 24;
    uint32_t exponent = byte >> 3 & 0xf, mantissa = byte & 7;
    if ((byte & 0x7f) == 0x7f)
        return from_bits(sign | 0x7fc00000);
    if (exponent == 0)
        return from_bits(sign | bits_of((float)mantissa * 0x1p-9f));
    return from_bits(sign | (exponent + 120) << 23 | mantissa << 20);
}

static uint16_t f16_nearest(float value)
{
    uint32_t bits = bits_of(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return sign | 0x7e00;
    if (magnitude >= 0x477ff000) /* half way from 65504 to 65536: infinity by the tie to even */
        return sign | 0x7c00;
    if (magnitude < 0x38800000) { /* below 2^-14: a multiple of 2^-24, which the addition rounds to */
        uint32_t sum = bits_of(from_bits(magnitude) + 0.5f);
        return (uint16_t)(sign | (sum - 0x3f000000));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded >> 13) - (112 << 10)));
}

static uint16_t bf16_nearest(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void f16_to_f32(const uint16_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        store_f32(out, i, f16_value(load_u16(in, i)));
}

static void bf16_to_f32(const uint16_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        store_f32(out, i, from_bits((uint32_t)load_u16(in, i) << 16));
}

static void f64_to_f32(const double *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, (const unsigned char *)in + i * sizeof value, sizeof value);
        store_f32(out, i, (float)value);
    }
}

static void f8_e4m3_to_f32(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        store_f32(out, i, f8_e4m3_value(in[i]));
}

/* E5M2 is the upper half of a half. */
static void f8_e5m2_to_f32(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        store_f32(out, i, f16_value((uint16_t)(in[i] << 8)));
}

static void f32_to_f16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        store_u16(out, i, f16_nearest(load_f32(in, i)));
}

static void f32_to_bf16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        store_u16(out, i, bf16_nearest(load_f32(in, i)));
}

void hc_convert_c(struct hc_convert_ops *ops)
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
