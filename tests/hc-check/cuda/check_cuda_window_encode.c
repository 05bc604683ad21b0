#include <stdlib.h>

#include "device.h"
#include "window_encode/window_encode.h"
#include "window_encode/window_encode_cuda.h"

enum { KINDS = 6 };

/* What is encoded with. */
struct scene {
    unsigned k, length;
    size_t tiles;
    unsigned slots;
    bool weighted, all;
    int short_of; /* the codebook's values are divided by this */
};

/* The host's side of it. */
struct input {
    int16_t *codebook, *weights, *importance;
};

/* Tiles of six kinds: normal weights of the deviation that a codebook is for, a few of them far out, so that metrics of
 * bytes are tried again, and weights of twice the deviation; all alike at either end; anything at all; the two ends by
 * turns, which no path follows where k is small, so that metrics saturate; and nothing but zeros, where ties abound. */
static int16_t weight_of(struct check_random *random, size_t tile, size_t t)
{
    double x;
    switch (tile % KINDS) {
    case 2:
        return (int16_t)(check_below(random, 65535) - 32767);
    case 3:
        return t / 5 % 2 ? 32767 : -32767;
    case 4:
        return 0;
    case 5:
        return (int16_t)(check_below(random, 2) ? 32767 : -32767);
    default:
        x = (tile % KINDS ? 18000 : t >= 100 && t < 108 ? 27000 : 9000) * check_normal(random);
        return (int16_t)(x > 32767 ? 32767 : x < -32767 ? -32767 : x);
    }
}

static struct input make_input(struct check *c, const struct scene *scene)
{
    const struct hc_window_code *code = hc_window_code_find(scene->k, scene->length);
    uint16_t *table = check_buffer(c, sizeof *table << scene->length, 0);
    struct input input = {check_buffer(c, sizeof *input.codebook << scene->length, 0),
                          check_buffer(c, scene->tiles * HC_TILE_WEIGHTS * sizeof *input.weights, 0), NULL};
    hc_window_table(code, table);
    hc_window_codebook(code, table, input.codebook);
    for (size_t u = 0; u < (size_t)1 << scene->length; u++)
        input.codebook[u] = (int16_t)(input.codebook[u] / scene->short_of);
    for (size_t i = 0; i < scene->tiles * HC_TILE_WEIGHTS; i++)
        input.weights[i] = weight_of(&c->random, i / HC_TILE_WEIGHTS, i % HC_TILE_WEIGHTS);
    if (scene->weighted)
        input.importance = check_buffer(c, HC_TILE_WEIGHTS * sizeof *input.importance, 0);
    for (size_t i = 0; i < HC_TILE_WEIGHTS && scene->weighted; i++)
        input.importance[i] = (int16_t)(i % 16 ? check_below(&c->random, 32768) : i % 32 ? 32767 : 0);
    return input;
}

static struct hc_window_trellis trellis_of(const struct scene *scene, const struct input *input, void *layout)
{
    return (struct hc_window_trellis){.k = scene->k,
                                      .length = scene->length,
                                      .multiplier = hc_window_code_find(scene->k, scene->length)->multiplier,
                                      .codebook = input->codebook,
                                      .all = scene->all,
                                      .layout = layout};
}

static void encode_plain(struct check *c, const struct scene *scene, const struct input *input, uint8_t *codes)
{
    const struct hc_window_encode_ops *ops = &c->truth->kernels.window_encode;
    size_t bytes = ops->scratch_bytes(scene->k, scene->length);
    void *layout = check_buffer(c, ops->layout_bytes(scene->k, scene->length), 0);
    void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (scratch == NULL) {
        check_fail(c, "scratch: out of memory", CHECK_WHOLE, 0);
        return;
    }
    struct hc_window_trellis trellis = trellis_of(scene, input, layout);
    ops->prepare(&trellis);
    ops->tiles(&trellis, input->weights, input->importance, scene->tiles, scratch, codes);
    free(scratch);
}

static void encode_cuda(struct check *c, const struct scene *scene, const struct input *input, uint8_t *codes)
{
    size_t n = scene->tiles * HC_TILE_WEIGHTS,
           layout_bytes = hc_window_encode_cuda_layout_bytes(scene->k, scene->length);
    void *layout = check_buffer(c, layout_bytes, 0);
    struct hc_window_trellis trellis = trellis_of(scene, input, layout);
    hc_window_encode_cuda_prepare(&trellis);
    struct hc_window_trellis_cuda on_device = {scene->k, scene->length, trellis.multiplier, scene->all,
                                               device_copy(c, layout, layout_bytes)};
    int16_t *weights = device_copy(c, input->weights, n * sizeof *weights), *importance = NULL;
    if (input->importance)
        importance = device_copy(c, input->importance, HC_TILE_WEIGHTS * sizeof *importance);
    void *workspace =
        device_buffer(c, hc_window_encode_cuda_workspace(scene->k, scene->length, scene->tiles, scene->slots));
    uint8_t *got = device_buffer(c, n / 8 * scene->k);
    device_launched(c, "window_encode",
                    hc_window_encode_cuda(&on_device, weights, importance, scene->tiles, scene->slots, workspace, got,
                                          device_stream(c)));
    device_fetch(c, got, codes, n / 8 * scene->k);
}

static void one_case(struct check *c, struct scene scene)
{
    check_case(c, "k=%u L=%u, %zu tiles in %u slots, importance=%d all=%d codebook/%d", scene.k, scene.length,
               scene.tiles, scene.slots, scene.weighted, scene.all, scene.short_of);
    size_t bytes = scene.tiles * HC_TILE_WEIGHTS / 8 * scene.k;
    struct input input = make_input(c, &scene);
    uint8_t *expected = check_buffer(c, bytes, 0), *got = check_buffer(c, bytes, 0);
    encode_plain(c, &scene, &input, expected);
    encode_cuda(c, &scene, &input, got);
    check_bytes(c, "code", expected, got, bytes);
    device_end(c);
}

/* All kinds of tiles with short windows, which are quick; with a codebook that reaches a quarter as far, so that
 * metrics saturate where weights are large; with more tiles than slots, and fewer; by wide arithmetic. */
static void run(struct check *c)
{
    const unsigned k = *(const unsigned *)c->op->about;
    for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
        bool slow = length - k > 10 || length + k > 20;
        for (int weighted = 0; weighted <= 1; weighted++)
            one_case(c, (struct scene){k, length, slow ? 1 : KINDS, slow ? 2 : 4, weighted, false, 1});
        if (!slow && length % 2 == 0)
            one_case(c, (struct scene){k, length, KINDS, KINDS, false, false, 4});
    }
    one_case(c, (struct scene){k, HC_WINDOW_MIN_LENGTH, 6 * KINDS, 5, true, false, 1});
    one_case(c, (struct scene){k, HC_WINDOW_MIN_LENGTH + 1, 2, 5, true, true, 1});
    one_case(c, (struct scene){k, HC_WINDOW_MIN_LENGTH, 0, 1, false, false, 1});
}

static void slots(struct check *c)
{
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            unsigned count = 0;
            check_case(c, "k=%u L=%u", k, length);
            if (hc_window_code_find(k, length) == NULL)
                continue;
            device_launched(c, "window_encode_slots", hc_window_encode_cuda_slots(k, length, &count));
            if (count == 0)
                check_fail(c, "slots", CHECK_WHOLE, 0);
        }
}

static const unsigned numbers[] = {1, 2, 3, 4, 5, 6, 8};

const struct check_op check_cuda_window_encode[] = {
    {"window_encode.k1", "weight", CHECK_DEVICE, &numbers[0], run, NULL},
    {"window_encode.k2", "weight", CHECK_DEVICE, &numbers[1], run, NULL},
    {"window_encode.k3", "weight", CHECK_DEVICE, &numbers[2], run, NULL},
    {"window_encode.k4", "weight", CHECK_DEVICE, &numbers[3], run, NULL},
    {"window_encode.k5", "weight", CHECK_DEVICE, &numbers[4], run, NULL},
    {"window_encode.k6", "weight", CHECK_DEVICE, &numbers[5], run, NULL},
    {"window_encode.k8", "weight", CHECK_DEVICE, &numbers[6], run, NULL},
    {"window_encode.slots", "shape", CHECK_DEVICE, NULL, slots, NULL},
    {0},
};
