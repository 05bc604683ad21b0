/* Who would compress what: everything is given away once, evenly, and cut where it may be. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "partition.h"
#include "plan.h"

enum { MOST_TENSORS = 1024, MOST_DEVICES = 64, NAME = 64 };

/* ---- Shapes --------------------------------------------------------------------------------- */

struct shapes {
    hc_tensor_info tensors[MOST_TENSORS];
    char names[MOST_TENSORS][NAME];
    size_t count;
};

static void add(struct shapes *shapes, const char *name, uint64_t rows, uint64_t columns)
{
    size_t i = shapes->count++;
    cr_assert(i < MOST_TENSORS);
    snprintf(shapes->names[i], NAME, "%s", name);
    shapes->tensors[i] = (hc_tensor_info){
        .name = shapes->names[i], .type = HC_TYPE_BF16, .rank = columns ? 2 : 1, .shape = {rows, columns}};
}

/* A network of the LLaMA family, in the order of its files. */
static struct shapes *llama(uint64_t vocabulary, uint64_t width, uint64_t inner, int layers, uint64_t keys)
{
    static struct shapes shapes;
    const struct {
        const char *name;
        uint64_t rows, columns;
    } layer[] = {
        {"input_layernorm", width, 0},      {"mlp.down_proj", width, inner},        {"mlp.gate_proj", inner, width},
        {"mlp.up_proj", inner, width},      {"post_attention_layernorm", width, 0}, {"self_attn.k_proj", keys, width},
        {"self_attn.o_proj", width, width}, {"self_attn.q_proj", width, width},     {"self_attn.v_proj", keys, width}};
    shapes.count = 0;
    add(&shapes, "model.embed_tokens.weight", vocabulary, width);
    for (int l = 0; l < layers; l++)
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
            char name[NAME];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, layer[i].name);
            add(&shapes, name, layer[i].rows, layer[i].columns);
        }
    add(&shapes, "model.norm.weight", width, 0);
    add(&shapes, "lm_head.weight", vocabulary, width);
    return &shapes;
}

static struct shapes *llama2_7b(void)
{
    return llama(32000, 4096, 11008, 32, 4096);
}

static struct shapes *one(uint64_t rows, uint64_t columns)
{
    static struct shapes shapes;
    shapes.count = 0;
    add(&shapes, "x.weight", rows, columns);
    return &shapes;
}

/* ---- Plans ---------------------------------------------------------------------------------- */

static hc_context *context;

static void setup(void)
{
    cr_assert(hc_context_create(&context, NULL) == HC_OK);
}

static void teardown(void)
{
    hc_context_destroy(context);
}

TestSuite(plan, .init = setup, .fini = teardown);

static hc_compress_options options_of(const char *method, double bits, int length)
{
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.method = method;
    options.window.bits = bits;
    options.window.length = length;
    return options;
}

static hc_plan *plan_of(const struct shapes *shapes, const hc_compress_options *options, const hc_plan_device *devices,
                        size_t count)
{
    hc_plan *plan = NULL;
    cr_assert(hc_plan_tensors(context, shapes->tensors, shapes->count, options, devices, count, &plan) == HC_OK, "%s",
              hc_message(context));
    return plan;
}

static hc_plan *plan_for_equals(const struct shapes *shapes, const hc_compress_options *options, size_t count)
{
    hc_plan_device devices[MOST_DEVICES];
    for (size_t d = 0; d < count; d++)
        devices[d] = (hc_plan_device){"cuda", 100, 0};
    return plan_of(shapes, options, devices, count);
}

static double imbalance_of(const hc_plan *plan)
{
    hc_plan_totals totals;
    hc_plan_totals_get(plan, &totals);
    return totals.imbalance;
}

static hc_plan_share share_of(const hc_plan *plan, uint64_t device)
{
    hc_plan_share share;
    cr_assert(hc_plan_share_get(plan, device, &share) == HC_OK);
    return share;
}

/* How far the parts of a piece have come, in weights, and behind these in tiles; what they have in all. */
struct place {
    uint64_t first, tile, weights;
};

/* The next part of a piece, which is to begin there. */
static void expect_part(const hc_plan *plan, uint64_t at, const char *name, struct place *place, uint64_t all,
                        uint64_t unit)
{
    hc_plan_part part;
    hc_plan_totals totals;
    hc_plan_totals_get(plan, &totals);
    cr_assert(hc_plan_part_get(plan, at, &part) == HC_OK, "%s: weight %llu belongs to nobody", name,
              (unsigned long long)place->first);
    cr_assert(strcmp(part.tensor, name) == 0 && part.first == place->first && part.first_tile == place->tile,
              "%s, not weight %llu of %s", part.tensor, (unsigned long long)place->first, name);
    cr_assert(part.weights > 0 && part.weights <= all - place->weights && part.device < totals.devices);
    cr_assert(part.first % unit == 0, "%s is cut at %llu", name, (unsigned long long)part.first);
    cr_assert(part.read_bytes == 2 * part.weights && part.whole == (part.weights == all));
    cr_assert(part.tiles > 0 || place->tile == 0, "whole rows behind tiles");
    place->first += part.tiles > 0 ? 0 : part.weights;
    place->tile += part.tiles;
    place->weights += part.weights;
}

/* All parts of a piece, from number `at` on; returns how many. */
static uint64_t expect_parts(const hc_plan *plan, uint64_t at, const char *name, uint64_t rows, uint64_t columns,
                             uint64_t unit)
{
    struct place place = {0, 0, 0};
    uint64_t parts = 0, all = rows * columns;
    for (; place.weights < all; parts++)
        expect_part(plan, at + parts, name, &place, all, unit);
    uint64_t left = columns > 0 ? (rows - place.first / columns + 15) / 16 * ((columns + 15) / 16) : 0;
    cr_assert(place.tile == 0 ? place.first == all : place.tile == left, "%s: %llu tiles of %llu", name,
              (unsigned long long)place.tile, (unsigned long long)left);
    return parts;
}

/* Every weight of every tensor, once, in order; parts and shares agree. */
static void expect_whole(const struct shapes *shapes, const hc_plan *plan, const char *method)
{
    uint64_t at = 0, weights = 0, parts = 0;
    hc_plan_totals totals;
    hc_plan_share share;
    for (size_t i = 0; i < shapes->count; i++) {
        const hc_tensor_info *tensor = &shapes->tensors[i];
        uint64_t rows = tensor->rank > 1 ? tensor->shape[0] : 1;
        uint64_t columns = tensor->rank > 1 ? tensor->shape[1] : tensor->shape[0];
        uint64_t unit = strcmp(method, "pair") == 0 ? HC_BLOCK : 16 * columns;
        at += expect_parts(plan, at, tensor->name, rows, columns, unit);
        weights += rows * columns;
    }
    hc_plan_totals_get(plan, &totals);
    cr_assert(totals.parts == at && totals.weights == weights && totals.tensors == shapes->count);
    for (uint64_t d = 0; hc_plan_share_get(plan, d, &share) == HC_OK; d++) {
        weights -= share.weights;
        parts += share.parts;
        cr_assert(share.seconds <= totals.seconds * (1 + 1e-9));
    }
    cr_assert(weights == 0 && parts == at);
}

/* ---- Evenly --------------------------------------------------------------------------------- */

/* 1 to 64 equal devices lose under 2 %, whatever their number: `worst` at most. */
static void expect_even(const struct shapes *shapes, const char *method, double bits, int length, double worst)
{
    hc_compress_options options = options_of(method, bits, length);
    options.window.embedding_bits = options.window.head_bits = (int)bits;
    double most = 0;
    for (size_t count = 1; count <= MOST_DEVICES; count++) {
        hc_plan *plan = plan_for_equals(shapes, &options, count);
        double imbalance = imbalance_of(plan);
        expect_whole(shapes, plan, method);
        cr_expect(imbalance > -1e-9 && imbalance < 0.02, "%s, %g bits, L %d, %zu devices: %g", method, bits, length,
                  count, imbalance);
        most = fmax(most, imbalance);
        hc_plan_free(plan);
    }
    cr_expect(fabs(most - worst) < 5e-4, "%s, %g bits, L %d: %g at worst, not %g", method, bits, length, most, worst);
}

Test(plan, llama2_7b_on_equal_devices)
{
    const struct shapes *shapes = llama2_7b();
    expect_even(shapes, "window", 4, 12, 0.0069);
    expect_even(shapes, "window", 2, 16, 0.0038);
    expect_even(shapes, "window", 8, 8, 0.0121);
    expect_even(shapes, "pair", 4, 12, 0.0125);
}

Test(plan, llama2_13b_on_equal_devices)
{
    const struct shapes *shapes = llama(32000, 5120, 13824, 40, 5120);
    expect_even(shapes, "window", 4, 12, 0.0051);
    expect_even(shapes, "pair", 4, 12, 0.0083);
}

Test(plan, llama2_70b_on_equal_devices)
{
    const struct shapes *shapes = llama(32000, 8192, 28672, 80, 1024);
    expect_even(shapes, "window", 4, 12, 0.0028);
    expect_even(shapes, "pair", 4, 12, 0.0036);
}

Test(plan, llama2_70b_in_no_time)
{
    const struct shapes *shapes = llama(32000, 8192, 28672, 80, 1024);
    hc_compress_options options = options_of("window", 3, 16);
    clock_t begin = clock();
    hc_plan *plan = plan_for_equals(shapes, &options, 64);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    expect_whole(shapes, plan, "window");
    cr_expect(imbalance_of(plan) < 0.02 && seconds < 1, "%g, %g s", imbalance_of(plan), seconds);
    hc_plan_free(plan);
}

Test(plan, unequal_devices)
{
    static const double cases[][4] = {{1, 40, 40, 2}, {400, 1, 1, 1}, {1, 1, 1, 300}, {7, 5, 3, 0.25}};
    const struct shapes *shapes = llama2_7b();
    hc_compress_options options = options_of("window", 4, 12);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hc_plan_device devices[4] = {{"cpu", 0, 0}, {"cuda:0", 0, 0}, {"cuda:1", 0, 0}, {"cpu", 0, 0}};
        double shares = 0;
        for (size_t d = 0; d < 4; d++)
            devices[d].speed = cases[i][d];
        hc_plan *plan = plan_of(shapes, &options, devices, 4);
        expect_whole(shapes, plan, "window");
        cr_expect(imbalance_of(plan) < 0.02, "case %zu: %g", i, imbalance_of(plan));
        for (size_t d = 0; d < 4; d++)
            shares += share_of(plan, d).share;
        cr_expect(fabs(shares - 1) < 1e-9);
        hc_plan_free(plan);
    }
}

/* A slow device does not take what would hold up all others, wherever it stands. */
Test(plan, slow_devices_of_small_models)
{
    hc_compress_options options = options_of("window", 4, 12);
    const hc_plan_device last[] = {{"cuda", 100, 0}, {"cpu", 1, 0}}, first[] = {{"cpu", 1, 0}, {"cuda", 100, 0}};
    for (uint64_t tiles = 1; tiles < 100; tiles += 7) {
        hc_plan *plan = plan_of(one(16 * tiles, 4096), &options, last, 2);
        cr_expect(share_of(plan, 1).parts == 0, "%llu rows of tiles", (unsigned long long)tiles);
        hc_plan_free(plan);
        plan = plan_of(one(16 * tiles, 4096), &options, first, 2);
        cr_expect(share_of(plan, 0).parts == 0, "%llu rows of tiles", (unsigned long long)tiles);
        hc_plan_free(plan);
    }
    hc_plan *plan = plan_of(one(16 * 101, 4096), &options, last, 2); /* just as many as they can share */
    cr_expect(share_of(plan, 1).weights == 16 * 4096 && imbalance_of(plan) < 1e-9);
    hc_plan_free(plan);
}

static double next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-53;
}

/* Of whole rows of tiles alone. */
static double time_of_whole(uint64_t tiles, const hc_plan_device *devices, size_t count, double unit)
{
    double speeds[MOST_DEVICES], time = 0;
    uint64_t units[MOST_DEVICES];
    for (size_t d = 0; d < count; d++)
        speeds[d] = devices[d].speed;
    hc_partition(tiles, speeds, count, units);
    for (size_t d = 0; d < count; d++)
        time = fmax(time, (double)units[d] * unit / speeds[d]);
    return time;
}

/* Whatever devices and rows there are: cutting some of them finer does not take longer, but for a little that is not
 * foreseen where so few rows are shared that most of what is decoded is other devices'. */
Test(plan, any_speeds)
{
    enum { DEVICES = 7, ROUNDS = 500 };
    double won = 0;
    hc_compress_options options = options_of("window", 4, 12);
    uint64_t state = 1;
    for (int round = 0; round < ROUNDS; round++) {
        hc_plan_device devices[DEVICES];
        uint64_t tiles = 1 + (uint64_t)exp(6 * next_random(&state));
        double unit = 1e-9 * hc_plan_window_cost(4, 12) * 16 * 1024;
        for (size_t d = 0; d < DEVICES; d++)
            devices[d] = (hc_plan_device){"cuda", exp(7 * next_random(&state)), 0};
        hc_plan *plan = plan_of(one(16 * tiles, 1024), &options, devices, DEVICES);
        hc_plan_totals totals;
        hc_plan_totals_get(plan, &totals);
        expect_whole(one(16 * tiles, 1024), plan, "window");
        cr_expect(totals.imbalance > -1e-9);
        double whole = time_of_whole(tiles, devices, DEVICES, unit);
        cr_expect(totals.seconds < 1.02 * whole, "round %d: %g s, not %g", round, totals.seconds, whole);
        won += 1 - totals.seconds / whole;
        hc_plan_free(plan);
    }
    cr_expect(won / ROUNDS > 0.02, "it wins %g on an average", won / ROUNDS);
}

Test(plan, more_devices_than_rows_of_tiles)
{
    hc_compress_options options = options_of("window", 4, 12);
    const struct shapes *shapes = one(40, 64);
    hc_plan *plan = plan_for_equals(shapes, &options, 8);
    hc_plan_totals totals;
    expect_whole(shapes, plan, "window");
    hc_plan_totals_get(plan, &totals);
    cr_expect(totals.parts == 3 && totals.cut_pieces == 1);
    for (uint64_t d = 0; d < 8; d++)
        cr_expect(share_of(plan, d).parts <= 1, "each has one row of tiles at most");
    cr_expect(fabs(totals.imbalance - (8.0 / 3 - 1)) < 1e-9, "%g", totals.imbalance);
    hc_plan_free(plan);
}

/* Three rows of 63 tiles, whose columns allow Hadamard blocks of one tile only, for 8 devices. The last row of tiles
 * has but 8 rows, its last tile 8 columns. */
Test(plan, tiles_of_shared_rows)
{
    hc_compress_options options = options_of("window", 4, 12);
    const struct shapes *shapes = one(40, 1000);
    hc_plan *plan = plan_for_equals(shapes, &options, 8);
    hc_plan_totals totals;
    hc_plan_part part;
    expect_whole(shapes, plan, "window");
    hc_plan_totals_get(plan, &totals);
    cr_assert(totals.parts == 8 && totals.cut_pieces == 1 && totals.imbalance < 0.08, "%g", totals.imbalance);
    for (uint64_t p = 0; hc_plan_part_get(plan, p, &part) == HC_OK; p++)
        cr_expect(part.device == p && part.first == 0 && part.tiles == (p < 5 ? 24 : 23) &&
                  part.first_tile == 23 * p + (p < 5 ? p : 5));
    hc_plan_part_get(plan, 0, &part);
    cr_expect(part.weights == 16 * 24 * 16 && part.written_bytes == 24 * 128 + 2 * 40 + 1000);
    hc_plan_part_get(plan, 7, &part);
    cr_expect(part.weights == 8 * (1000 - 40 * 16) && part.written_bytes == 23 * 128);
    hc_plan_free(plan);
}

/* ---- Where it may be cut -------------------------------------------------------------------- */

/* The sums of `pair` are of whole blocks. */
Test(plan, pair_is_cut_between_blocks)
{
    static const uint64_t columns[] = {4096, 11008, 5000, 4095, 7, 1};
    hc_compress_options options = options_of("pair", 4, 12);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        const struct shapes *shapes = one(100000, columns[i]);
        hc_plan *plan = plan_for_equals(shapes, &options, 7);
        hc_plan_part part;
        expect_whole(shapes, plan, "pair");
        for (uint64_t p = 0; hc_plan_part_get(plan, p, &part) == HC_OK; p++)
            cr_expect(part.first % HC_BLOCK == 0, "%llu columns, weight %llu", (unsigned long long)columns[i],
                      (unsigned long long)part.first);
        hc_plan_free(plan);
    }
}

static void expect_within(const struct shapes *shapes, const char *method, uint64_t memory)
{
    hc_compress_options options = options_of(method, 4, 12);
    const hc_plan_device devices[] = {{"cuda:0", 1, memory}, {"cuda:1", 1, 0}, {"cuda:2", 1, 4 * memory}};
    hc_plan *plan = plan_of(shapes, &options, devices, 3);
    hc_plan_part part;
    expect_whole(shapes, plan, method);
    for (uint64_t p = 0; hc_plan_part_get(plan, p, &part) == HC_OK; p++) {
        uint64_t most = devices[part.device].memory, bytes = part.read_bytes + part.written_bytes;
        cr_expect(part.kept || most == 0 || bytes <= most, "%llu bytes of %llu", (unsigned long long)bytes,
                  (unsigned long long)most);
    }
    for (uint64_t d = 0; d < 3; d++)
        cr_expect(!devices[d].memory || share_of(plan, d).part_bytes > devices[d].memory / 2, "it is not made use of");
    hc_plan_free(plan);
}

Test(plan, memory)
{
    const struct shapes *shapes = llama2_7b();
    hc_compress_options options = options_of("window", 4, 12);
    const hc_plan_device small = {"cuda", 1, 100000};
    hc_plan *plan = NULL;
    expect_within(shapes, "window", 3000000);
    expect_within(shapes, "pair", 3000000);
    cr_expect(hc_plan_tensors(context, shapes->tensors, shapes->count, &options, &small, 1, &plan) == HC_ERR_ARGUMENT);
    cr_expect(!plan && strstr(hc_message(context), "do not hold the least part of model.embed_tokens.weight"), "%s",
              hc_message(context));
}

Test(plan, experts)
{
    static struct shapes shapes;
    hc_compress_options options = options_of("window", 4, 12);
    hc_plan_part part;
    hc_plan_totals totals;
    shapes.count = 0;
    add(&shapes, "mlp.experts.up.weight", 8, 64);
    shapes.tensors[0].rank = 3;
    shapes.tensors[0].shape[2] = 32;
    hc_plan *plan = plan_for_equals(&shapes, &options, 4);
    hc_plan_totals_get(plan, &totals);
    cr_assert(totals.parts == 8 * 4 && totals.pieces == 8 && totals.cut_pieces == 8 && totals.imbalance < 1e-9);
    for (uint64_t p = 0; hc_plan_part_get(plan, p, &part) == HC_OK; p++)
        cr_expect(part.piece == p / 4 && part.pieces == 8 && part.weights == 16 * 32 && part.device == p % 4);
    hc_plan_free(plan);
}

/* ---- What needs no work --------------------------------------------------------------------- */

Test(plan, no_tensors)
{
    static struct shapes none;
    hc_compress_options options = options_of("window", 4, 12);
    hc_plan *plan = plan_for_equals(&none, &options, 3);
    hc_plan_totals totals;
    hc_plan_part part;
    hc_plan_totals_get(plan, &totals);
    cr_expect(totals.parts == 0 && totals.seconds == 0 && totals.imbalance == 0 && totals.devices == 3);
    cr_expect(share_of(plan, 2).share == 0);
    cr_expect(hc_plan_part_get(plan, 0, &part) == HC_ERR_ARGUMENT);
    hc_plan_free(plan);
}

/* Also tensors without weights are somebody's. */
Test(plan, empty_tensors)
{
    static struct shapes shapes;
    hc_compress_options options = options_of("window", 4, 12);
    hc_plan_totals totals;
    shapes.count = 0;
    add(&shapes, "first.weight", 0, 0);
    add(&shapes, "rows.weight", 0, 4);
    add(&shapes, "x.weight", 64, 64);
    add(&shapes, "mlp.experts.weight", 0, 4);
    shapes.tensors[3].rank = 3;
    hc_plan *plan = plan_for_equals(&shapes, &options, 5);
    hc_plan_totals_get(plan, &totals);
    cr_expect(totals.weights == 64 * 64 && totals.pieces == 4 && totals.parts == 3 + 4, "%llu parts",
              (unsigned long long)totals.parts);
    hc_plan_free(plan);
    shapes.count = 2;
    plan = plan_for_equals(&shapes, &options, 5);
    hc_plan_totals_get(plan, &totals);
    cr_expect(totals.parts == 2 && totals.imbalance == 0);
    hc_plan_free(plan);
}

Test(plan, kept_tensors)
{
    const char *const patterns[] = {"*layers*"};
    const struct shapes *shapes = llama2_7b();
    hc_compress_options options = options_of("window", 4, 12);
    hc_plan_part part;
    options.keep = (hc_patterns){patterns, 1};
    options.window.head_bits = 0;
    hc_plan *plan = plan_for_equals(shapes, &options, 6);
    for (uint64_t p = 0; hc_plan_part_get(plan, p, &part) == HC_OK; p++) {
        cr_expect(!part.kept || part.device == 0);
        cr_expect(part.kept == (strcmp(part.tensor, "model.embed_tokens.weight") != 0), "%s", part.tensor);
        cr_expect(!part.kept || part.written_bytes == part.read_bytes);
    }
    hc_plan_free(plan);
}

/* ---- Costs ---------------------------------------------------------------------------------- */

/* What the header says of the table, held against it. */
Test(plan, costs_are_those_of_the_measured_table)
{
    char line[256];
    int rows = 0;
    FILE *table = fopen(HC_SOURCE_DIR "/bench/results/window_speed.csv", "r");
    cr_assert_not_null(table);
    while (fgets(line, sizeof line, table)) {
        unsigned k, length, threads;
        double speed;
        if (sscanf(line, "%u,%u,%u,%lf", &k, &length, &threads, &speed) != 4 || threads != 1)
            continue;
        double error = hc_plan_window_cost(k, length) / (1000 / speed) - 1;
        cr_expect(fabs(error) <= 0.12, "k %u, L %u: %+.3f", k, length, error);
        rows++;
    }
    fclose(table);
    cr_expect(rows == 8, "%d rows", rows);
}

Test(plan, costs_of_fractions_lie_between)
{
    for (unsigned length = 8; length <= 16; length++) {
        cr_expect(hc_plan_window_cost(2.5, length) ==
                  hc_plan_window_cost(2, length) +
                      0.5 * (hc_plan_window_cost(3, length) - hc_plan_window_cost(2, length)));
        double six = hc_plan_window_cost(6, length), eight = hc_plan_window_cost(8, length);
        cr_expect(fabs(hc_plan_window_cost(6.5, length) - (six + 0.25 * (eight - six))) <= 1e-9 * eight);
        cr_expect(fabs(hc_plan_window_cost(7.5, length) - (six + 0.75 * (eight - six))) <= 1e-9 * eight);
    }
}

/* What is written is what compressing writes, but for padding between the parts of a tensor. */
Test(plan, written_bytes)
{
    hc_compress_options options = options_of("window", 3, 12);
    hc_plan *plan = plan_for_equals(one(100, 50), &options, 1);
    cr_expect(share_of(plan, 0).written_bytes == 7 * 4 * 96 + 2 * 100 + 50);
    hc_plan_free(plan);
    options.window.bits = 6.5; /* there is no k of 7 */
    plan = plan_for_equals(one(100, 50), &options, 1);
    cr_expect(share_of(plan, 0).written_bytes == 7 * 4 * 256 + 2 * 100 + 50);
    hc_plan_free(plan);
    options.method = "pair";
    plan = plan_for_equals(one(101, 51), &options, 1); /* 1601 codes in each of 4 classes: 13 bits */
    cr_expect(share_of(plan, 0).written_bytes == ((101 * 51 + 1) / 2 * 13 + 7) / 8);
    hc_plan_free(plan);
}

Test(plan, default_speeds)
{
    hc_compress_options options = options_of("window", 4, 12);
    hc_context_options threads;
    const hc_plan_device devices[] = {{"cpu", 0, 0}, {"cuda:7", 0, 0}};
    hc_context_options_init(&threads);
    threads.threads = 3;
    hc_context_destroy(context);
    cr_assert(hc_context_create(&context, &threads) == HC_OK);
    hc_plan *plan = plan_of(llama2_7b(), &options, devices, 2);
    cr_expect(share_of(plan, 0).speed == 3 && share_of(plan, 1).speed == 100);
    cr_expect(strcmp(share_of(plan, 1).name, "cuda:7") == 0);
    hc_plan_free(plan);
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void expect_refused(const char *name, double speed, const hc_tensor_info *tensor,
                           const hc_compress_options *options, size_t devices, const char *text)
{
    const hc_plan_device device = {name, speed, 0};
    hc_plan *plan = NULL;
    hc_status status = hc_plan_tensors(context, tensor, 1, options, &device, devices, &plan);
    cr_expect(status == HC_ERR_ARGUMENT && !plan, "%s: %s", text, hc_status_name(status));
    cr_expect(strstr(hc_message(context), text), "%s", hc_message(context));
}

Test(plan, refused)
{
    static const char *const names[] = {"tpu", "", "cpu:0", "cuda:", "cuda:x", "cuda0"};
    hc_compress_options options = options_of("window", 4, 12), seven = options_of("window", 7, 12);
    hc_compress_options other = options_of("square", 4, 12);
    hc_tensor_info tensor = one(16, 16)->tensors[0], huge = tensor, deep = tensor;
    huge.shape[0] = huge.shape[1] = UINT64_C(1) << 30;
    deep.rank = HC_MAX_RANK + 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_refused(names[i], 1, &tensor, &options, 1, "unknown device");
    expect_refused("cpu", -1, &tensor, &options, 1, "is not a speed");
    expect_refused("cpu", 1e10, &tensor, &options, 1, "is not a speed");
    expect_refused("cpu", (double)NAN, &tensor, &options, 1, "is not a speed");
    expect_refused("cpu", (double)INFINITY, &tensor, &options, 1, "is not a speed");
    expect_refused("cpu", 1, &tensor, &options, 0, "a plan needs a device");
    expect_refused("cpu", 1, &tensor, &seven, 1, "");
    expect_refused("cpu", 1, &tensor, &other, 1, "unknown method 'square'");
    expect_refused("cpu", 1, &huge, &options, 1, "there is no such shape");
    expect_refused("cpu", 1, &deep, &options, 1, "there is no such shape");
}
