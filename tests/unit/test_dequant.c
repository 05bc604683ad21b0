/* GGUF's block types against figures of the gguf package for Python (ggml's own reference), and at any alignment. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "kernels.h"

enum { BLOCKS = 3, SAMPLES = 6, MAX_BYTES = BLOCKS * 292, MAX_WEIGHTS = BLOCKS * 256 };

typedef void (*dequant_fn)(const uint8_t *in, size_t blocks, float *out);

struct golden {
    const char *name;
    size_t weights, bytes;  /* of a block */
    int halves[2];          /* where d and m stand; -1: there is none */
    uint64_t hash;          /* FNV-1a of the little-endian floats */
    float samples[SAMPLES]; /* weights 0, 1, 17, 31, 5 of the second block, the last */
};

static const struct golden goldens[] = {
    {"Q4_0",
     32,
     18,
     {0, -1},
     0x5b03a694339e150du,
     {-0x1.d81p-2f, -0x1.0dcp-2f, 0x1.94ap-3f, -0x1.94ap-3f, -0x1.fbp-3f, -0x1.fbdp-2f}},
    {"Q4_1",
     32,
     20,
     {0, 2},
     0x27c05686eef4cce4u,
     {0x1.814cp-1f, 0x1.c4bcp-1f, 0x1.2a88p-2f, 0x1.f4d8p-2f, -0x1.798p-5f, 0x1.26dp-3f}},
    {"Q5_0",
     32,
     22,
     {0, -1},
     0x715434ba7f2eba5du,
     {0x1.94ap-2f, -0x1.0dcp-3f, -0x1.0dcp-1f, -0x1.f9c8p-1f, 0x1.d0cp-1f, 0x1.6378p+0f}},
    {"Q5_1",
     32,
     24,
     {0, 2},
     0xc6fbe7945063ed17u,
     {0x1.ce3p-3f, 0x1.475p-3f, 0x1.acaep+0f, 0x1.5862p+0f, 0x1.1bf4p+0f, 0x1.14d4p-1f}},
    {"Q8_0",
     32,
     34,
     {0, -1},
     0x22a65af4a93ed7beu,
     {-0x1.0ba48p+3f, -0x1.4054p+2f, -0x1.f9c8p+2f, -0x1.513p-2f, -0x1.27cp-1f, 0x1.c908p+2f}},
    {"Q2_K",
     256,
     84,
     {80, 82},
     0x3f23544f42d35575u,
     {0x1.cfep-4f, 0x1.3df7p+1f, 0x1.7a35p+1f, 0x1.829p-3f, 0x1.1b2p-2f, 0x1.25abp+1f}},
    {"Q3_K",
     256,
     110,
     {108, -1},
     0x672cd137587a36c2u,
     {0x1.620cp+0f, 0x1.d81p-2f, -0x1.adeap+1f, -0.0f, 0x1.27cp+1f, -0.0f}},
    {"Q4_K",
     256,
     144,
     {0, 2},
     0x7ef422c282f40e8du,
     {0x1.344dp+3f, 0x1.42ccp+1f, 0x1.1b03p+3f, 0x1.344dp+3f, 0x1.02558p+3f, 0x1.d24cap+4f}},
    {"Q5_K",
     256,
     176,
     {0, 2},
     0x114b3ba051e0e4d5u,
     {0x1.6bb6p+2f, 0x1.8a658p+4f, 0x1.7dc08p+4f, 0x1.802bp+3f, 0x1.417bbp+6f, 0x1.2203ap+6f}},
    {"Q6_K",
     256,
     210,
     {208, -1},
     0xf7c10597c033b894u,
     {-0x1.2e6a4p+6f, 0x1.599ep+2f, 0x1.09459p+7f, 0x1.6b00ep+6f, -0x1.b3b4p+4f, 0x1.1680ep+8f}},
};

enum { GOLDENS = sizeof goldens / sizeof *goldens };

static dequant_fn function_of(size_t golden)
{
    struct hc_dequant_ops ops;
    hc_dequant_c(&ops);
    const dequant_fn functions[GOLDENS] = {ops.q4_0, ops.q4_1, ops.q5_0, ops.q5_1, ops.q8_0,
                                           ops.q2_k, ops.q3_k, ops.q4_k, ops.q5_k, ops.q6_k};
    return functions[golden];
}

/* The bytes that the figures were made from: a linear congruential generator, with plausible halves set in. */
static void make_blocks(const struct golden *golden, uint8_t *in)
{
    uint32_t state = 1;
    for (size_t i = 0; i < BLOCKS * golden->bytes; i++) {
        state = state * 1664525u + 1013904223u;
        in[i] = (uint8_t)(state >> 24);
    }
    for (unsigned block = 0; block < BLOCKS; block++) {
        for (int j = 0; j < 2 && golden->halves[j] >= 0; j++) {
            unsigned half = (j == 0 ? 0x2c37u : 0xa8d5u) + 0x111u * block;
            uint8_t *at = in + block * golden->bytes + (size_t)golden->halves[j];
            at[0] = (uint8_t)(half & 255);
            at[1] = (uint8_t)(half >> 8);
        }
    }
}

static uint64_t hash_floats(const float *values, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        for (int byte = 0; byte < 4; byte++)
            hash = (hash ^ (bits >> (8 * byte) & 255)) * 0x100000001b3u;
    }
    return hash;
}

Test(dequant, agrees_with_the_reference)
{
    for (size_t g = 0; g < GOLDENS; g++) {
        const struct golden *golden = &goldens[g];
        static uint8_t in[MAX_BYTES + 1];
        static float out[MAX_WEIGHTS];
        size_t n = BLOCKS * golden->weights;
        const size_t places[SAMPLES] = {0, 1, 17, 31, golden->weights + 5, n - 1};
        for (int shift = 0; shift < 2; shift++) {
            make_blocks(golden, in + shift);
            memset(out, 0xff, sizeof out);
            function_of(g)(in + shift, BLOCKS, out);
            for (int i = 0; i < SAMPLES; i++)
                cr_assert(out[places[i]] == golden->samples[i], "%s: weight %zu is %a, not %a", golden->name, places[i],
                          (double)out[places[i]], (double)golden->samples[i]);
            cr_assert(hash_floats(out, n) == golden->hash, "%s: some weight differs", golden->name);
        }
    }
}

/* The gguf package has no Q8_K: here the formula is held against itself, spelt out. */
Test(dequant, q8_k)
{
    static uint8_t in[2 * 292 + 1];
    static float out[2 * 256];
    struct hc_dequant_ops ops;
    hc_dequant_c(&ops);
    for (int block = 0; block < 2; block++) {
        float d = 0.37f + (float)block;
        memcpy(in + 1 + 292 * block, &d, sizeof d);
        for (int i = 0; i < 256; i++)
            in[1 + 292 * block + 4 + i] = (uint8_t)(i + block);
    }
    ops.q8_k(in + 1, 2, out);
    for (int block = 0; block < 2; block++) {
        for (int i = 0; i < 256; i++) {
            int q = (i + block) % 256;
            float expected = (0.37f + (float)block) * (float)(q < 128 ? q : q - 256);
            cr_assert(out[256 * block + i] == expected);
        }
    }
}

/* Halves that are subnormal, infinite or no number. */
Test(dequant, unusual_scales)
{
    struct hc_dequant_ops ops;
    hc_dequant_c(&ops);
    uint8_t in[34];
    float out[32];
    memset(in, 3, sizeof in);
    const struct {
        unsigned half;
        float weight;
    } cases[] = {{0x0001, 3 * 0x1p-24f}, {0x83ff, -3 * 1023 * 0x1p-24f}, {0x0000, 0.0f}, {0x7c00, 1.0f / 0.0f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        in[0] = (uint8_t)(cases[i].half & 255);
        in[1] = (uint8_t)(cases[i].half >> 8);
        ops.q8_0(in, 1, out);
        cr_assert(out[0] == cases[i].weight && out[31] == cases[i].weight, "half %04x gives %a", cases[i].half,
                  (double)out[0]);
    }
    in[0] = 1;
    in[1] = 0x7e;
    ops.q8_0(in, 1, out);
    cr_assert(out[0] != out[0]);
}
