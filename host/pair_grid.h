/* From the parameters of a fitted `pair` tensor to what its kernels read: the grid, and the table of decoded values. */
#ifndef HC_HOST_PAIR_GRID_H
#define HC_HOST_PAIR_GRID_H

#include "common/pair.h"
#include "error.h"

/* Derives a grid from its parameters. With half = side / 2, m = ceil(sqrt(points)) and farthest = the largest distance
 * of a pair from the centre (read only if classes > 0), class k = 1..K reaches to
 *     R_k = half + k * (farthest - half) / K,
 * and, everything in double, each operation rounded once:
 *     limit2[k] = R_k * R_k, scale[k] = (half / R_k) * (m / side), unit[k] = (R_k / half) * (side / m),
 *     scale[0] = m / side, unit[0] = side / m.
 * HC_ERR_ARGUMENT if a parameter is out of range: centre float32 numbers; side within the normal float32 numbers;
 * points 1..HC_PAIR_MAX_POINTS; classes 0..HC_PAIR_MAX_CLASSES; (points + 1) * (classes + 1) at most 2^24; farthest at
 * least half and at most 4 * FLT_MAX; pad finite. `grid` is then not to be used. */
hc_status hc_pair_grid_init(struct hc_pair_grid *grid, const double centre[2], double side, uint32_t points,
                            uint32_t classes, double farthest, float pad, struct hc_error *error);

/* All the codes of a grid: (points + 1) * (classes + 1). */
uint32_t hc_pair_code_count(const struct hc_pair_grid *grid);

/* The decoded value of a code below hc_pair_code_count(). Point t = index - 1 of class k is
 *     centre + (t / m - m / 2, t mod m - m / 2) * unit[k],
 * in double, each operation rounded once, then rounded to float32 (held within the finite ones); index 0 is the centre.
 */
void hc_pair_value(const struct hc_pair_grid *grid, uint32_t code, float value[2]);

/* The same of the codes 0 .. entries - 1, entries at most hc_pair_code_count(). */
void hc_pair_table(const struct hc_pair_grid *grid, uint32_t entries, float (*table)[2]);

/* Bits that hold every code up to max_code: at least 1. */
unsigned hc_pair_code_bits(uint32_t max_code);

#endif
