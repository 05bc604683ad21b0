#include <stdlib.h>

#include "check.h"

enum { MOST_TILES = 5 };

struct shape {
    unsigned k, length;
};

/* What a tier encodes with. */
struct coder {
    struct hc_window_encode_ops ops;
    struct hc_window_trellis trellis;
    void *layout, *scratch;
};

static void fill_weights(struct check_random *random, int16_t *weights, size_t n, double deviation)
{
    for (size_t i = 0; i < n; i++) {
        double x = deviation * check_normal(random);
        weights[i] = (int16_t)(x > 32767 ? 32767 : x < -32767 ? -32767 : x);
    }
}

/* Normal numbers of the deviation that a codebook is for, or of twice that. */
static void fill_case(struct check *c, int16_t *weights, size_t n)
{
    fill_weights(&c->random, weights, n, check_below(&c->random, 2) ? 9000 : 18000);
}

static struct hc_window_trellis trellis_of(const struct shape *shape, const int16_t *codebook, void *layout)
{
    return (struct hc_window_trellis){.k = shape->k,
                                      .length = shape->length,
                                      .multiplier = hc_window_code_find(shape->k, shape->length)->multiplier,
                                      .codebook = codebook,
                                      .layout = layout};
}

static void encode(struct check *c, const struct check_tier *tier, const int16_t *codebook, const int16_t *weights,
                   const int16_t *importance, size_t tiles, uint8_t *codes)
{
    const struct shape *shape = c->op->about;
    const struct hc_window_encode_ops *ops = &tier->kernels.window_encode;
    size_t bytes = ops->scratch_bytes(shape->k, shape->length);
    void *layout = check_buffer(c, ops->layout_bytes(shape->k, shape->length), 0);
    void *large = bytes > CHECK_BUFFER_BYTES ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
    void *scratch = bytes > CHECK_BUFFER_BYTES ? large : check_buffer(c, bytes, 0);
    if (scratch == NULL) {
        check_fail(c, "scratch: out of memory", CHECK_WHOLE, 0);
        return;
    }
    struct hc_window_trellis trellis = trellis_of(shape, codebook, layout);
    ops->prepare(&trellis);
    void (*run)(const struct hc_window_trellis *, const int16_t *, const int16_t *, size_t, void *, uint8_t *);
    CHECK_KERNEL(tier, c->op, run);
    run(&trellis, weights, importance, tiles, scratch, codes);
    free(large);
}

static int16_t *make_codebook(struct check *c, const struct shape *shape)
{
    uint16_t *table = check_buffer(c, sizeof *table << shape->length, 0);
    int16_t *codebook = check_buffer(c, sizeof *codebook << shape->length, CHECK_FLUSH);
    const struct hc_window_code *code = hc_window_code_find(shape->k, shape->length);
    hc_window_table(code, table);
    hc_window_codebook(code, table, codebook);
    return codebook;
}

static void one_case(struct check *c, size_t tiles, bool weighted)
{
    const struct shape *shape = c->op->about;
    size_t n = tiles * HC_TILE_WEIGHTS, bytes = n / 8 * shape->k;
    check_case(c, "tiles=%zu importance=%d", tiles, weighted);
    int16_t *codebook = make_codebook(c, shape);
    int16_t *weights = check_buffer(c, n * sizeof *weights, 0), *importance = NULL;
    fill_case(c, weights, n);
    if (weighted) {
        importance = check_buffer(c, HC_TILE_WEIGHTS * sizeof *importance, CHECK_FLUSH);
        for (size_t i = 0; i < HC_TILE_WEIGHTS; i++)
            importance[i] = (int16_t)check_below(&c->random, 32768);
    }
    uint8_t *expected = check_buffer(c, bytes, 0), *got = check_buffer(c, bytes, CHECK_FLUSH);
    encode(c, c->truth, codebook, weights, importance, tiles, expected);
    weights = check_copy(c, weights, n * sizeof *weights, CHECK_FLUSH);
    encode(c, c->tested, codebook, weights, importance, tiles, got);
    check_bytes(c, "code", expected, got, bytes);
}

static void run(struct check *c)
{
    for (size_t tiles = 0; tiles <= MOST_TILES; tiles++) {
        one_case(c, tiles, false);
        one_case(c, tiles, true);
    }
}

/* Long windows take plain C long. */
static void run_long(struct check *c)
{
    one_case(c, 1, true);
    one_case(c, 2, false);
}

struct work {
    const struct hc_window_encode_ops *ops;
    struct hc_window_trellis trellis;
    int16_t *weights;
    void *scratch;
    uint8_t *codes;
    size_t tiles;
};

static void pass(void *state)
{
    const struct work *work = state;
    work->ops->tiles(&work->trellis, work->weights, NULL, work->tiles, work->scratch, work->codes);
}

/* As many tiles as plain C encodes in about a quarter of a second. */
static void bench(struct check_bench *b)
{
    const struct shape *shape = b->op->about;
    const struct hc_window_encode_ops *ops = &b->tier->kernels.window_encode;
    size_t tiles = (size_t)64 << 12 >> shape->length, n = tiles * HC_TILE_WEIGHTS;
    uint16_t *table = check_bench_alloc(b, sizeof *table << shape->length);
    int16_t *codebook = check_bench_alloc(b, sizeof *codebook << shape->length);
    void *layout = check_bench_alloc(b, ops->layout_bytes(shape->k, shape->length) + 64);
    struct work work = {ops,
                        trellis_of(shape, codebook, layout),
                        check_bench_alloc(b, n * sizeof *work.weights),
                        check_bench_alloc(b, ops->scratch_bytes(shape->k, shape->length)),
                        check_bench_alloc(b, n / 8 * shape->k),
                        tiles};
    if (table == NULL || codebook == NULL || layout == NULL || work.weights == NULL || work.scratch == NULL ||
        work.codes == NULL)
        return;
    const struct hc_window_code *code = hc_window_code_find(shape->k, shape->length);
    hc_window_table(code, table);
    fill_weights(&b->random, work.weights, n, hc_window_codebook(code, table, codebook));
    ops->prepare(&work.trellis);
    check_bench_run(b, n, n * sizeof *work.weights + n / 8 * shape->k, pass, &work);
}

static const struct shape k1_l10 = {1, 10}, k2_l8 = {2, 8}, k2_l12 = {2, 12}, k2_l16 = {2, 16}, k3_l12 = {3, 12},
                          k4_l8 = {4, 8}, k4_l12 = {4, 12}, k4_l16 = {4, 16}, k5_l12 = {5, 12}, k6_l12 = {6, 12},
                          k8_l12 = {8, 12};

const struct check_op check_window_encode[] = {
    {"window_encode.k1_l10", "weight", CHECK_SLOT(window_encode.tiles), &k1_l10, run, bench},
    {"window_encode.k2_l8", "weight", CHECK_SLOT(window_encode.tiles), &k2_l8, run, bench},
    {"window_encode.k2_l12", "weight", CHECK_SLOT(window_encode.tiles), &k2_l12, run, bench},
    {"window_encode.k2_l16", "weight", CHECK_SLOT(window_encode.tiles), &k2_l16, run_long, bench},
    {"window_encode.k3_l12", "weight", CHECK_SLOT(window_encode.tiles), &k3_l12, run, bench},
    {"window_encode.k4_l8", "weight", CHECK_SLOT(window_encode.tiles), &k4_l8, run, bench},
    {"window_encode.k4_l12", "weight", CHECK_SLOT(window_encode.tiles), &k4_l12, run, bench},
    {"window_encode.k4_l16", "weight", CHECK_SLOT(window_encode.tiles), &k4_l16, run_long, bench},
    {"window_encode.k5_l12", "weight", CHECK_SLOT(window_encode.tiles), &k5_l12, run, bench},
    {"window_encode.k6_l12", "weight", CHECK_SLOT(window_encode.tiles), &k6_l12, run, bench},
    {"window_encode.k8_l12", "weight", CHECK_SLOT(window_encode.tiles), &k8_l12, run_long, bench},
    {0},
};
