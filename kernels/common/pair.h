/* What the operations of the `pair` method share: its block and its grid.
 *
 * The method (arXiv 2409.00592): neighbouring weights (x, y) form a pair. The trajectory of a
 * winding in a square of side l around the centre c visits the points
 *     t -> c - (l/2, l/2) + (t l / m^2, (t mod m) l / m),   t = 0 .. points-1,  m = ceil(sqrt(points)).
 * With t = r m + q (0 <= q < m) that is a sheared grid: row q at height q, and in it a point at
 * every r + q/m, in *grid units* of h = l/m from the lower left corner of the square. The
 * codebook is the centre (index 0) and the points (index t + 1).
 */
#ifndef HC_KERNELS_COMMON_PAIR_H
#define HC_KERNELS_COMMON_PAIR_H

#include <stddef.h>
#include <stdint.h>

/* Work is cut into blocks of so many weights, counted from the beginning of the tensor. Sums are
 * made per block, in HC_LANES lanes; see below. */
enum { HC_BLOCK = 8192 };

enum { HC_PAIR_MAX_CLASSES = 15 };

/* Largest point count. points+1 times classes+1 is at most 2^24, so that a code has at most 24 bits. */
enum { HC_PAIR_MAX_POINTS = 1 << 22, HC_PAIR_MAX_BITS = 24 };

/* *Lanes*: all double-precision sums of a block are made in one fixed order, so that every tier and
 * every device gets the same bits: item i (a pair, or a weight: each op says) is added to lane
 * i mod 32, in increasing i, starting from +0.0; then lanes are added in halves: lane j += lane j+16
 * for j < 16, then j+8 for j < 8, +4, +2, +1; lane 0 is the sum. No fused multiply-add. */
enum { HC_LANES = 32 };

/* A winding that is fitted to one tensor, with everything derived from it ready for use. Made by
 * host code (hc_pair_grid_init in host/pair_grid.c), read by all tiers. */
struct hc_pair_grid {
    double centre[2];                       /* float32 values */
    double half;                            /* l / 2 */
    double h;                               /* l / m */
    double inv_m;                           /* 1 / m */
    double mid;                             /* m / 2: the centre in grid units */
    uint32_t points;                        /* U */
    uint32_t m;                             /* ceil(sqrt(U)) */
    uint32_t last_row;                      /* (U-1) mod m: rows q up to this one have r = 0 .. r_max, */
    uint32_t r_max;                         /* (U-1) / m, the others one less */
    uint32_t classes;                       /* K; 0: every pair counts as class 0 */
    double limit2[HC_PAIR_MAX_CLASSES + 1]; /* k = 1..K-1: square of the largest distance in class k */
    double scale[HC_PAIR_MAX_CLASSES + 1];  /* grid units per unit of weight in class k */
    double unit[HC_PAIR_MAX_CLASSES + 1];   /* unit of weight per grid unit: the inverse */
    float pad;                              /* stands in for the second weight of the last pair of an odd count */
};

#endif
