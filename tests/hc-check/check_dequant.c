#include "check.h"

/* Layouts are GGUF's. */
struct block_type {
    size_t bytes, weights;
};

typedef void (*dequant_fn)(const uint8_t *in, size_t blocks, float *out);

static dequant_fn kernel(const struct check_tier *tier, const struct check_op *op)
{
    dequant_fn f;
    CHECK_KERNEL(tier, op, f);
    return f;
}

/* Any bytes are a block; some of its scales then are infinite or NaN. */
static void run(struct check *c)
{
    const struct block_type *type = c->op->about;
    for (size_t i = 0; i < 200; i++) {
        size_t blocks = i < 20 ? i : check_below(&c->random, 200);
        check_case(c, "blocks=%zu", blocks);
        uint8_t *in = check_buffer(c, blocks * type->bytes, 0);
        check_fill(&c->random, in, blocks * type->bytes);
        float *expected = check_buffer(c, blocks * type->weights * sizeof *expected, 0);
        float *got = check_buffer(c, blocks * type->weights * sizeof *got, i % 2 ? CHECK_FLUSH : 4);
        kernel(c->truth, c->op)(in, blocks, expected);
        int misalign = (int)check_below(&c->random, 64);
        kernel(c->tested, c->op)(check_copy(c, in, blocks * type->bytes, i % 2 ? misalign : CHECK_FLUSH), blocks, got);
        check_f32(c, "weight", expected, got, blocks * type->weights);
    }
}

struct work {
    dequant_fn dequant;
    const struct block_type *type;
    const uint8_t *in;
    float *out;
};

static void pass(void *state)
{
    const struct work *work = state;
    size_t blocks = HC_BLOCK / work->type->weights;
    const uint8_t *in = work->in;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK, in += blocks * work->type->bytes)
        work->dequant(in, blocks, work->out + i);
}

static void bench(struct check_bench *b)
{
    const struct block_type *type = b->op->about;
    size_t bytes = CHECK_BENCH_WEIGHTS / type->weights * type->bytes;
    uint8_t *in = check_bench_alloc(b, bytes);
    float *out = check_bench_alloc(b, CHECK_BENCH_WEIGHTS * sizeof *out);
    if (in == NULL || out == NULL)
        return;
    check_fill(&b->random, in, bytes);
    for (size_t i = 0; i < bytes; i++)
        in[i] &= 0xbb; /* no scale is infinite or NaN */
    struct work work = {kernel(b->tier, b->op), type, in, out};
    check_bench_run(b, CHECK_BENCH_WEIGHTS, bytes + 4 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

static const struct block_type q4_0 = {18, 32}, q4_1 = {20, 32}, q5_0 = {22, 32}, q5_1 = {24, 32}, q8_0 = {34, 32},
                               q2_k = {84, 256}, q3_k = {110, 256}, q4_k = {144, 256}, q5_k = {176, 256},
                               q6_k = {210, 256}, q8_k = {292, 256};

const struct check_op check_dequant[] = {
    {"dequant.q4_0", "weight", CHECK_SLOT(dequant.q4_0), &q4_0, run, bench},
    {"dequant.q4_1", "weight", CHECK_SLOT(dequant.q4_1), &q4_1, run, bench},
    {"dequant.q5_0", "weight", CHECK_SLOT(dequant.q5_0), &q5_0, run, bench},
    {"dequant.q5_1", "weight", CHECK_SLOT(dequant.q5_1), &q5_1, run, bench},
    {"dequant.q8_0", "weight", CHECK_SLOT(dequant.q8_0), &q8_0, run, bench},
    {"dequant.q2_k", "weight", CHECK_SLOT(dequant.q2_k), &q2_k, run, bench},
    {"dequant.q3_k", "weight", CHECK_SLOT(dequant.q3_k), &q3_k, run, bench},
    {"dequant.q4_k", "weight", CHECK_SLOT(dequant.q4_k), &q4_k, run, bench},
    {"dequant.q5_k", "weight", CHECK_SLOT(dequant.q5_k), &q5_k, run, bench},
    {"dequant.q6_k", "weight", CHECK_SLOT(dequant.q6_k), &q6_k, run, bench},
    {"dequant.q8_k", "weight", CHECK_SLOT(dequant.q8_k), &q8_k, run, bench},
    {0},
};
