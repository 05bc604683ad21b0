#include "dequant.h"

#include <string.h>

static uint16_t load_u16(const uint8_t *in)
{
    return (uint16_t)(in[0] | in[1] << 8);
}

static uint32_t load_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* A half precision number. Exact: 2^112 lifts its exponent (bias 15) to that of a float (bias 127). */
static float load_half(const uint8_t *in)
{
    uint32_t half = load_u16(in);
    uint32_t bits = (half & 0x7fff) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    if ((half & 0x7c00) == 0x7c00) /* infinity and NaN have the largest exponent in both */
        bits |= 0x7f800000;
    bits |= (half & 0x8000) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- Blocks of 32 ------------------------------------------------------------------------- */

/* d (half), 16 bytes: weight i in the low, weight i + 16 in the high four bits of byte i.
 * (q - 8) * d */
static void q4_0(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 18, out += 32) {
        float d = load_half(in);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)((in[2 + i] & 15) - 8) * d;
            out[i + 16] = (float)((in[2 + i] >> 4) - 8) * d;
        }
    }
}

/* d, m (halves), 16 bytes as above. q * d + m */
static void q4_1(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 20, out += 32) {
        float d = load_half(in), m = load_half(in + 2);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)(in[4 + i] & 15) * d + m;
            out[i + 16] = (float)(in[4 + i] >> 4) * d + m;
        }
    }
}

/* d (half), 32 bits with the fifth bit of each weight, 16 bytes as above. (q - 16) * d */
static void q5_0(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 22, out += 32) {
        float d = load_half(in);
        uint32_t high = load_u32(in + 2);
        for (int i = 0; i < 16; i++) {
            int low_weight = (in[6 + i] & 15) | (int)(high >> i & 1) << 4;
            int high_weight = in[6 + i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
            out[i] = (float)(low_weight - 16) * d;
            out[i + 16] = (float)(high_weight - 16) * d;
        }
    }
}

/* d, m (halves), fifth bits and 16 bytes as above. q * d + m */
static void q5_1(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 24, out += 32) {
        float d = load_half(in), m = load_half(in + 2);
        uint32_t high = load_u32(in + 4);
        for (int i = 0; i < 16; i++) {
            int low_weight = (in[8 + i] & 15) | (int)(high >> i & 1) << 4;
            int high_weight = in[8 + i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
            out[i] = (float)low_weight * d + m;
            out[i + 16] = (float)high_weight * d + m;
        }
    }
}

/* d (half), 32 signed bytes. q * d */
static void q8_0(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 34, out += 32) {
        float d = load_half(in);
        for (int i = 0; i < 32; i++)
            out[i] = (float)(int8_t)in[2 + i] * d;
    }
}

/* ---- Blocks of 256 ------------------------------------------------------------------------ */

/* 16 bytes of scales (low four bits) and minima (high) of 16 weights each, 64 bytes of quarters, d, dmin (halves).
 * Each half of 128 weights takes 32 bytes: weight 32 j + i has bits 2 j, 2 j + 1 of byte i.
 * (d * scale) * q - (dmin * minimum) */
static void q2_k(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 84) {
        const uint8_t *quarters = in + 16;
        float d = load_half(in + 80), dmin = load_half(in + 82);
        for (int group = 0; group < 16; group++, out += 16) {
            float scale = d * (float)(in[group] & 15), minimum = dmin * (float)(in[group] >> 4);
            const uint8_t *q = quarters + 32 * (group / 8) + 16 * (group % 2);
            int shift = 2 * (group % 8 / 2);
            for (int i = 0; i < 16; i++)
                out[i] = scale * (float)(q[i] >> shift & 3) - minimum;
        }
    }
}

/* The scale of 16 weights of a Q3_K block, -32..31: four bits of each stand in the first 8 of 12 bytes, the upper
 * two of scale g at bits 2 (g / 4) of byte 8 + g mod 4. */
static int q3_k_scale(const uint8_t *scales, int group)
{
    int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    int high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
    return (low | high << 4) - 32;
}

/* 32 bytes of third bits, 64 bytes of quarters as in Q2_K, 12 bytes of scales, d (half). Weight 32 j + i has
 * its third bit at bit j of byte i; where it is 0, 4 is taken off. (d * scale) * q */
static void q3_k(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 110) {
        float d = load_half(in + 108);
        for (int group = 0; group < 16; group++, out += 16) {
            float scale = d * (float)q3_k_scale(in + 96, group);
            const uint8_t *third = in + 16 * (group % 2);
            const uint8_t *q = in + 32 + 32 * (group / 8) + 16 * (group % 2);
            int shift = 2 * (group % 8 / 2);
            for (int i = 0; i < 16; i++)
                out[i] = scale * (float)((q[i] >> shift & 3) - (third[i] >> (group / 2) & 1 ? 0 : 4));
        }
    }
}

/* Scale and minimum of 32 weights of a Q4_K or Q5_K block, six bits each, of 12 bytes: groups 0..3 have them in the
 * low bits of bytes 0..3 and 4..7; 4..7 in the halves of bytes 8..11, with two bits on top of those. */
static void q4_k_scale(const uint8_t *scales, int group, int *scale, int *minimum)
{
    if (group < 4) {
        *scale = scales[group] & 63;
        *minimum = scales[group + 4] & 63;
    } else {
        *scale = (scales[group + 4] & 15) | scales[group - 4] >> 6 << 4;
        *minimum = scales[group + 4] >> 4 | scales[group] >> 6 << 4;
    }
}

/* d, dmin (halves), 12 bytes of scales and minima, 128 bytes: each 32 of them hold 32 weights in their low and the next
 * 32 in their high four bits. (d * scale) * q - (dmin * minimum) */
static void q4_k(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 144) {
        float d = load_half(in), dmin = load_half(in + 2);
        for (int group = 0; group < 8; group++, out += 32) {
            int scale, minimum;
            q4_k_scale(in + 4, group, &scale, &minimum);
            float a = d * (float)scale, b = dmin * (float)minimum;
            const uint8_t *q = in + 16 + 32 * (group / 2);
            int shift = 4 * (group % 2);
            for (int i = 0; i < 32; i++)
                out[i] = a * (float)(q[i] >> shift & 15) - b;
        }
    }
}

/* As Q4_K, with 32 bytes of fifth bits after the scales: bit g of byte i belongs to weight i of group g. */
static void q5_k(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 176) {
        float d = load_half(in), dmin = load_half(in + 2);
        for (int group = 0; group < 8; group++, out += 32) {
            int scale, minimum;
            q4_k_scale(in + 4, group, &scale, &minimum);
            float a = d * (float)scale, b = dmin * (float)minimum;
            const uint8_t *fifth = in + 16, *q = in + 48 + 32 * (group / 2);
            int shift = 4 * (group % 2);
            for (int i = 0; i < 32; i++)
                out[i] = a * (float)((q[i] >> shift & 15) + (fifth[i] >> group & 1) * 16) - b;
        }
    }
}

/* 128 bytes of low four bits, 64 of upper two, 16 signed bytes of scales of 16 weights each, d (half). In each half of
 * 128 weights, group j of 32 has its low bits in 32 bytes j mod 2, lower (j < 2) or upper four; its upper two at bits 2
 * j of 32 bytes. (d * scale) * (q - 32) */
static void q6_k(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 210) {
        float d = load_half(in + 208);
        for (int group = 0; group < 16; group++, out += 16) {
            int half = group / 8, j = group % 8 / 2, rest = 16 * (group % 2);
            float scale = d * (float)(int8_t)in[192 + group];
            const uint8_t *low = in + 64 * half + 32 * (j % 2) + rest;
            const uint8_t *high = in + 128 + 32 * half + rest;
            for (int i = 0; i < 16; i++) {
                int q = (low[i] >> (4 * (j / 2)) & 15) | (high[i] >> (2 * j) & 3) << 4;
                out[i] = scale * (float)(q - 32);
            }
        }
    }
}

/* d (float), 256 signed bytes, 16 sums that only products need. d * q */
static void q8_k(const uint8_t *in, size_t blocks, float *out)
{
    for (; blocks > 0; blocks--, in += 292, out += 256) {
        float d;
        memcpy(&d, in, sizeof d);
        for (int i = 0; i < 256; i++)
            out[i] = d * (float)(int8_t)in[4 + i];
    }
}

void hc_dequant_c(struct hc_dequant_ops *ops)
{
    *ops = (struct hc_dequant_ops){
        .q4_0 = q4_0,
        .q4_1 = q4_1,
        .q5_0 = q5_0,
        .q5_1 = q5_1,
        .q8_0 = q8_0,
        .q2_k = q2_k,
        .q3_k = q3_k,
        .q4_k = q4_k,
        .q5_k = q5_k,
        .q6_k = q6_k,
        .q8_k = q8_k,
    };
}
