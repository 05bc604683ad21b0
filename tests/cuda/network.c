/* A network on the CUDA device against the same network on the CPU: logits of many tokens at once, of a few, and one
 * by one, which is where steps are recorded and played again. Meanwhile no memory of the device is allocated, nor
 * pinned.
 *
 * usage: cuda-network MODEL TRUTH BOUND [f16|f32|i8]
 *   TRUTH: what MODEL says, in numbers that the CPU multiplies exactly. BOUND: of the norm of the difference, relative
 *   to the norm of the logits, token by token. The cache of keys and values is that type on both.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "state.h"

/* ---- Allocations, which this program counts on their way to the CUDA runtime ---------------- */

static int allocations;

typedef cudaError_t (*allocate_fn)(void **, size_t);
typedef cudaError_t (*allocate_pinned_fn)(void **, size_t, unsigned);

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    allocate_fn next = __extension__(allocate_fn) dlsym(RTLD_NEXT, "cudaMalloc");
    allocations++;
    return next ? next(memory, bytes) : cudaErrorUnknown;
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    allocate_pinned_fn next = __extension__(allocate_pinned_fn) dlsym(RTLD_NEXT, "cudaHostAlloc");
    allocations++;
    return next ? next(memory, bytes, flags) : cudaErrorUnknown;
}

static int compare_allocations(int ready)
{
    printf("allocations: %d until all was ready, %d while it ran\n", ready, allocations - ready);
    return ready > 0 && allocations == ready ? 0 : 1;
}

/* ---- The sides ------------------------------------------------------------------------------ */

/* More than are multiplied from the codes at once, and of different numbers, so that panels end elsewhere; several
 * columns of tensor cores; and single steps, on both sides of where another graph begins. */
static const uint32_t pieces[] = {70, 17, 8, 1, 1, 1, 3, 80, 70, 1, 1, 1, 1, 1, 1, 1, 1};
enum { PIECES = sizeof pieces / sizeof *pieces, TOKENS = 259, PANEL = 1 << 11, SUMS = 1 << 12 };

struct side {
    hc_context *context;
    hc_network *network;
    hc_sequence *sequence;
    float *logits; /* of all tokens */
};

static int failed(const struct side *side, const char *what)
{
    printf("%s: %s\n", what, hc_message(side->context));
    return 1;
}

/* Makes ready anew with panels so small that most matrices take several. */
static hc_status shrink(hc_sequence *sequence)
{
    const struct hc_network *network = sequence->network;
    const struct hc_matrix *matrices[512];
    struct hc_cuda_runtime *cuda = hc_cuda_runtime_of(&sequence->runtime);
    struct hc_error error;
    uint64_t bytes;
    size_t count = 0;
    for (uint32_t i = 0; i < network->decoder.layers; i++)
        for (unsigned m = 0; m < HC_LAYER_MATRICES && count < 510; m++)
            matrices[count++] = network->layers[i].matrices[m];
    matrices[count++] = network->embedding;
    matrices[count++] = network->head;
    const struct hc_needs needs = {.decoder = &network->decoder,
                                   .n = sequence->batch,
                                   .context = sequence->room,
                                   .matrices = matrices,
                                   .matrix_count = count};
    cuda->panel_room = PANEL;
    cuda->sum_room = SUMS;
    return sequence->runtime.table->prepare(&sequence->runtime, &needs, &bytes, &error);
}

static int open_side(struct side *side, const char *device, const char *path, hc_type cache)
{
    hc_context_options options;
    hc_sequence_options sequence;
    hc_network_info info;
    hc_context_options_init(&options);
    options.device = device;
    if (hc_context_create(&side->context, &options) != HC_OK ||
        hc_network_open(side->context, path, &side->network) != HC_OK)
        return failed(side, path);
    hc_sequence_options_init(&sequence);
    sequence.context = TOKENS + 10;
    sequence.batch = 80;
    sequence.cache_type = cache;
    if (hc_sequence_create(side->context, side->network, &sequence, &side->sequence) != HC_OK)
        return failed(side, path);
    if (device && shrink(side->sequence) != HC_OK)
        return failed(side, "prepare");
    hc_network_info_get(side->network, &info);
    side->logits = calloc((size_t)TOKENS * info.vocabulary, sizeof *side->logits);
    return side->logits ? 0 : failed(side, "out of memory");
}

/* Pieces `begin` .. PIECES - 1. */
static int run_side(struct side *side, uint32_t vocabulary, int begin)
{
    uint32_t at = 0;
    for (int p = 0; p < begin; p++)
        at += pieces[p];
    if (hc_sequence_cut(side->sequence, at) != HC_OK)
        return failed(side, "cut");
    for (int p = begin; p < PIECES; p++) {
        int32_t tokens[TOKENS];
        for (uint32_t i = 0; i < pieces[p]; i++)
            tokens[i] = (int32_t)((at + i) * 7919 % vocabulary);
        hc_logits which = pieces[p] == 1 ? HC_LOGITS_LAST : HC_LOGITS_ALL;
        if (hc_evaluate(side->sequence, tokens, pieces[p], which, side->logits + (size_t)at * vocabulary) != HC_OK)
            return failed(side, "evaluate");
        at += pieces[p];
    }
    return at == TOKENS ? 0 : failed(side, "the pieces do not add up");
}

/* A fault on the device: told, and told again, and the process lives on. Where a fault ends the process, as under an
 * emulator that was not asked to go on, it is not tried. */
static int compare_faults(struct side *side)
{
    const char *asked = getenv("CUEMU_FAULT");
    struct hc_cuda_runtime *cuda = hc_cuda_runtime_of(&side->sequence->runtime);
    const int32_t tokens[] = {1, 2};
    char first[256];
    if (!asked || strcmp(asked, "error") != 0)
        return 0;
    cuda->positions = (uint32_t *)(uintptr_t)4096; /* nobody's memory */
    if (hc_sequence_cut(side->sequence, 10) != HC_OK ||
        hc_evaluate(side->sequence, tokens, 2, HC_LOGITS_NONE, NULL) != HC_ERR_DEVICE)
        return failed(side, "a fault was not told");
    snprintf(first, sizeof first, "%.255s", hc_message(side->context));
    if (hc_evaluate(side->sequence, tokens, 1, HC_LOGITS_NONE, NULL) != HC_ERR_DEVICE ||
        strcmp(first, hc_message(side->context)) != 0)
        return failed(side, "the second time it says otherwise");
    printf("a fault: %s\n", first);
    return 0;
}

/* The same choice, whether the logits come to the host or not. */
static int compare_choices(struct side *side, uint32_t vocabulary)
{
    static const hc_sample_options options[] = {{.temperature = 0, .top_p = 1, .repeat_penalty = 1},
                                                {1.5f, 40, 0.9f, 0.01f, 1, 64, 7},
                                                {2, 1000, 1, 0, 1, 64, 8},
                                                {1, 0, 1, 0, 1.1f, 64, 9}};
    float *logits = malloc(vocabulary * sizeof *logits);
    int status = logits ? 0 : failed(side, "out of memory");
    for (size_t o = 0; status == 0 && o < sizeof options / sizeof *options; o++)
        for (int draw = 0; status == 0 && draw < 20; draw++) {
            hc_sample_options own = options[o];
            hc_sampler *here = NULL, *there = NULL;
            int32_t token = -1;
            own.seed += (uint64_t)draw * 1000;
            if (hc_sampler_create(side->context, vocabulary, &own, &here) != HC_OK ||
                hc_sampler_create(side->context, vocabulary, &own, &there) != HC_OK ||
                hc_sequence_choose(side->sequence, there, &token) != HC_OK)
                status = failed(side, "choose");
            memcpy(logits, side->logits + (size_t)(TOKENS - 1) * vocabulary, vocabulary * sizeof *logits);
            int32_t expected = status == 0 ? hc_sampler_choose(here, logits) : -1;
            if (status == 0 && token != expected) {
                printf("options %zu, draw %d: the device chose %d, the host %d\n", o, draw, (int)token, (int)expected);
                status = 1;
            }
            hc_sampler_destroy(here);
            hc_sampler_destroy(there);
        }
    free(logits);
    return status;
}

static int compare(const float *truth, const float *got, uint32_t vocabulary, double bound)
{
    double worst = 0;
    int where = 0;
    for (int t = 0; t < TOKENS; t++) {
        double error2 = 0, sum2 = 0;
        for (uint32_t i = 0; i < vocabulary; i++) {
            double expected = (double)truth[(size_t)t * vocabulary + i];
            error2 += pow((double)got[(size_t)t * vocabulary + i] - expected, 2);
            sum2 += pow(expected, 2);
        }
        double share = sqrt(error2 / sum2);
        if (!(share <= worst)) {
            worst = isnan(share) ? INFINITY : share;
            where = t;
        }
    }
    printf("worst token %d: off by %.3g of its norm, allowed %.3g\n", where, worst, bound);
    return worst <= bound ? 0 : 1;
}

static void close_side(struct side *side)
{
    hc_sequence_destroy(side->sequence);
    hc_network_close(side->network);
    hc_context_destroy(side->context);
    free(side->logits);
}

int main(int argc, char **argv)
{
    struct side device = {NULL}, truth = {NULL};
    hc_network_info info = {0};
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: cuda-network MODEL TRUTH BOUND [f16|f32|i8]\n");
        return 2;
    }
    const char *name = argc == 5 ? argv[4] : "f16";
    hc_type cache = strcmp(name, "i8") == 0 ? HC_TYPE_I8 : strcmp(name, "f32") == 0 ? HC_TYPE_F32 : HC_TYPE_F16;
    int status = open_side(&device, "cuda", argv[1], cache);
    if (status == 0)
        status = open_side(&truth, NULL, argv[2], cache);
    const int ready = allocations;
    if (status == 0) {
        hc_network_info_get(device.network, &info);
        status = run_side(&device, info.vocabulary, 0);
    }
    if (status == 0)
        status = run_side(&truth, info.vocabulary, 0);
    /* Once more from the middle: what was recorded is played. */
    if (status == 0)
        status = run_side(&device, info.vocabulary, PIECES / 2);
    if (status == 0)
        status = compare(truth.logits, device.logits, info.vocabulary, strtod(argv[3], NULL));
    if (status == 0)
        status = compare_choices(&device, info.vocabulary);
    if (status == 0)
        status = compare_allocations(ready);
    if (status == 0)
        status = compare_faults(&device);
    close_side(&device);
    close_side(&truth);
    return status;
}
