/* Operations that go over weights block by block: a launcher takes many blocks at once, plain C one. */
#include <math.h>
#include <string.h>

#include "../pair_cases.h"
#include "compare/compare_cuda.h"
#include "device.h"
#include "pair_extent/pair_extent_cuda.h"
#include "pair_grid.h"
#include "pair_moments/pair_moments_cuda.h"
#include "pair_search/pair_search_cuda.h"

/* Of weights: odd ends within a block, and over several. */
static const size_t sizes[] = {
    1, 2, 3, 63, 64, 65, 127, 1000, HC_BLOCK - 1, HC_BLOCK, HC_BLOCK + 1, 2 * HC_BLOCK + 63, 9 * HC_BLOCK + 1};
enum { SIZES = sizeof sizes / sizeof sizes[0], MOST_BLOCKS = 10 };

static size_t block_count(size_t n)
{
    return (n + HC_BLOCK - 1) / HC_BLOCK;
}

static size_t block_size(size_t n, size_t b)
{
    return n - b * HC_BLOCK < HC_BLOCK ? n - b * HC_BLOCK : HC_BLOCK;
}

/* ---- Moments ---------------------------------------------------------------------------------- */

static void moments_case(struct check *c, size_t n, unsigned bad)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, -NAN};
    struct hc_pair_moments got[MOST_BLOCKS], expected;
    check_case(c, "n=%zu bad=%u", n, bad);
    float *weights = check_buffer(c, n * sizeof *weights, 0);
    check_fill_normal(&c->random, weights, n, check_normal(&c->random), 0.1);
    for (unsigned i = 0; i < bad; i++)
        weights[check_below(&c->random, n)] = values[check_below(&c->random, 4)];
    struct hc_pair_moments *out = device_buffer(c, block_count(n) * sizeof *out);
    device_launched(c, "pair_moments",
                    hc_pair_moments_cuda(device_copy(c, weights, n * sizeof *weights), n, out, device_stream(c)));
    device_fetch(c, out, got, block_count(n) * sizeof *out);
    for (size_t b = 0; b < block_count(n); b++) {
        c->truth->kernels.pair_moments.block(weights + b * HC_BLOCK, block_size(n, b), &expected);
        check_u64(c, "non_finite", expected.non_finite, got[b].non_finite);
        for (int i = 0; i < 2 && expected.non_finite == 0; i++)
            check_f64(c, "sum", expected.sum[i], got[b].sum[i]);
    }
    device_end(c);
}

static void run_moments(struct check *c)
{
    for (size_t i = 0; i < SIZES; i++)
        for (unsigned bad = 0; bad < 3; bad++)
            moments_case(c, sizes[i], bad);
}

/* ---- Errors ----------------------------------------------------------------------------------- */

/* Decoded weights may begin anywhere. */
static void compare_case(struct check *c, size_t n, size_t before)
{
    struct hc_compare got[MOST_BLOCKS], expected;
    double mean = check_uniform(&c->random) - 0.5;
    check_case(c, "n=%zu, %zu before", n, before);
    float *weights = check_buffer(c, n * sizeof *weights, 0);
    float *decoded = check_buffer(c, (before + n) * sizeof *decoded, 0);
    check_fill_normal(&c->random, weights, n, mean, 0.1);
    check_fill_normal(&c->random, decoded, before + n, mean, 0.1);
    const float *device_decoded = device_copy(c, decoded, (before + n) * sizeof *decoded);
    struct hc_compare *out = device_buffer(c, block_count(n) * sizeof *out);
    device_launched(c, "compare",
                    hc_compare_cuda(device_copy(c, weights, n * sizeof *weights), device_decoded + before, n, out,
                                    device_stream(c)));
    device_fetch(c, out, got, block_count(n) * sizeof *out);
    for (size_t b = 0; b < block_count(n); b++) {
        size_t at = b * HC_BLOCK;
        c->truth->kernels.compare.block(weights + at, decoded + before + at, block_size(n, b), &expected);
        check_f64(c, "abs_error", expected.abs_error, got[b].abs_error);
        check_f64(c, "squared_error", expected.squared_error, got[b].squared_error);
        check_f64(c, "squared_weights", expected.squared_weights, got[b].squared_weights);
        check_f64(c, "max_abs_error", expected.max_abs_error, got[b].max_abs_error);
    }
    device_end(c);
}

static void run_compare(struct check *c)
{
    for (size_t i = 0; i < SIZES; i++)
        for (size_t before = 0; before < 2; before++)
            compare_case(c, sizes[i], before);
}

/* ---- Pairs ------------------------------------------------------------------------------------ */

enum { MOST_GRIDS = 3 };

/* Weights, and grids of several numbers of classes that are fitted to them. */
struct pairs {
    struct pair_case p;
    size_t n, blocks;
    const float *weights, *device;
    struct hc_pair_grid grids[MOST_GRIDS];
    size_t grid_count;
};

static struct hc_pair_extent extent_of(const struct check *c, const struct pairs *s, size_t b)
{
    struct hc_pair_extent extent;
    c->truth->kernels.pair_extent.block(s->weights + b * HC_BLOCK, block_size(s->n, b), &s->grids[0], &extent);
    return extent;
}

/* False if no grid fits. */
static bool fit(const struct check *c, struct pairs *s)
{
    double farthest = s->grids[0].half;
    float pad = s->grids[0].pad;
    bool fits = true;
    for (size_t b = 0; b < s->blocks; b++)
        farthest = fmax(farthest, sqrt(extent_of(c, s, b).max_distance2));
    s->grid_count = s->p.classes > MOST_GRIDS ? MOST_GRIDS : s->p.classes > 0 ? s->p.classes : 1;
    for (uint32_t g = 0; g < s->grid_count; g++)
        fits = fits && hc_pair_grid_init(&s->grids[g], s->p.centre, s->p.side, s->p.points, s->p.classes - g, farthest,
                                         pad, NULL) == HC_OK;
    return fits;
}

static void pairs_case(struct check *c, size_t n, enum pair_case_kind kind,
                       void (*one)(struct check *c, const struct pairs *s))
{
    struct pairs s = {.n = n, .blocks = block_count(n)};
    do {
        s.p = pair_case_draw(&c->random);
    } while (s.p.kind != kind);
    s.p.n = n;
    check_case(c, "kind=%d n=%zu side=%g centre=%g,%g points=%u classes=%u", kind, n, s.p.side, s.p.centre[0],
               s.p.centre[1], s.p.points, s.p.classes);
    float *weights = check_buffer(c, n * sizeof *weights, 0);
    pair_case_weights(&c->random, &s.p, weights, &s.grids[0]);
    s.weights = weights;
    if (!fit(c, &s))
        return;
    s.device = device_copy(c, weights, n * sizeof *weights);
    one(c, &s);
    device_end(c);
}

/* Every kind with every size; of the large ones some. */
static void each(struct check *c, void (*one)(struct check *c, const struct pairs *s))
{
    for (size_t i = 0; i < SIZES; i++)
        for (unsigned kind = 0; kind < PAIR_KINDS; kind++)
            if (sizes[i] <= 1000 || (kind + i) % 3 == 0)
                pairs_case(c, sizes[i], kind, one);
}

static void extent_case(struct check *c, const struct pairs *s)
{
    struct hc_pair_extent got[MOST_BLOCKS], *out = device_buffer(c, s->blocks * sizeof *out);
    const struct hc_pair_grid *grid = device_copy(c, &s->grids[0], sizeof *grid);
    device_launched(c, "pair_extent", hc_pair_extent_cuda(s->device, s->n, grid, out, device_stream(c)));
    device_fetch(c, out, got, s->blocks * sizeof *out);
    for (size_t b = 0; b < s->blocks; b++) {
        struct hc_pair_extent expected = extent_of(c, s, b);
        check_f64(c, "max_distance2", expected.max_distance2, got[b].max_distance2);
        check_u64(c, "outer", expected.outer, got[b].outer);
    }
}

static void run_extent(struct check *c)
{
    each(c, extent_case);
}

static void compare_searches(struct check *c, const struct hc_pair_search *expected, const struct hc_pair_search *got)
{
    for (int part = 0; part < 2; part++) {
        check_f64(c, "error", expected->error[part], got->error[part]);
        check_u64(c, "max_code", (uint32_t)expected->max_code[part], (uint32_t)got->max_code[part]);
    }
}

/* One grid, with codes. */
static void search_codes(struct check *c, const struct pairs *s)
{
    size_t bytes = (s->n + 1) / 2 * sizeof(uint32_t);
    struct hc_pair_search got[MOST_BLOCKS], expected, *out = device_buffer(c, s->blocks * sizeof *out);
    uint32_t *codes = check_buffer(c, bytes, 0), *got_codes = check_buffer(c, bytes, 0);
    uint32_t *device_codes = device_buffer(c, bytes);
    const struct hc_pair_grid *grid = device_copy(c, &s->grids[0], sizeof *grid);
    device_launched(c, "pair_search",
                    hc_pair_search_cuda(s->device, s->n, NULL, grid, 1, device_codes, out, device_stream(c)));
    device_fetch(c, out, got, s->blocks * sizeof *out);
    device_fetch(c, device_codes, got_codes, bytes);
    for (size_t b = 0; b < s->blocks; b++) {
        size_t at = b * HC_BLOCK;
        c->truth->kernels.pair_search.block(s->weights + at, block_size(s->n, b), &s->grids[0], codes + at / 2,
                                            &expected);
        compare_searches(c, &expected, &got[b]);
    }
    check_u32(c, "code", codes, got_codes, (s->n + 1) / 2);
}

/* All grids at once: over all weights, or over as many of each block as `counts` says. */
static void search_grids(struct check *c, const struct pairs *s, const float *weights, const float *device,
                         const uint32_t *counts)
{
    struct hc_pair_search got[MOST_GRIDS * MOST_BLOCKS], *out;
    size_t bytes = s->grid_count * s->blocks * sizeof *out;
    const struct hc_pair_grid *grids = device_copy(c, s->grids, s->grid_count * sizeof *grids);
    const uint32_t *device_counts = counts ? device_copy(c, counts, s->blocks * sizeof *counts) : NULL;
    out = device_buffer(c, bytes);
    device_launched(
        c, "pair_search",
        hc_pair_search_cuda(device, s->n, device_counts, grids, s->grid_count, NULL, out, device_stream(c)));
    device_fetch(c, out, got, bytes);
    for (size_t i = 0; i < s->grid_count * s->blocks; i++) {
        struct hc_pair_search expected = {{0, 0}, {-1, -1}};
        size_t b = i % s->blocks, n = counts ? counts[b] : block_size(s->n, b);
        if (n > 0)
            c->truth->kernels.pair_search.block(weights + b * HC_BLOCK, n, &s->grids[i / s->blocks], NULL, &expected);
        compare_searches(c, &expected, &got[i]);
    }
}

/* The outer pairs of each block, from where it begins on. */
static float *gather_outer(struct check *c, const struct pairs *s, uint32_t counts[MOST_BLOCKS])
{
    float *outer = check_buffer(c, (s->n + 1) * sizeof *outer, 0);
    for (size_t b = 0; b < s->blocks; b++)
        counts[b] = (uint32_t)c->truth->kernels.pair_search.outer(s->weights + b * HC_BLOCK, block_size(s->n, b),
                                                                  &s->grids[0], outer + b * HC_BLOCK);
    return outer;
}

static void search_case(struct check *c, const struct pairs *s)
{
    uint32_t counts[MOST_BLOCKS];
    const float *outer = gather_outer(c, s, counts);
    search_codes(c, s);
    search_grids(c, s, s->weights, s->device, NULL);
    search_grids(c, s, outer, device_copy(c, outer, s->n * sizeof *outer), counts);
}

static void run_search(struct check *c)
{
    each(c, search_case);
}

static void outer_case(struct check *c, const struct pairs *s)
{
    uint32_t counts[MOST_BLOCKS], got_counts[MOST_BLOCKS], *device_counts = device_buffer(c, sizeof counts);
    size_t bytes = (s->n + 1) * sizeof(float);
    const float *expected = gather_outer(c, s, counts);
    float *got = check_buffer(c, bytes, 0), *out = device_buffer(c, bytes);
    const struct hc_pair_grid *grid = device_copy(c, &s->grids[0], sizeof *grid);
    device_launched(c, "pair_outer", hc_pair_outer_cuda(s->device, s->n, grid, out, device_counts, device_stream(c)));
    device_fetch(c, out, got, bytes);
    device_fetch(c, device_counts, got_counts, sizeof counts);
    check_u32(c, "count", counts, got_counts, s->blocks);
    for (size_t b = 0; b < s->blocks; b++)
        check_f32(c, "weight", expected + b * HC_BLOCK, got + b * HC_BLOCK, counts[b]);
}

static void run_outer(struct check *c)
{
    each(c, outer_case);
}

const struct check_op check_cuda_blocks[] = {
    {"pair_moments.block", "weight", CHECK_DEVICE, NULL, run_moments, NULL},
    {"pair_extent.block", "weight", CHECK_DEVICE, NULL, run_extent, NULL},
    {"pair_search.block", "weight", CHECK_DEVICE, NULL, run_search, NULL},
    {"pair_search.outer", "weight", CHECK_DEVICE, NULL, run_outer, NULL},
    {"compare.block", "weight", CHECK_DEVICE, NULL, run_compare, NULL},
    {0},
};
