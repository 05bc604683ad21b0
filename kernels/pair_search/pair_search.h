/* The search of `pair`: the trajectory point nearest to each pair, in closed form.
 *
 * block: n weights (1 <= n <= HC_BLOCK; odd: the last pair's y is grid->pad) give (n+1)/2 codes
 *     code = index + (points + 1) * class.
 * All arithmetic is double, each operation rounded once, no fma, in this order:
 *   dx = x - centre[0], dy = y - centre[1]
 *   class = 0 if classes == 0 or (|dx| <= half and |dy| <= half), else the smallest k in 1..K-1
 *           with dx*dx + dy*dy <= limit2[k], else K
 *   u = dx * scale[class] + mid,  v = dy * scale[class] + mid     (grid units)
 *   point (r, q):  a = (u - q * inv_m) - r,  b = v - q,  d2 = a*a + b*b,  index = r * m + q + 1
 *   centre:        a = u - mid,              b = v - mid, d2 = a*a + b*b,  index = 0
 * The code is the index of least d2; among equal d2 the lowest index. r runs over 0 .. r_max for
 * q <= last_row and 0 .. r_max - 1 above; q over 0 .. m-1.
 *
 * Closed form: in row q only r = ceil((u - q * inv_m) - 0.5), clamped to the row, can be nearest (the
 * ceiling takes the lower of two equally near). Rows floor(v) and floor(v) + 1, clamped to 0 .. m-1,
 * suffice if the better of the two has d2 < 1, since every other row is at least 1 away; otherwise,
 * at the rim, all rows floor(v) - 4 .. floor(v) + 5 that exist are looked at, in the same way. They
 * suffice: as points > (m-1)^2, every row has a point at some r >= m - 3, and so has one within 3 of any
 * place along it; a place of the square is within 1 of a row, hence within sqrt(10) of a point, and at least 5
 * from the rows that are left out. u and v lie in [0, m] but for rounding (classes == 0: every pair is inside).
 *
 * error sums (|a| + |b|) * unit[class] of the winner over the pairs, in lanes by pair: error[0] the pairs of
 * class 0, error[1] the others. The padding of an odd count is left out: that pair adds |a| * unit. max_code
 * is the largest code among the pairs of class 0 ([0]) and among the others ([1]), -1 if there is none.
 *
 * outer: copies the pairs outside the square (|dx| > half or |dy| > half), in order, to out (room for n + 1
 * floats) and returns how many weights that are: odd exactly if n is odd and the last pair, which then is
 * copied without its padding, lies outside. Searching them is the same as searching them in place, but for
 * the lanes of the sums.
 */
#ifndef HC_KERNELS_PAIR_SEARCH_H
#define HC_KERNELS_PAIR_SEARCH_H

#include "common/pair.h"

struct hc_pair_search {
    double error[2];
    int32_t max_code[2];
};

struct hc_pair_search_ops {
    /* codes: room for (n + 1) / 2; may be NULL if only the result is wanted. */
    void (*block)(const float *weights, size_t n, const struct hc_pair_grid *grid, uint32_t *codes,
                  struct hc_pair_search *out);
    size_t (*outer)(const float *weights, size_t n, const struct hc_pair_grid *grid, float *out);
};

void hc_pair_search_c(struct hc_pair_search_ops *ops);
void hc_pair_search_avx2(struct hc_pair_search_ops *ops);
void hc_pair_search_avx512(struct hc_pair_search_ops *ops);

#endif
