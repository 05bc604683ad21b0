#include "positions.h"

#include <math.h>

/* Llama 3.1 stretches long waves by `factor`, leaves short ones, and blends between (the formula of its release). */
static double stretch_llama3(double frequency, const struct hc_rotary *rotary)
{
    const double pi = 3.14159265358979323846, wave = 2 * pi / frequency, context = rotary->original_context;
    if (wave < context / rotary->high_factor)
        return frequency;
    if (wave > context / rotary->low_factor)
        return frequency / rotary->factor;
    double blend = (context / wave - rotary->low_factor) / (rotary->high_factor - rotary->low_factor);
    return (1 - blend) * frequency / rotary->factor + blend * frequency;
}

double hc_rotary_frequency(const struct hc_rotary *rotary, uint32_t pair, uint32_t width)
{
    double frequency = pow(rotary->theta, -2.0 * pair / width);
    switch (rotary->kind) {
    case HC_ROTARY_LINEAR:
        return frequency / rotary->factor;
    case HC_ROTARY_LLAMA3:
        return stretch_llama3(frequency, rotary);
    default:
        return frequency;
    }
}
