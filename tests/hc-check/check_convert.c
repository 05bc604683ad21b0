#include <math.h>
#include <string.h>

#include "check.h"

struct conversion {
    size_t in, out; /* bytes of an element */
};

static void call(const struct check_tier *tier, const struct check_op *op, const void *in, size_t n, void *out)
{
    const struct conversion *conversion = op->about;
    if (conversion->in == 8) {
        void (*f)(const double *, size_t, float *);
        CHECK_KERNEL(tier, op, f);
        f(in, n, out);
    } else if (conversion->in == 4) {
        void (*f)(const float *, size_t, uint16_t *);
        CHECK_KERNEL(tier, op, f);
        f(in, n, out);
    } else if (conversion->in == 2) {
        void (*f)(const uint16_t *, size_t, float *);
        CHECK_KERNEL(tier, op, f);
        f(in, n, out);
    } else {
        void (*f)(const uint8_t *, size_t, float *);
        CHECK_KERNEL(tier, op, f);
        f(in, n, out);
    }
}

static bool is_nan16(uint16_t value, bool bf16)
{
    return (value & 0x7fff) > (bf16 ? 0x7f80 : 0x7c00);
}

/* NaN payloads are not specified. */
static void check_u16(struct check *c, const uint8_t *expected, const uint8_t *got, size_t n)
{
    bool bf16 = c->op->slot == CHECK_SLOT(convert.f32_to_bf16);
    for (size_t i = 0; i < n; i++) {
        uint16_t e, g;
        memcpy(&e, expected + 2 * i, sizeof e);
        memcpy(&g, got + 2 * i, sizeof g);
        if (e != g && !(is_nan16(e, bf16) && is_nan16(g, bf16)))
            check_fail(c, "element", i, fabs((double)e - (double)g));
    }
}

/* Random bits; of wide types many near the edges of narrower ones. */
static void fill(struct check_random *random, uint8_t *in, size_t n, size_t size)
{
    check_fill(random, in, n * size);
    for (size_t i = 0; size >= 4 && i < n; i++) {
        static const double edges[] = {1, 65504, 65520, 0x1p-14, 0x1p-24, 0x1p-25, 0x1p-126, 0x1p-149, 0x1p127};
        double edge = edges[check_below(random, sizeof edges / sizeof edges[0])];
        double value = edge * (1 + (double)check_below(random, 64) * 0x1p-12) * (check_bits(random) & 1 ? 1 : -1);
        float narrow = (float)value;
        if (check_below(random, 2) == 0)
            memcpy(in + i * size, size == 8 ? (const void *)&value : (const void *)&narrow, size);
    }
}

static void one_case(struct check *c, const uint8_t *values, size_t n)
{
    const struct conversion *conversion = c->op->about;
    uint8_t *expected = check_buffer(c, n * conversion->out, 0);
    uint8_t *got = check_buffer(c, n * conversion->out, n % 2 ? CHECK_FLUSH : (int)check_below(&c->random, 64));
    call(c->truth, c->op, values, n, expected);
    const void *in = check_copy(c, values, n * conversion->in, n % 2 ? (int)check_below(&c->random, 64) : CHECK_FLUSH);
    call(c->tested, c->op, in, n, got);
    if (conversion->out == 4)
        check_f32(c, "element", (const float *)(const void *)expected, (const float *)(const void *)got, n);
    else
        check_u16(c, expected, got, n);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 1000, 8192};
    const struct conversion *conversion = c->op->about;
    for (size_t i = 0; i < 8 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 8];
        check_case(c, "n=%zu", n);
        uint8_t *values = check_buffer(c, n * conversion->in, 0);
        fill(&c->random, values, n, conversion->in);
        one_case(c, values, n);
    }
    if (conversion->in > 2)
        return;
    size_t all = conversion->in == 2 ? 65536 : 256;
    check_case(c, "all values");
    uint8_t *values = check_buffer(c, all * conversion->in, 0);
    for (size_t i = 0; i < all; i++) {
        uint16_t value = (uint16_t)i;
        if (conversion->in == 2)
            memcpy(values + 2 * i, &value, sizeof value);
        else
            values[i] = (uint8_t)i;
    }
    one_case(c, values, all);
}

struct work {
    const struct check_tier *tier;
    const struct check_op *op;
    const uint8_t *in;
    uint8_t *out;
};

static void pass(void *state)
{
    const struct work *work = state;
    const struct conversion *conversion = work->op->about;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK)
        call(work->tier, work->op, work->in + i * conversion->in, HC_BLOCK, work->out + i * conversion->out);
}

static void bench(struct check_bench *b)
{
    const struct conversion *conversion = b->op->about;
    uint8_t *in = check_bench_alloc(b, CHECK_BENCH_WEIGHTS * conversion->in);
    struct work work = {b->tier, b->op, in, check_bench_alloc(b, CHECK_BENCH_WEIGHTS * conversion->out)};
    if (in == NULL || work.out == NULL)
        return;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i++) {
        double value = 0.02 * check_normal(&b->random);
        float narrow = (float)value;
        uint64_t bits = check_bits(&b->random) & UINT64_C(0xbbbbbbbbbbbbbbbb); /* small types: no NaN, no infinity */
        const void *from = &bits;
        if (conversion->in >= 4)
            from = conversion->in == 8 ? (const void *)&value : (const void *)&narrow;
        memcpy(in + i * conversion->in, from, conversion->in);
    }
    check_bench_run(b, CHECK_BENCH_WEIGHTS, (conversion->in + conversion->out) * CHECK_BENCH_WEIGHTS, pass, &work);
}

static const struct conversion one_to_four = {1, 4}, two_to_four = {2, 4}, eight_to_four = {8, 4}, four_to_two = {4, 2};

const struct check_op check_convert[] = {
    {"convert.f16_to_f32", "weight", CHECK_SLOT(convert.f16_to_f32), &two_to_four, run, bench},
    {"convert.bf16_to_f32", "weight", CHECK_SLOT(convert.bf16_to_f32), &two_to_four, run, bench},
    {"convert.f64_to_f32", "weight", CHECK_SLOT(convert.f64_to_f32), &eight_to_four, run, bench},
    {"convert.f8_e4m3_to_f32", "weight", CHECK_SLOT(convert.f8_e4m3_to_f32), &one_to_four, run, bench},
    {"convert.f8_e5m2_to_f32", "weight", CHECK_SLOT(convert.f8_e5m2_to_f32), &one_to_four, run, bench},
    {"convert.f32_to_f16", "weight", CHECK_SLOT(convert.f32_to_f16), &four_to_two, run, bench},
    {"convert.f32_to_bf16", "weight", CHECK_SLOT(convert.f32_to_bf16), &four_to_two, run, bench},
    {0},
};
