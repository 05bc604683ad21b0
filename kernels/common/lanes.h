/* The last step of a sum in lanes (pair.h). */
#ifndef HC_KERNELS_COMMON_LANES_H
#define HC_KERNELS_COMMON_LANES_H

#include "pair.h"

/* Adds the lanes in halves; destroys them. */
static inline double hc_lanes_sum(double lanes[HC_LANES])
{
    for (int width = HC_LANES / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            lanes[j] += lanes[j + width];
    }
    return lanes[0];
}

#endif
