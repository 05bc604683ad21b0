/* Conversions: every 8- and 16-bit value against its definition, rounding at every boundary, all tiers alike. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tiers.h"

/* sign, exponent of `exponent_bits`, mantissa of `mantissa_bits`, as IEEE 754 has it. */
static double define_value(uint32_t code, int exponent_bits, int mantissa_bits, bool has_infinity)
{
    uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
    int exponent = (int)(code >> mantissa_bits & ((1u << exponent_bits) - 1));
    int bias = (1 << (exponent_bits - 1)) - 1;
    double sign = code >> (exponent_bits + mantissa_bits) & 1 ? -1.0 : 1.0;
    if (has_infinity && exponent == (1 << exponent_bits) - 1)
        return mantissa ? (double)NAN : sign * (double)INFINITY;
    double fraction = ldexp((double)mantissa, -mantissa_bits);
    return sign * (exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1.0 + fraction, exponent - bias));
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void check_to_f32(const struct hc_convert_ops *ops)
{
    static uint16_t codes[65536];
    static uint8_t bytes[256];
    static float out[65536];
    for (int i = 0; i < 65536; i++)
        codes[i] = (uint16_t)i;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;

    ops->f16_to_f32(codes, 65536, out);
    for (uint32_t i = 0; i < 65536; i++)
        cr_assert(same((double)out[i], define_value(i, 5, 10, true)), "F16 %04x", i);
    ops->bf16_to_f32(codes, 65536, out);
    for (uint32_t i = 0; i < 65536; i++)
        cr_assert(same((double)out[i], define_value(i, 8, 7, true)), "BF16 %04x", i);
    ops->f8_e5m2_to_f32(bytes, 256, out);
    for (uint32_t i = 0; i < 256; i++)
        cr_assert(same((double)out[i], define_value(i, 5, 2, true)), "F8_E5M2 %02x", i);
    ops->f8_e4m3_to_f32(bytes, 256, out);
    for (uint32_t i = 0; i < 256; i++)
        cr_assert(same((double)out[i], (i & 0x7f) == 0x7f ? (double)NAN : define_value(i, 4, 3, false)), "F8_E4M3 %02x",
                  i);
}

/* What lies between two neighbours goes to the nearer, from the middle to the even one; from the last to infinity. */
static void check_rounding(void (*to)(const float *, size_t, uint16_t *), int exponent_bits, int mantissa_bits)
{
    uint32_t infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
    for (uint32_t code = 0; code < infinity; code++) {
        double low = define_value(code, exponent_bits, mantissa_bits, true);
        /* beyond the largest number: as if the exponents went on */
        double high = code + 1 < infinity ? define_value(code + 1, exponent_bits, mantissa_bits, true)
                                          : define_value(code + 1, exponent_bits, mantissa_bits, false);
        float middle = (float)((low + high) / 2);
        const float in[6] = {(float)low, middle,     nextafterf(middle, 0.0f), nextafterf(middle, INFINITY),
                             -middle,    -(float)low};
        const uint32_t even = code + (code & 1), sign = 0x8000;
        const uint32_t expected[6] = {code, even, code, code + 1, sign | even, sign | code};
        uint16_t out[6];
        to(in, 6, out);
        for (int i = 0; i < 6; i++)
            cr_assert(out[i] == expected[i], "%a became %04x, not %04x", (double)in[i], out[i], expected[i]);
    }
    const float in[4] = {INFINITY, -INFINITY, NAN, -NAN};
    uint16_t out[4];
    to(in, 4, out);
    cr_assert(out[0] == infinity && out[1] == (0x8000 | infinity));
    cr_assert((out[2] & 0x7fff) > infinity && (out[3] & 0x7fff) > infinity);
}

static void check_f64(const struct hc_convert_ops *ops)
{
    const double in[11] = {1.0 / 3.0,      -0.0,          1e300,         -1e300, (double)INFINITY, 0x1.fffffep127,
                           0x1.ffffffp127, 0x1.0000010p0, 0x1.0000030p0, 1e-46,  -0x1p-149};
    const float expected[11] = {(float)(1.0 / 3.0), -0.0f, INFINITY,      -INFINITY, INFINITY,  0x1.fffffep127f,
                                INFINITY,           1.0f,  0x1.000004p0f, 0.0f,      -0x1p-149f};
    float out[11];
    ops->f64_to_f32(in, 11, out);
    for (int i = 0; i < 11; i++)
        cr_assert(same((double)out[i], (double)expected[i]), "%a became %a", in[i], (double)out[i]);
}

TIER_TEST(convert, values_and_rounding)
{
    check_to_f32(&kernels->convert);
    check_rounding(kernels->convert.f32_to_f16, 5, 10);
    check_rounding(kernels->convert.f32_to_bf16, 8, 7);
    check_f64(&kernels->convert);
}

/* Every length to 70, at an odd address, leaves what lies behind alone. */
TIER_TEST(convert, lengths_and_alignment)
{
    enum { LONGEST = 70 };
    struct hc_convert_ops plain = {0};
    static uint8_t in[LONGEST * 8 + 1], expected[LONGEST * 4 + 8], out[LONGEST * 4 + 8];
    hc_convert_c(&plain);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * i * 7 + i / 3) & 0x3b; /* no NaN in any type: payloads may differ */
    for (size_t n = 0; n <= LONGEST; n++) {
        const void *from = in + 1;
#define CHECK(op)                                                                                                      \
    do {                                                                                                               \
        memset(expected, 0xa5, sizeof expected);                                                                       \
        memset(out, 0xa5, sizeof out);                                                                                 \
        plain.op(from, n, (void *)(expected + 1));                                                                     \
        kernels->convert.op(from, n, (void *)(out + 1));                                                               \
        cr_assert(memcmp(out, expected, sizeof out) == 0, #op " of %zu elements differs", n);                          \
    } while (0)
        CHECK(f16_to_f32);
        CHECK(bf16_to_f32);
        CHECK(f64_to_f32);
        CHECK(f8_e4m3_to_f32);
        CHECK(f8_e5m2_to_f32);
        CHECK(f32_to_f16);
        CHECK(f32_to_bf16);
#undef CHECK
    }
}
