/* Engines: the same operations over long stretches. What is held against plain C on one thread: the CPU's engine on two
 * threads with every tier of kernels, and every other backend. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "pair_grid.h"

enum { GRIDS = 3 };

/* A piece within a tensor, a stretch of that piece, and the grids fitted to it. */
struct scene {
    struct hc_tensor tensor;
    struct hc_piece piece;
    uint64_t first, count;
    struct hc_pair_grid grids[GRIDS];
    unsigned bits;
    uint32_t entries;
    uint8_t *packed;
    float (*table)[2];
    float *decoded;
};

static void scene_close(struct scene *s)
{
    free((void *)s->tensor.data);
    free(s->packed);
    free(s->table);
    free(s->decoded);
    *s = (struct scene){.count = 0};
}

static size_t packed_bytes(const struct scene *s)
{
    return ((s->count + 1) / 2 * s->bits + 7) / 8;
}

/* Fills the tensor with normal weights in its own type. */
static bool make_tensor(struct scene *s, struct check_random *random, const struct hc_kernels *kernels, hc_type type,
                        uint64_t n)
{
    float *weights = malloc(n * sizeof *weights);
    uint16_t *narrow = malloc(n * sizeof *narrow);
    if (weights != NULL && narrow != NULL) {
        check_fill_normal(random, weights, n, 0.003, 0.02);
        for (uint64_t i = 0; i < n; i += 100)
            weights[i] *= 1 + 5 * (float)check_uniform(random);
        if (type == HC_TYPE_F16)
            kernels->convert.f32_to_f16(weights, n, narrow);
        else if (type == HC_TYPE_BF16)
            kernels->convert.f32_to_bf16(weights, n, narrow);
    }
    bool wide = type == HC_TYPE_F32;
    s->tensor = (struct hc_tensor){
        .name = "weights",
        .type = type,
        .rank = 1,
        .shape = {n},
        .weights = n,
        .bytes = n * (wide ? 4 : 2),
        .data = wide ? (const uint8_t *)weights : (const uint8_t *)narrow,
    };
    if (wide)
        free(narrow);
    else
        free(weights);
    return s->tensor.data != NULL && (wide || weights != NULL);
}

/* Grids with 1, 2 .. GRIDS classes around 0.003, as far as plain C says that the piece reaches. */
static bool fit(struct scene *s, const struct check_tier *truth, uint32_t points, double side)
{
    const double centre[2] = {(double)0.003f, (double)0.003f};
    struct hc_engine engine = truth->engine;
    struct hc_pair_grid grid = {.centre = {centre[0], centre[1]}, .half = side / 2, .pad = 0.003f};
    struct hc_extent_sum extent = {0};
    if (engine.table->pair_extent(&engine, &s->piece, 0, s->piece.weights, &grid, &extent, NULL) != HC_OK)
        return false;
    double farthest = fmax(sqrt(extent.max_distance2), side / 2);
    for (uint32_t k = 0; k < GRIDS; k++) {
        if (hc_pair_grid_init(&s->grids[k], centre, side, points, k + 1, farthest, 0.003f, NULL) != HC_OK)
            return false;
    }
    s->entries = hc_pair_code_count(&s->grids[GRIDS - 1]);
    s->bits = hc_pair_code_bits(s->entries - 1);
    s->packed = calloc(packed_bytes(s), 1);
    s->table = calloc(s->entries, sizeof *s->table);
    s->decoded = calloc(s->count, sizeof *s->decoded);
    if (s->packed == NULL || s->table == NULL || s->decoded == NULL)
        return false;
    hc_pair_table(&s->grids[GRIDS - 1], s->entries, s->table);
    return engine.table->pair_encode(&engine, &s->piece, s->first, s->count, &s->grids[GRIDS - 1], s->bits, s->packed,
                                     NULL) == HC_OK;
}

/* Draws case i. */
static bool scene_open(struct scene *s, struct check *c, int i)
{
    static const uint64_t sizes[] = {1, 2, 3, 17, 1000, 8191, 8192, 8193, 3 * 8192 + 5, 100001};
    static const hc_type types[] = {HC_TYPE_F32, HC_TYPE_BF16, HC_TYPE_F16};
    static const uint32_t points[] = {1600, 1000, 5, 65536};
    uint64_t n = sizes[i % 10], before = i % 3 == 1 ? 256 : 0;
    uint64_t blocks = (n - 1) / HC_PAIR_BLOCK;
    *s = (struct scene){.first = 0};
    s->first = i >= 10 ? HC_PAIR_BLOCK * check_below(&c->random, blocks + 1) : 0;
    s->count = n - s->first;
    hc_type type = types[i % 3];
    check_case(c, "type=%s weights=%llu first=%llu", hc_type_name(type), (unsigned long long)n,
               (unsigned long long)s->first);
    if (!make_tensor(s, &c->random, &c->truth->kernels, type, before + n))
        return false;
    s->piece = (struct hc_piece){.tensor = &s->tensor, .first = before, .weights = n};
    return fit(s, c->truth, points[i % 4], i % 5 == 0 ? 0.03 : 0.1);
}

static void exact(struct check *c, const char *what, const struct hc_exact_sum *expected,
                  const struct hc_exact_sum *got)
{
    check_f64(c, what, hc_exact_value(expected), hc_exact_value(got));
}

/* What an engine does; both copies get the same call. Returns what the engine returned. */
struct result {
    struct hc_moments_sum moments;
    struct hc_extent_sum extent;
    struct hc_search_sum search[GRIDS];
    struct hc_compare_sum compare;
    uint8_t *packed;
    float *decoded;
};

typedef hc_status (*action)(const struct check_tier *tier, const struct scene *s, struct result *r,
                            struct hc_error *error);

static hc_status do_moments(const struct check_tier *tier, const struct scene *s, struct result *r,
                            struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_moments(&engine, &s->piece, s->first, s->count, &r->moments, error);
}

static hc_status do_extent(const struct check_tier *tier, const struct scene *s, struct result *r,
                           struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_extent(&engine, &s->piece, s->first, s->count, &s->grids[0], &r->extent, error);
}

static hc_status do_try(const struct check_tier *tier, const struct scene *s, struct result *r, struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_try(&engine, &s->piece, s->first, s->count, s->grids, GRIDS, r->search, error);
}

static hc_status do_encode(const struct check_tier *tier, const struct scene *s, struct result *r,
                           struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_encode(&engine, &s->piece, s->first, s->count, &s->grids[GRIDS - 1], s->bits, r->packed,
                                     error);
}

static hc_status do_decode(const struct check_tier *tier, const struct scene *s, struct result *r,
                           struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_decode(&engine, s->packed, s->count, s->bits, (const float(*)[2])s->table, s->entries,
                                     r->decoded, error);
}

static hc_status do_compare(const struct check_tier *tier, const struct scene *s, struct result *r,
                            struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_compare(&engine, &s->piece, s->first, s->count, s->packed, s->bits,
                                      (const float(*)[2])s->table, s->entries, &r->compare, error);
}

static void result_init(struct check *c, const struct scene *s, struct result *r)
{
    memset(r, 0, sizeof *r);
    for (int g = 0; g < GRIDS; g++)
        r->search[g].max_code[0] = r->search[g].max_code[1] = -1;
    r->packed = check_buffer(c, packed_bytes(s), CHECK_FLUSH);
    r->decoded = check_buffer(c, s->count * sizeof *r->decoded, CHECK_FLUSH);
}

static void compare_searches(struct check *c, const struct result *expected, const struct result *got)
{
    for (int g = 0; g < GRIDS; g++) {
        const struct hc_search_sum *e = &expected->search[g], *t = &got->search[g];
        for (int part = g == 0 ? 0 : 1; part < 2; part++) {
            exact(c, "error", &e->error[part], &t->error[part]);
            check_u64(c, "max_code", (uint32_t)e->max_code[part], (uint32_t)t->max_code[part]);
        }
    }
}

/* All of a result: what the operation did not touch is equal anyway. */
static void compare_results(struct check *c, const struct scene *s, const struct result *expected,
                            const struct result *got)
{
    exact(c, "moments.sum[0]", &expected->moments.sum[0], &got->moments.sum[0]);
    exact(c, "moments.sum[1]", &expected->moments.sum[1], &got->moments.sum[1]);
    check_u64(c, "moments.non_finite", expected->moments.non_finite, got->moments.non_finite);
    check_f64(c, "extent.max_distance2", expected->extent.max_distance2, got->extent.max_distance2);
    check_u64(c, "extent.outer", expected->extent.outer, got->extent.outer);
    compare_searches(c, expected, got);
    exact(c, "abs_error", &expected->compare.abs_error, &got->compare.abs_error);
    exact(c, "squared_error", &expected->compare.squared_error, &got->compare.squared_error);
    exact(c, "squared_weights", &expected->compare.squared_weights, &got->compare.squared_weights);
    check_f64(c, "max_abs_error", expected->compare.max_abs_error, got->compare.max_abs_error);
    check_bytes(c, "byte", expected->packed, got->packed, packed_bytes(s));
    check_f32(c, "weight", expected->decoded, got->decoded, s->count);
}

static void run_scene(struct check *c, struct scene *s, action act)
{
    struct result expected, got;
    struct hc_error error;
    result_init(c, s, &expected);
    result_init(c, s, &got);
    hc_status status = act(c->truth, s, &expected, &error);
    hc_status got_status = act(c->tested, s, &got, &error);
    check_u64(c, "status", status, got_status);
    if (status == HC_OK)
        compare_results(c, s, &expected, &got);
}

static void run(struct check *c, action act)
{
    for (int i = 0; i < 30; i++) {
        struct scene s;
        if (scene_open(&s, c, i))
            run_scene(c, &s, act);
        else
            check_fail(c, "no memory, or no fit", CHECK_WHOLE, INFINITY);
        scene_close(&s);
    }
}

static void run_moments(struct check *c)
{
    run(c, do_moments);
}

static void run_extent(struct check *c)
{
    run(c, do_extent);
}

static void run_try(struct check *c)
{
    run(c, do_try);
}

static void run_encode(struct check *c)
{
    run(c, do_encode);
}

/* Codes that are not in the table must be refused. */
static void run_strays(struct check *c, action act)
{
    struct scene s;
    if (scene_open(&s, c, 9)) {
        s.entries /= 2;
        run_scene(c, &s, act);
    }
    scene_close(&s);
}

static void run_decode(struct check *c)
{
    run(c, do_decode);
    run_strays(c, do_decode);
}

static void run_compare(struct check *c)
{
    run(c, do_compare);
    run_strays(c, do_compare);
}

struct work {
    const struct check_tier *tier;
    struct scene scene;
    struct result result;
    action act;
    hc_status status;
};

static void pass(void *state)
{
    struct work *work = state;
    hc_status status = work->act(work->tier, &work->scene, &work->result, NULL);
    if (status != HC_OK)
        work->status = status;
}

static void bench(struct check_bench *b, action act, double bytes_per_weight)
{
    struct check_tier truth = {.cpu = true};
    struct work *work = check_bench_alloc(b, sizeof *work);
    hc_kernels_init(&truth.kernels, HC_TIER_BEST);
    if (work == NULL || hc_engine_cpu(&truth.engine, &truth.kernels, 1, NULL) != HC_OK)
        return;
    struct scene *s = &work->scene;
    s->count = CHECK_BENCH_WEIGHTS;
    work->tier = b->tier;
    work->act = act;
    s->piece = (struct hc_piece){.tensor = &s->tensor, .weights = s->count};
    if (make_tensor(s, &b->random, &truth.kernels, HC_TYPE_F32, s->count) && fit(s, &truth, 1600, 0.1)) {
        work->result.packed = check_bench_alloc(b, packed_bytes(s));
        work->result.decoded = check_bench_alloc(b, s->count * sizeof(float));
        if (work->result.packed != NULL && work->result.decoded != NULL)
            check_bench_run(b, s->count, (uint64_t)(bytes_per_weight * (double)s->count), pass, work);
    }
    b->done = b->done && work->status == HC_OK;
    scene_close(s);
    truth.engine.table->destroy(&truth.engine);
}

static const double CODE_BYTES = 13.0 / 16; /* per weight: 13 bits a pair */

static void bench_moments(struct check_bench *b)
{
    bench(b, do_moments, 4);
}

static void bench_extent(struct check_bench *b)
{
    bench(b, do_extent, 4);
}

static void bench_try(struct check_bench *b)
{
    bench(b, do_try, 4);
}

static void bench_encode(struct check_bench *b)
{
    bench(b, do_encode, 4 + CODE_BYTES);
}

static void bench_decode(struct check_bench *b)
{
    bench(b, do_decode, 4 + CODE_BYTES);
}

static void bench_compare(struct check_bench *b)
{
    bench(b, do_compare, 4 + CODE_BYTES);
}

const struct check_op check_engine[] = {
    {"engine.pair_moments", "weight", CHECK_ENGINE, NULL, run_moments, bench_moments},
    {"engine.pair_extent", "weight", CHECK_ENGINE, NULL, run_extent, bench_extent},
    {"engine.pair_try", "weight", CHECK_ENGINE, NULL, run_try, bench_try},
    {"engine.pair_encode", "weight", CHECK_ENGINE, NULL, run_encode, bench_encode},
    {"engine.pair_decode", "weight", CHECK_ENGINE, NULL, run_decode, bench_decode},
    {"engine.pair_compare", "weight", CHECK_ENGINE, NULL, run_compare, bench_compare},
    {0},
};
