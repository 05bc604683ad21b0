#include "window.h"

#include "convert/convert.h"

/* Reprinted by bench/multipliers. */
static const struct hc_window_code codes[] = {
#include "window_codes.inc"
};

const struct hc_window_code *hc_window_code_find(unsigned k, unsigned length)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].k == k && codes[i].length == length)
            return &codes[i];
    return NULL;
}

double hc_window_value(const struct hc_window_code *code, int16_t place)
{
    double x = (place + 32768.0 / (double)(1u << code->length)) / 32768.0;
    double x2 = x * x, x4 = x2 * x2, x8 = x4 * x4, x16 = x8 * x8, x32 = x16 * x16, x64 = x32 * x32;
    return x * ((code->a + code->b * x4) + code->c * x64);
}

void hc_window_table(const struct hc_window_code *code, uint16_t *table)
{
    struct hc_convert_ops convert;
    hc_convert_c(&convert);
    for (uint32_t theta = 0; theta < 1u << code->length; theta++) {
        float value = (float)hc_window_value(code, hc_window_place(theta, code->multiplier));
        convert.f32_to_f16(&value, 1, &table[theta]);
    }
}
