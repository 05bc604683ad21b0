/* How fast the pairs of a head turn from position to position. */
#ifndef HC_HOST_POSITIONS_H
#define HC_HOST_POSITIONS_H

#include "architecture.h"

/* Radians per position of the pair number `pair` (0 .. width / 2 - 1) of heads of `width`: theta^(-2 pair / width), and
 * what the kind of scaling makes of it. */
double hc_rotary_frequency(const struct hc_rotary *rotary, uint32_t pair, uint32_t width);

#endif
