#include "exact_sum.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { MAX_PENDING = 1 << 30 };

/* Brings every limb but the last into 0 .. 2^32 - 1. */
static void carry(struct hc_exact_sum *sum)
{
    int64_t over = 0;
    for (int i = 0; i < HC_EXACT_LIMBS - 1; i++) {
        int64_t limb = sum->limb[i] + over;
        int64_t low = limb & 0xffffffff;
        over = (limb - low) / 4294967296;
        sum->limb[i] = low;
    }
    sum->limb[HC_EXACT_LIMBS - 1] += over;
    sum->pending = 1;
}

void hc_exact_add(struct hc_exact_sum *sum, double term)
{
    assert(isfinite(term));
    uint64_t bits;
    memcpy(&bits, &term, sizeof bits);
    uint64_t mantissa = bits & 0xfffffffffffff;
    unsigned exponent = (bits >> 52) & 0x7ff;
    if (exponent == 0)
        exponent = 1; /* subnormal */
    else
        mantissa |= (uint64_t)1 << 52;

    /* The value is mantissa * 2^(exponent - 1075). */
    unsigned position = exponent - 1075 + 1088;
    unsigned limb = position / 32, shift = position % 32;
    int64_t sign = bits >> 63 ? -1 : 1;
    sum->limb[limb] += sign * (int64_t)(uint32_t)(mantissa << shift);
    sum->limb[limb + 1] += sign * (int64_t)(uint32_t)(mantissa >> (32 - shift));
    if (shift)
        sum->limb[limb + 2] += sign * (int64_t)(mantissa >> (64 - shift));
    if (++sum->pending >= MAX_PENDING)
        carry(sum);
}

void hc_exact_add_sum(struct hc_exact_sum *sum, const struct hc_exact_sum *other)
{
    struct hc_exact_sum copy = *other;
    carry(sum);
    carry(&copy);
    for (int i = 0; i < HC_EXACT_LIMBS; i++)
        sum->limb[i] += copy.limb[i];
    carry(sum);
}

/* Magnitude of a carried, non-negative sum. */
static double magnitude(const struct hc_exact_sum *sum)
{
    int top = HC_EXACT_LIMBS - 1;
    while (top > 0 && sum->limb[top] == 0)
        top--;
    uint64_t head = 0; /* the 64 leading bits; everything below shows in the last one alone */
    int bits = 0, exponent = 32 * top - 1088;
    for (int i = top; i >= 0; i--) {
        uint64_t limb = (uint64_t)sum->limb[i];
        int width = 0;
        while (width < 64 && (limb >> width) != 0)
            width++;
        if (i != top)
            width = 32;
        int room = 64 - bits < width ? 64 - bits : width;
        if (room > 0) {
            head = (room == 64 ? 0 : head << room) | (limb >> (width - room));
            bits += room;
        }
        if (i != top)
            exponent -= room;
        else
            exponent += width - room;
        if (width > room && (limb & (((uint64_t)1 << (width - room)) - 1)) != 0)
            head |= 1;
    }
    return ldexp((double)head, exponent);
}

double hc_exact_value(const struct hc_exact_sum *sum)
{
    struct hc_exact_sum copy = *sum;
    carry(&copy);
    if (copy.limb[HC_EXACT_LIMBS - 1] >= 0)
        return magnitude(&copy);
    for (int i = 0; i < HC_EXACT_LIMBS; i++)
        copy.limb[i] = -copy.limb[i];
    carry(&copy);
    return -magnitude(&copy);
}
