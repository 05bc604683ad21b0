/* What every tier of window_encode knows of a single branch. */
#ifndef HC_KERNELS_WINDOW_ENCODE_BRANCH_H
#define HC_KERNELS_WINDOW_ENCODE_BRANCH_H

#include "window_encode.h"

/* The largest metric of a path: narrow ones saturate there, wide ones stay below it. */
static const uint32_t narrow_largest = 32767, wide_largest = UINT32_C(3) << 29;

static inline uint32_t state_mask(const struct hc_window_trellis *trellis)
{
    return (1u << (trellis->length - trellis->k)) - 1;
}

/* The place of branch j into the state at r. */
static inline uint32_t branch_place(const struct hc_window_trellis *trellis, uint32_t r, uint32_t j)
{
    uint32_t multiplier = (uint32_t)trellis->multiplier >> (HC_WINDOW_MAX_LENGTH - trellis->length);
    return ((r << trellis->k) + j * multiplier) & ((1u << trellis->length) - 1);
}

/* The number, in order, of the first branch looked at into the group of the state at r. */
static inline uint32_t first_near(const struct hc_window_trellis *trellis, int16_t weight, uint32_t r)
{
    const struct hc_window_near *near = trellis->layout;
    uint32_t group = r & -(uint32_t)hc_window_group(trellis->k, trellis->length);
    uint32_t ahead = near->start[(weight + 32768) >> 6] - (group << trellis->k);
    return (ahead & ((1u << trellis->length) - 1)) >> (trellis->length - trellis->k);
}

static inline int32_t halved(int32_t x)
{
    return (int32_t)((uint32_t)(x + 32768) >> 1) - 16384;
}

static inline int32_t held(int32_t d)
{
    return d < INT16_MIN ? INT16_MIN : d > INT16_MAX ? INT16_MAX : d;
}

static inline int32_t weighted(int32_t d, int32_t importance)
{
    return (int32_t)((d * (int64_t)importance + (1 << 14) + ((int64_t)1 << 32)) / (1 << 15)) - (1 << 17);
}

/* importance: of this position, or NULL. */
static inline uint32_t branch_cost(bool wide, bool halve, int32_t weight, const int16_t *importance, int32_t value)
{
    int32_t d = halve ? halved(weight) - halved(value) : held(weight - value);
    if (importance)
        d = weighted(d, *importance);
    return wide ? (uint32_t)(d * d) >> 4 : (uint32_t)(d * d + (1 << 14)) >> 15;
}

#endif
