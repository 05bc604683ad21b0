/* The transform against its definition, and what makes it one: orthonormal, its own inverse. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "tiers.h"

enum { MOST = 3 * HC_HADAMARD_MAX };

/* Entry (i, j) of the unnormalised matrix: -1 if i and j have an odd number of ones in common. */
static double sign(unsigned i, unsigned j)
{
    unsigned common = i & j, ones = 0;
    for (; common != 0; common &= common - 1)
        ones++;
    return ones % 2 ? -1 : 1;
}

static void fill(float *data, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (float)((double)(seed >> 8) * 0x1p-23 - 1);
    }
}

/* A single one becomes a row of the matrix; by powers of four exactly. */
TIER_TEST(hadamard, unit_vectors)
{
    for (unsigned block = HC_HADAMARD_MIN; block <= HC_HADAMARD_MAX; block *= 2)
        for (unsigned i = 0; i < block; i++) {
            float data[HC_HADAMARD_MAX] = {0};
            float norm = (float)(1 / sqrt((double)block));
            data[i] = 1;
            kernels->hadamard.blocks(data, block, block);
            for (unsigned j = 0; j < block; j++)
                cr_assert((double)data[j] == (double)norm * sign(i, j), "block %u: (%u, %u)", block, i, j);
        }
}

TIER_TEST(hadamard, known_vectors)
{
    float ones[16], ramp[16];
    for (int i = 0; i < 16; i++) {
        ones[i] = 3;
        ramp[i] = (float)i;
    }
    kernels->hadamard.blocks(ones, 16, 16);
    kernels->hadamard.blocks(ramp, 16, 16);
    /* The sum of 0 .. 15 is 120; halves, quarters .. of a ramp differ by 64, 32, 16, 8; the rest vanishes. */
    const float expected[16] = {30, -2, -4, 0, -8, 0, 0, 0, -16, 0, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 16; i++) {
        cr_assert((double)ones[i] == (i == 0 ? 12 : 0));
        cr_assert((double)ramp[i] == (double)expected[i], "%d: %g", i, (double)ramp[i]);
    }
}

/* Every block by itself, against the matrix in double precision; energy is kept; twice gives back the input. */
TIER_TEST(hadamard, definition_and_inverse)
{
    for (unsigned block = HC_HADAMARD_MIN; block <= HC_HADAMARD_MAX; block *= 2)
        for (size_t blocks = 0; blocks <= 3; blocks++) {
            float room[MOST + 2], in[MOST], *data = room + 1;
            size_t n = blocks * block;
            double energy[2] = {0};
            fill(in, n, block + (uint32_t)blocks);
            memcpy(data, in, n * sizeof *in);
            room[0] = data[n] = 77;
            kernels->hadamard.blocks(data, n, block);
            cr_assert((double)room[0] == 77 && (double)data[n] == 77);
            for (size_t i = 0; i < n; i++) {
                double sum = 0;
                for (unsigned j = 0; j < block; j++)
                    sum += sign((unsigned)(i % block), j) * (double)in[i / block * block + j];
                cr_assert(fabs((double)data[i] - sum / sqrt((double)block)) <= 1e-6, "block %u, %zu", block, i);
                energy[0] += (double)in[i] * (double)in[i];
                energy[1] += (double)data[i] * (double)data[i];
            }
            cr_assert(fabs(energy[0] - energy[1]) <= 1e-6 * energy[0]);
            kernels->hadamard.blocks(data, n, block);
            for (size_t i = 0; i < n; i++)
                cr_assert(fabs((double)data[i] - (double)in[i]) <= 1e-6);
        }
}

/* As plain C, bit for bit, also where numbers are subnormal or overflow; what is not finite stays in its block. */
TIER_TEST(hadamard, extremes)
{
    static const float extremes[] = {0x1p-149f, -0x1p-140f, FLT_MAX, -FLT_MAX, 0.0f, -0.0f, FLT_MIN, 1.0f};
    struct hc_hadamard_ops plain;
    hc_hadamard_c(&plain);
    for (unsigned block = HC_HADAMARD_MIN; block <= HC_HADAMARD_MAX; block *= 2)
        for (unsigned kinds = 1; kinds <= 8; kinds++) {
            float data[2 * HC_HADAMARD_MAX], expected[2 * HC_HADAMARD_MAX];
            for (unsigned i = 0; i < 2 * block; i++)
                data[i] = extremes[(i * 7 + i / 5) % kinds];
            data[2 * block - 1] = kinds == 8 ? NAN : kinds == 7 ? INFINITY : data[2 * block - 1];
            memcpy(expected, data, sizeof data);
            kernels->hadamard.blocks(data, 2 * block, block);
            plain.blocks(expected, 2 * block, block);
            for (unsigned i = 0; i < 2 * block; i++)
                cr_assert(memcmp(&data[i], &expected[i], sizeof data[i]) == 0 || (isnan(data[i]) && isnan(expected[i])),
                          "block %u: %a, not %a", block, (double)data[i], (double)expected[i]);
            cr_assert(kinds < 8 || isnan(data[block]));
        }
}
