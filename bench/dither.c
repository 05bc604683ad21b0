/* A quantised model made continuous again: every weight is moved uniformly within its own cell.
 *
 * The weights of a model that is stored in 4 bits lie on grids of 16 values, which quantisers by groups of the same
 * size can reproduce exactly, and others cannot. With w + (u - 1/2) step instead, u uniform and step that of the
 * weight's own group, the model is nearly the same one, and no grid is left. u comes from a counter, so the result is
 * the same everywhere. Tensors that are not quantised stay as they are. */
#include "dither_rewrite.h"

#include "philox.h"

#include <getopt.h>
#include <math.h>

enum { EXIT_USAGE = 2, BLOCK_BYTES = 512, BLOCK_WEIGHTS = 256 };

/* Where in a block of a type the quantised numbers lie, and a byte that has a 1 at the lowest bit of each: with it
 * instead of zeros, every weight is one step away. */
static const struct {
    hc_type type;
    unsigned offset, bytes;
    uint8_t ones;
} blocks[] = {
    {HC_TYPE_Q4_0, 2, 16, 0x11},  {HC_TYPE_Q4_1, 4, 16, 0x11},   {HC_TYPE_Q5_0, 6, 16, 0x11},
    {HC_TYPE_Q5_1, 8, 16, 0x11},  {HC_TYPE_Q8_0, 2, 32, 0x01},   {HC_TYPE_Q2_K, 16, 64, 0x55},
    {HC_TYPE_Q3_K, 32, 64, 0x55}, {HC_TYPE_Q4_K, 16, 128, 0x11}, {HC_TYPE_Q5_K, 48, 128, 0x11},
    {HC_TYPE_Q6_K, 0, 128, 0x11}, {HC_TYPE_Q8_K, 4, 256, 0x01},
};

struct dither {
    uint32_t seed;
    struct hc_kernels kernels;
};

/* The weights of a block if all its quantised numbers were 0, or 1. */
static void read_with(const struct hc_kernels *kernels, hc_type type, const uint8_t *block, bool ones, float *weights)
{
    uint8_t copy[BLOCK_BYTES];
    uint32_t count = hc_type_block_weights(type);
    memcpy(copy, block, hc_type_block_bytes(type));
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i].type == type)
            memset(copy + blocks[i].offset, ones ? blocks[i].ones : 0, blocks[i].bytes);
    const struct hc_tensor tensor = {.type = type, .rank = 1, .shape = {count}, .weights = count, .data = copy};
    hc_tensor_read(&tensor, kernels, 0, count, weights);
}

/* 0 < u < 1 of four weights, the first of which is number `at` of the tensor. */
static void draw(const struct dither *dither, size_t index, uint64_t at, double u[4])
{
    const uint32_t key[2] = {dither->seed, (uint32_t)index};
    const uint32_t counter[4] = {(uint32_t)(at / 4), (uint32_t)(at / 4 >> 32), 0, 0};
    uint32_t words[4];
    hc_philox(key, counter, words);
    for (int i = 0; i < 4; i++)
        u[i] = (words[i] + 0.5) * 0x1p-32;
}

/* The block that the weights from `at` on were read from. */
static void dither_block(const struct dither *dither, const struct hc_tensor *tensor, size_t index, uint64_t at,
                         float *weights)
{
    uint64_t columns = tensor->shape[tensor->rank - 1];
    uint32_t count = hc_type_block_weights(tensor->type);
    uint64_t stored = hc_tensor_stored_row(tensor, at / columns) * columns + at % columns;
    const uint8_t *block = tensor->data + stored / count * hc_type_block_bytes(tensor->type);
    float zeros[BLOCK_WEIGHTS], ones[BLOCK_WEIGHTS];
    double u[4];
    read_with(&dither->kernels, tensor->type, block, false, zeros);
    read_with(&dither->kernels, tensor->type, block, true, ones);
    for (uint32_t i = 0; i < count; i++) {
        if (i % 4 == 0)
            draw(dither, index, at + i, u);
        weights[i] = (float)((double)weights[i] + (u[i % 4] - 0.5) * ((double)ones[i] - (double)zeros[i]));
    }
}

static void dither_tensor(void *user, const struct hc_tensor *tensor, size_t index, float *weights)
{
    const struct dither *dither = user;
    uint32_t count = hc_type_block_weights(tensor->type);
    if (!hc_type_is_block(tensor->type))
        return;
#pragma omp parallel for schedule(static)
    for (uint64_t at = 0; at < tensor->weights; at += count)
        dither_block(dither, tensor, index, at, weights + at);
}

/* ---- Command line ------------------------------------------------------------------------- */

static bool parse_seed(const char *text, uint32_t *seed)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *seed = (uint32_t)value;
    return *text >= '0' && *text <= '9' && *end == 0 && value <= UINT32_MAX;
}

static void print_help(FILE *file)
{
    fputs("usage: dither INPUT -o DIR [--seed N]\n"
          "Writes a quantised model, such as a .gguf file in Q4_1, to the new directory DIR in float32, every weight\n"
          "moved uniformly within its own quantisation cell.\n"
          "\n"
          "  -o, --output DIR   replaced if it is a model\n"
          "  --seed N           another draw (default 1)\n",
          file);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, 0, 'o'}, {"seed", required_argument, 0, 's'}, {"help", no_argument, 0, 'h'}, {0}};
    struct dither dither = {.seed = 1};
    const char *output = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help(stdout);
            return 0;
        }
        if (option == '?' || (option == 's' && !parse_seed(optarg, &dither.seed))) {
            print_help(stderr);
            return EXIT_USAGE;
        }
        if (option == 'o')
            output = optarg;
    }
    if (!output || optind + 1 != argc) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    hc_kernels_init(&dither.kernels, HC_TIER_BEST);
    return rewrite_model("dither", argv[optind], output, dither_tensor, &dither) ? 0 : 1;
}
