/* Engines: the same operations over long stretches. What is held against plain C on one thread: the CPU's engine on two
 * threads with every tier of kernels, and every other backend. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_engine_window.h"
#include "engine_scenes.h"

static void exact(struct check *c, const char *what, const struct hc_exact_sum *expected,
                  const struct hc_exact_sum *got)
{
    check_f64(c, what, hc_exact_value(expected), hc_exact_value(got));
}

/* What an engine does; both copies get the same call. Returns what the engine returned. */
struct result {
    struct hc_moments_sum moments;
    struct hc_extent_sum extent;
    struct hc_search_sum search[HC_PAIR_MAX_CLASSES];
    struct hc_compare_sum compare;
    uint8_t *packed;
    void *decoded[SCENE_TYPES];
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
    return engine.table->pair_try(&engine, &s->piece, s->first, s->count, s->grids, s->grid_count, r->search, error);
}

static hc_status do_encode(const struct check_tier *tier, const struct scene *s, struct result *r,
                           struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_encode(&engine, &s->piece, s->first, s->count, scene_grid(s), s->bits, r->packed, error);
}

static hc_status decode_to(const struct check_tier *tier, const struct scene *s, int type, struct result *r,
                           struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    return engine.table->pair_decode(&engine, s->packed, s->count, s->bits, (const float(*)[2])s->table, s->entries,
                                     scene_types[type], r->decoded[type], error);
}

static hc_status do_decode(const struct check_tier *tier, const struct scene *s, struct result *r,
                           struct hc_error *error)
{
    hc_status status = HC_OK;
    for (int i = 0; i < SCENE_TYPES && status == HC_OK; i++)
        status = decode_to(tier, s, i, r, error);
    return status;
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
    for (int g = 0; g < HC_PAIR_MAX_CLASSES; g++)
        r->search[g].max_code[0] = r->search[g].max_code[1] = -1;
    r->packed = check_buffer(c, scene_packed_bytes(s), CHECK_FLUSH);
    for (int i = 0; i < SCENE_TYPES; i++)
        r->decoded[i] = check_buffer(c, s->count * hc_type_block_bytes(scene_types[i]), CHECK_FLUSH);
}

static void compare_searches(struct check *c, const struct result *expected, const struct result *got)
{
    for (int g = 0; g < HC_PAIR_MAX_CLASSES; g++) {
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
    check_bytes(c, "byte", expected->packed, got->packed, scene_packed_bytes(s));
    check_f32(c, "weight", expected->decoded[0], got->decoded[0], s->count);
    for (int i = 1; i < SCENE_TYPES; i++)
        check_bytes(c, "byte of the halves", expected->decoded[i], got->decoded[i], s->count * sizeof(uint16_t));
}

/* `expected_status`: what plain C must return, or the scene shows nothing. */
static void run_scene(struct check *c, struct scene *s, action act, hc_status expected_status)
{
    struct result expected, got;
    struct hc_error error;
    result_init(c, s, &expected);
    result_init(c, s, &got);
    hc_status status = act(c->truth, s, &expected, &error);
    hc_status got_status = act(c->tested, s, &got, &error);
    for (int i = 1; i < SCENE_TYPES && act == do_decode; i++) /* the engine of the truth may err as the tested one */
        scene_round(c, expected.decoded[0], s->count, scene_types[i], expected.decoded[i]);
    check_u64(c, "status of plain C", expected_status, status);
    check_u64(c, "status", status, got_status);
    if (status == HC_OK)
        compare_results(c, s, &expected, &got);
}

/* Scenes from number `begin` on. */
static void run_scenes(struct check *c, int begin, int count, action act)
{
    for (int i = begin; i < begin + count; i++) {
        struct scene s;
        if (scene_open(&s, c, i))
            run_scene(c, &s, act, HC_OK);
        else
            check_fail(c, "no memory, or no fit", CHECK_WHOLE, INFINITY);
        scene_close(&s);
    }
}

static void run(struct check *c, action act)
{
    run_scenes(c, 0, scenes_finite(), act);
}

/* Nothing but the moments is asked of weights that are not finite: their number is told, the sums mean nothing. */
static hc_status do_count(const struct check_tier *tier, const struct scene *s, struct result *r,
                          struct hc_error *error)
{
    hc_status status = do_moments(tier, s, r, error);
    memset(r->moments.sum, 0, sizeof r->moments.sum);
    return r->moments.non_finite > 0 ? status : HC_ERR_ARGUMENT;
}

static void run_moments(struct check *c)
{
    run(c, do_moments);
    run_scenes(c, scenes_finite(), scenes_not_finite(), do_count);
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
        run_scene(c, &s, act, HC_ERR_CORRUPT);
    } else {
        check_fail(c, "no memory, or no fit", CHECK_WHOLE, INFINITY);
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

/* All passes over a piece that is held. Where the stretch begins behind it, the first pass keeps
 * nothing, and the second what comes before the stretch, too. */
static hc_status do_all(const struct check_tier *tier, const struct scene *s, struct result *r, struct hc_error *error)
{
    struct hc_engine engine = tier->engine;
    hc_status status;
    engine.table->hold(&engine, &s->piece);
    HC_TRY(do_moments(tier, s, r, error));
    HC_TRY(engine.table->pair_extent(&engine, &s->piece, 0, s->piece.weights, &s->grids[0], &r->extent, error));
    HC_TRY(do_try(tier, s, r, error));
    HC_TRY(do_encode(tier, s, r, error));
    HC_TRY(do_compare(tier, s, r, error));
done:
    engine.table->let_go(&engine);
    return status;
}

static void run_hold(struct check *c)
{
    run(c, do_all);
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
    const struct scene_plan plan = {.type = HC_TYPE_F32,
                                    .experts = 1,
                                    .rows = 1,
                                    .columns = CHECK_BENCH_WEIGHTS,
                                    .points = 1600,
                                    .classes = 3,
                                    .side = 0.1};
    work->tier = b->tier;
    work->act = act;
    if (scene_make(s, &b->random, &truth.kernels, &plan) && scene_fit(s, &truth, &plan)) {
        work->result.packed = check_bench_alloc(b, scene_packed_bytes(s));
        work->result.decoded[0] = check_bench_alloc(b, s->count * sizeof(float));
        if (work->result.packed != NULL && work->result.decoded[0] != NULL)
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

static hc_status do_decode_floats(const struct check_tier *tier, const struct scene *s, struct result *r,
                                  struct hc_error *error)
{
    return decode_to(tier, s, 0, r, error);
}

static void bench_decode(struct check_bench *b)
{
    bench(b, do_decode_floats, 4 + CODE_BYTES);
}

static void bench_compare(struct check_bench *b)
{
    bench(b, do_compare, 4 + CODE_BYTES);
}

const struct check_op check_engine[] = {
    {"engine.hold", "weight", CHECK_ENGINE, NULL, run_hold, NULL},
    {"engine.pair_moments", "weight", CHECK_ENGINE, NULL, run_moments, bench_moments},
    {"engine.pair_extent", "weight", CHECK_ENGINE, NULL, run_extent, bench_extent},
    {"engine.pair_try", "weight", CHECK_ENGINE, NULL, run_try, bench_try},
    {"engine.pair_encode", "weight", CHECK_ENGINE, NULL, run_encode, bench_encode},
    {"engine.pair_decode", "weight", CHECK_ENGINE, NULL, run_decode, bench_decode},
    {"engine.pair_compare", "weight", CHECK_ENGINE, NULL, run_compare, bench_compare},
    {"engine.window_largest", "weight", CHECK_ENGINE, NULL, check_window_largest, NULL},
    {"engine.window_squares", "weight", CHECK_ENGINE, NULL, check_window_squares, NULL},
    {"engine.window_encode", "weight", CHECK_ENGINE, NULL, check_window_encode_stretch, NULL},
    {"engine.window_steps", "weight", CHECK_ENGINE, NULL, check_window_encode_steps, NULL},
    {"engine.window_decode", "weight", CHECK_ENGINE, NULL, check_window_decode_rows, NULL},
    {"engine.window_compare", "weight", CHECK_ENGINE, NULL, check_window_compare, NULL},
    {0},
};
