#include "engine_scenes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pair_grid.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

#define PLAIN .points = 1600, .classes = 3, .side = 0.1

static const struct scene_plan with_finite[] = {
    /* Pieces that begin in the middle of a tensor, at odd weights, too. */
    {HC_TYPE_BF16, SCENE_NORMAL, 3, 1, 1, PLAIN},
    {HC_TYPE_F32, SCENE_TINY, 3, 7, 11, PLAIN},
    {HC_TYPE_F16, SCENE_TINY, 3, 5, 1639, PLAIN},
    {HC_TYPE_BF16, SCENE_TINY, 3, 3, 5461, PLAIN},
    {HC_TYPE_F32, SCENE_HUGE, 1, 1, 8193, PLAIN},
    {HC_TYPE_F16, SCENE_HUGE, 3, 1, 2001, PLAIN},
    {HC_TYPE_BF16, SCENE_HUGE, 1, 1, 24577, PLAIN},
    {HC_TYPE_F64, SCENE_NORMAL, 1, 1, 8191, PLAIN},
    {HC_TYPE_F64, SCENE_HUGE, 3, 3, 2731, PLAIN},
    {HC_TYPE_F64, SCENE_BITS, 1, 1, 1001, PLAIN},
    {HC_TYPE_F32, SCENE_BITS, 3, 1, 8193, PLAIN},
    {HC_TYPE_F16, SCENE_BITS, 1, 1, 8191, PLAIN},
    {HC_TYPE_BF16, SCENE_BITS, 3, 1, 999, PLAIN},
    {HC_TYPE_F8_E4M3, SCENE_BITS, 3, 3, 2731, PLAIN},
    {HC_TYPE_F8_E5M2, SCENE_BITS, 1, 1, 16385, PLAIN},
    {HC_TYPE_Q4_0, SCENE_BITS, 3, 3, 96, PLAIN},
    {HC_TYPE_Q4_1, SCENE_BITS, 3, 40, 224, PLAIN},
    {HC_TYPE_Q5_0, SCENE_BITS, 1, 40, 256, PLAIN},
    {HC_TYPE_Q5_1, SCENE_BITS, 1, 1, 32, PLAIN},
    {HC_TYPE_Q8_0, SCENE_BITS, 3, 17, 512, PLAIN},
    {HC_TYPE_Q2_K, SCENE_BITS, 1, 3, 256, PLAIN},
    {HC_TYPE_Q3_K, SCENE_BITS, 3, 11, 768, PLAIN},
    {HC_TYPE_Q4_K, SCENE_BITS, 3, 33, 256, PLAIN},
    {HC_TYPE_Q5_K, SCENE_BITS, 1, 33, 256, PLAIN},
    {HC_TYPE_Q6_K, SCENE_BITS, 3, 1, 256, PLAIN},
    {HC_TYPE_Q8_K, SCENE_BITS, 1, 40, 256, PLAIN},
    /* Rows in llama.cpp's order. */
    {HC_TYPE_F32, SCENE_NORMAL, 1, 48, 257, .heads = 4, PLAIN},
    {HC_TYPE_F16, SCENE_NORMAL, 1, 64, 130, .heads = 2, PLAIN},
    {HC_TYPE_BF16, SCENE_TINY, 1, 64, 131, .heads = 8, PLAIN},
    {HC_TYPE_Q4_1, SCENE_BITS, 1, 64, 160, .heads = 8, PLAIN},
    {HC_TYPE_Q6_K, SCENE_BITS, 1, 64, 256, .heads = 4, PLAIN},
    /* No classes, and all that there may be. */
    {HC_TYPE_F32, SCENE_TINY, 1, 1, 8193, .points = 1600},
    {HC_TYPE_BF16, SCENE_NORMAL, 3, 1, 4097, .points = 5},
    {HC_TYPE_F16, SCENE_NORMAL, 1, 1, 20001, .points = 100, .classes = HC_PAIR_MAX_CLASSES, .side = 0.02},
};

static const struct scene_plan with_others[] = {
    {HC_TYPE_F64, SCENE_NOT_FINITE, 1, 1, 8191, .heads = 0},
    {HC_TYPE_F32, SCENE_NOT_FINITE, 3, 3, 2731, .heads = 0},
    {HC_TYPE_F32, SCENE_NOT_FINITE, 1, 1, 1, .heads = 0},
    {HC_TYPE_F16, SCENE_NOT_FINITE, 1, 1, 30001, .heads = 0},
    {HC_TYPE_BF16, SCENE_NOT_FINITE, 3, 5, 6001, .heads = 0},
    {HC_TYPE_BF16, SCENE_NOT_FINITE, 1, 64, 131, .heads = 8},
    {HC_TYPE_F8_E4M3, SCENE_NOT_FINITE, 1, 1, 16385, .heads = 0},
    {HC_TYPE_F8_E5M2, SCENE_NOT_FINITE, 3, 1, 4097, .heads = 0},
    {HC_TYPE_Q4_1, SCENE_NOT_FINITE, 3, 40, 224, .heads = 0},
    {HC_TYPE_Q6_K, SCENE_NOT_FINITE, 1, 64, 256, .heads = 4},
    {HC_TYPE_Q8_K, SCENE_NOT_FINITE, 1, 40, 256, .heads = 0},
};

int scenes_finite(void)
{
    return SCENES_DRAWN + COUNT(with_finite);
}

int scenes_not_finite(void)
{
    return COUNT(with_others);
}

/* Normal weights, every fiftieth of them replaced by one at the edges of the type, as far as `content` goes. */
static void fill_weights(struct check_random *random, float *weights, uint64_t n, const struct scene_plan *plan)
{
    /* The largest of BF16 is one of F32 and F64, too. */
    const float most = plan->type == HC_TYPE_F16 ? 65504.0f : 0x1.fep127f;
    const float edges[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1.8p-127f, -0x1p-24f, 0x1.8p-16f, 0x1p-14f,
                           most, -most, most / 2,  NAN,        -NAN,        INFINITY,  -INFINITY};
    const uint64_t counts[] = {
        [SCENE_NORMAL] = 0, [SCENE_TINY] = 8, [SCENE_HUGE] = 11, [SCENE_NOT_FINITE] = COUNT(edges)};
    check_fill_normal(random, weights, n, 0.003, 0.02);
    for (uint64_t i = 0; i < n; i += 100)
        weights[i] *= 1 + 5 * (float)check_uniform(random);
    for (uint64_t i = check_below(random, n < 50 ? n : 50); counts[plan->content] > 0 && i < n; i += 49)
        weights[i] = edges[check_below(random, counts[plan->content])];
    if (plan->content == SCENE_NOT_FINITE)
        weights[n / 2] = NAN;
}

static void narrow(const struct hc_kernels *kernels, hc_type type, const float *weights, uint64_t n, uint8_t *out)
{
    if (type == HC_TYPE_F16) {
        kernels->convert.f32_to_f16(weights, n, (void *)out);
    } else if (type == HC_TYPE_BF16) {
        kernels->convert.f32_to_bf16(weights, n, (void *)out);
    } else if (type == HC_TYPE_F32) {
        memcpy(out, weights, n * sizeof *weights);
    } else {
        for (uint64_t i = 0; i < n; i++) {
            double wide = (double)weights[i];
            memcpy(out + i * sizeof wide, &wide, sizeof wide);
        }
    }
}

static bool has_weights(const struct scene_plan *plan)
{
    return plan->content != SCENE_BITS && (plan->type == HC_TYPE_F64 || plan->type == HC_TYPE_F32 ||
                                           plan->type == HC_TYPE_F16 || plan->type == HC_TYPE_BF16);
}

static bool fill_tensor(struct check_random *random, const struct hc_kernels *kernels, const struct scene_plan *plan,
                        const struct hc_tensor *tensor, uint8_t *out)
{
    if (has_weights(plan)) {
        float *weights = malloc(tensor->weights * sizeof *weights);
        if (weights == NULL)
            return false;
        fill_weights(random, weights, tensor->weights, plan);
        narrow(kernels, plan->type, weights, tensor->weights, out);
        free(weights);
        return true;
    }
    check_fill(random, out, tensor->bytes);
    uint64_t block = hc_type_block_bytes(plan->type);
    if (plan->content == SCENE_NOT_FINITE) /* NaN in every type, in the middle of the tensor */
        memset(out + tensor->bytes / block / 2 * block, 0xff, block);
    /* Of whatever bytes an exponent is made, one of its bits is cleared. */
    for (uint64_t i = 0; plan->content == SCENE_BITS && i < tensor->bytes; i++)
        out[i] &= 0xbb;
    return true;
}

bool scene_make(struct scene *s, struct check_random *random, const struct hc_kernels *kernels,
                const struct scene_plan *plan)
{
    uint64_t weights = plan->rows * plan->columns;
    *s = (struct scene){.count = weights};
    s->tensor = (struct hc_tensor){
        .name = "weights",
        .type = plan->type,
        .rank = plan->experts > 1 ? 3 : 2,
        .shape = {plan->rows, plan->columns},
        .weights = plan->experts * weights,
        .permuted_heads = plan->heads,
    };
    if (plan->experts > 1) {
        s->tensor.shape[0] = plan->experts;
        s->tensor.shape[1] = plan->rows;
        s->tensor.shape[2] = plan->columns;
    }
    s->piece = (struct hc_piece){&s->tensor, plan->experts / 2 * weights, weights, plan->rows, plan->columns};
    if (!hc_type_bytes(plan->type, s->tensor.weights, &s->tensor.bytes))
        return false;
    s->memory = malloc(s->tensor.bytes + 1);
    if (s->memory == NULL)
        return false;
    uint8_t *data = s->memory + check_below(random, 2);
    s->tensor.data = data;
    return fill_tensor(random, kernels, plan, &s->tensor, data);
}

/* The grids, as far as plain C says that the piece reaches from 0.003. */
static bool fit_grids(struct scene *s, const struct check_tier *truth, const struct scene_plan *plan)
{
    const double centre[2] = {(double)0.003f, (double)0.003f};
    struct hc_engine engine = truth->engine;
    struct hc_pair_grid grid = {.centre = {centre[0], centre[1]}, .half = plan->side / 2, .pad = 0.003f};
    struct hc_extent_sum extent = {0};
    if (engine.table->pair_extent(&engine, &s->piece, 0, s->piece.weights, &grid, &extent, NULL) != HC_OK)
        return false;
    double farthest = sqrt(extent.max_distance2);
    double side = plan->classes > 0 ? plan->side : 2.1 * farthest;
    s->grid_count = plan->classes > 0 ? plan->classes : 1;
    for (uint32_t g = 0; g < s->grid_count; g++) {
        if (hc_pair_grid_init(&s->grids[g], centre, side, plan->points, plan->classes > 0 ? g + 1 : 0,
                              fmax(farthest, side / 2), grid.pad, NULL) != HC_OK)
            return false;
    }
    return true;
}

bool scene_fit(struct scene *s, const struct check_tier *truth, const struct scene_plan *plan)
{
    struct hc_engine engine = truth->engine;
    if (!fit_grids(s, truth, plan))
        return false;
    s->entries = hc_pair_code_count(scene_grid(s));
    s->bits = hc_pair_code_bits(s->entries - 1);
    s->packed = calloc(scene_packed_bytes(s), 1);
    s->table = calloc(s->entries, sizeof *s->table);
    if (s->packed == NULL || s->table == NULL)
        return false;
    hc_pair_table(scene_grid(s), s->entries, s->table);
    return engine.table->pair_encode(&engine, &s->piece, s->first, s->count, scene_grid(s), s->bits, s->packed, NULL) ==
           HC_OK;
}

/* Ordinary weights in all sizes around those of blocks. */
static struct scene_plan draw(int i)
{
    static const uint64_t sizes[] = {1, 2, 3, 17, 1000, 8191, 8192, 8193, 3 * 8192 + 5, 100001};
    static const hc_type types[] = {HC_TYPE_F32, HC_TYPE_BF16, HC_TYPE_F16};
    static const uint32_t points[] = {1600, 1000, 5, 65536};
    return (struct scene_plan){
        .type = types[i % 3],
        .experts = 1,
        .rows = 1,
        .columns = sizes[i % 10],
        .points = points[i % 4],
        .classes = 3,
        .side = i % 5 == 0 ? 0.03 : 0.1,
    };
}

bool scene_open(struct scene *s, struct check *c, int i)
{
    const struct scene_plan plan = i < SCENES_DRAWN      ? draw(i)
                                   : i < scenes_finite() ? with_finite[i - SCENES_DRAWN]
                                                         : with_others[i - scenes_finite()];
    uint64_t weights = plan.rows * plan.columns;
    bool whole = i % 3 == 0 || plan.content == SCENE_NOT_FINITE;
    uint64_t first = whole ? 0 : HC_BLOCK * check_below(&c->random, (weights - 1) / HC_BLOCK + 1);
    check_case(c, "scene %d: %s, %llu x %llu x %llu, from %llu on", i, hc_type_name(plan.type),
               (unsigned long long)plan.experts, (unsigned long long)plan.rows, (unsigned long long)plan.columns,
               (unsigned long long)first);
    if (!scene_make(s, &c->random, &c->truth->kernels, &plan))
        return false;
    s->first = first;
    s->count = weights - first;
    return plan.content == SCENE_NOT_FINITE || scene_fit(s, c->truth, &plan);
}

void scene_close(struct scene *s)
{
    free(s->memory);
    free(s->packed);
    free(s->table);
    *s = (struct scene){.count = 0};
}

const hc_type scene_types[SCENE_TYPES] = {HC_TYPE_F32, HC_TYPE_F16, HC_TYPE_BF16};

void scene_round(const struct check *c, const float *weights, size_t n, hc_type type, void *out)
{
    const struct hc_convert_ops *convert = &c->truth->kernels.convert;
    if (type == HC_TYPE_F32)
        memcpy(out, weights, n * sizeof *weights);
    else
        (type == HC_TYPE_F16 ? convert->f32_to_f16 : convert->f32_to_bf16)(weights, n, out);
}

size_t scene_packed_bytes(const struct scene *s)
{
    return (size_t)((s->count + 1) / 2 * s->bits + 7) / 8;
}

const struct hc_pair_grid *scene_grid(const struct scene *s)
{
    return &s->grids[s->grid_count - 1];
}
