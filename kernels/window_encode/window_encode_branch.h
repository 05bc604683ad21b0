/* What every tier of window_encode knows of a single branch. */
#ifndef HC_KERNELS_WINDOW_ENCODE_BRANCH_H
#define HC_KERNELS_WINDOW_ENCODE_BRANCH_H

#include "window_encode.h"

/* How sums of metrics and costs are formed. */
enum sums { BYTES, NARROW, NARROW_HELD, WIDE };

static inline enum sums sums_of(unsigned k)
{
    return k <= 2 ? BYTES : k <= 4 ? NARROW : k == 5 ? NARROW_HELD : WIDE;
}

/* The largest metric of a path: wide ones stay below it, others saturate there. */
static inline uint32_t largest_metric(enum sums sums)
{
    return sums == BYTES ? 255 : sums == WIDE ? UINT32_C(3) << 29 : 32767;
}

/* After so many steps, from time 0 on, the least metric is subtracted from all. */
static inline unsigned settled_after(enum sums sums)
{
    return sums == BYTES ? 8 : 16;
}

/* A least metric that is subtracted fails an attempt if it is not below this: others are then held to the largest. */
static inline uint32_t failing_metric(enum sums sums)
{
    return sums == WIDE ? UINT32_MAX : (largest_metric(sums) + 1) / 2;
}

enum { MOST_ATTEMPTS = 4 };

/* How often a tile is tried before it is left to wide arithmetic. */
static inline unsigned attempts_of(unsigned k)
{
    return k == 1 ? 2 : k == 2 ? MOST_ATTEMPTS : 1;
}

/* s: by so many bits costs are less exact than narrow ones. */
static inline unsigned cost_shift(unsigned k, enum sums sums, unsigned attempt)
{
    return sums != BYTES ? 0 : (k == 1 ? 7 : 4) + attempt;
}

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
    const struct hc_window_head *head = (const struct hc_window_head *)trellis->layout;
    const unsigned k = trellis->k, length = trellis->length;
    uint32_t group = r & -(uint32_t)hc_window_group(k, length);
    uint32_t ahead = head->start[(weight + 32768) >> 6] - (group << k);
    return (ahead & ((1u << length) - 1)) >> (length - k);
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
static inline uint32_t branch_cost(enum sums sums, unsigned shift, int32_t weight, const int16_t *importance,
                                   int32_t value)
{
    int32_t d = sums == NARROW_HELD ? held(weight - value) : halved(weight) - halved(value);
    if (importance)
        d = weighted(d, *importance);
    if (sums == WIDE)
        return (uint32_t)(d * d) >> 4;
    return ((uint32_t)(d * d) + (1u << 14) + (shift ? 1u << (14 + shift) : 0)) >> (15 + shift);
}

#endif
