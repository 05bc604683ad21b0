/* Random numbers for benches: weights distributed like those of trained networks, from counters.
 *
 * A number depends on its key and place only, so threads and machines do not show. For the same reason the arithmetic
 * uses + - * / and sqrt alone, which IEEE 754 rounds everywhere alike, and no function of the mathematical library. */
#ifndef HC_BENCH_WEIGHTS_H
#define HC_BENCH_WEIGHTS_H

#include <math.h>
#include <stdint.h>

enum { TABLE_BITS = 16, TABLE_SIZE = 1 << TABLE_BITS };

/* A bijection of 64 bits that scatters neighbouring counters, by shifts and odd multipliers. */
static inline uint64_t scatter(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9fb21c651e98df25u;
    x = (x ^ (x >> 28)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

/* Normal quantiles at (i + 1/2) / TABLE_SIZE. z(p) solves z' = w with w = 1 / density, w' = z w^2: integrated from the
 * middle by the classical fourth-order Runge-Kutta method, 16 steps to an entry. */
static inline void make_normal_table(float *table)
{
    const double step = 1.0 / TABLE_SIZE / 32; /* entries are two half steps of 16 apart */
    double z = 0, w = 2.50662827463100050242;  /* sqrt(2 pi) */
    for (int n = 1; n < TABLE_SIZE; n++) {
        for (int s = 0; s < 16; s++) {
            double z1 = w, w1 = z * w * w;
            double za = z + step / 2 * z1, wa = w + step / 2 * w1;
            double z2 = wa, w2 = za * wa * wa;
            double zb = z + step / 2 * z2, wb = w + step / 2 * w2;
            double z3 = wb, w3 = zb * wb * wb;
            double zc = z + step * z3, wc = w + step * w3;
            double z4 = wc, w4 = zc * wc * wc;
            z += step / 6 * (z1 + 2 * z2 + 2 * z3 + z4);
            w += step / 6 * (w1 + 2 * w2 + 2 * w3 + w4);
        }
        if (n % 2 == 1) { /* half an entry past the middle, and by symmetry */
            table[TABLE_SIZE / 2 + n / 2] = (float)z;
            table[TABLE_SIZE / 2 - 1 - n / 2] = (float)-z;
        }
    }
}

/* Close to exp(x) for |x| < 2, from products alone. */
static inline double scale_of(double x)
{
    double y = 1 + x / 256;
    for (int i = 0; i < 8; i++)
        y *= y;
    return y;
}

/* Student's t with two degrees of freedom, from 12 bits: quantiles have the closed form (2p-1) / sqrt(2p(1-p)). */
static inline float heavy_tail(uint64_t bits)
{
    double p = ((double)(bits >> 52) + 0.5) / 4096;
    return (float)((2 * p - 1) / sqrt(2 * p * (1 - p)));
}

static inline float unit_weight(const float *table, unsigned draw, uint64_t key, uint64_t place)
{
    /* The middle 64 draws of 65536 give way to the heavy tail: the rest of the distribution stays whole. */
    if (draw - (TABLE_SIZE / 2 - 32) < 64)
        return heavy_tail(scatter(key ^ (place * 0xa0761d6478bd642fu)));
    return table[draw];
}

#endif
