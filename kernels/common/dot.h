/* The dot product that all tiers make alike (dense_product.h). */
#ifndef HC_KERNELS_COMMON_DOT_H
#define HC_KERNELS_COMMON_DOT_H

#include <math.h>
#include <stddef.h>

enum { HC_DOT_LANES = 16 };

/* Adds the lanes in halves; destroys them. */
static inline float hc_dot_sum(float lanes[HC_DOT_LANES])
{
    for (int width = HC_DOT_LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++)
            lanes[l] += lanes[l + width];
    }
    return lanes[0];
}

static inline float hc_dot(const float *a, const float *b, size_t n)
{
    float lanes[HC_DOT_LANES] = {0};
    for (size_t j = 0; j < n; j++)
        lanes[j % HC_DOT_LANES] = fmaf(a[j], b[j], lanes[j % HC_DOT_LANES]);
    return hc_dot_sum(lanes);
}

#endif
