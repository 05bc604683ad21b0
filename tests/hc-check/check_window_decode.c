#include <math.h>

#include "check.h"

enum { MOST_TILES = 5, MOST_STRIDE = MOST_TILES * HC_TILE + 7, MOST_VALUES = HC_TILE * MOST_STRIDE };

/* What the values of an operation are. */
enum type { EXACT, F32, F16, BF16 };
static const enum type exact = EXACT, f32 = F32, f16 = F16, bf16 = BF16;

static size_t bytes_of(enum type type)
{
    return type <= F32 ? sizeof(float) : sizeof(uint16_t);
}

static void call(const struct check_tier *tier, const struct check_op *op, const struct hc_window_decoder *decoder,
                 const uint8_t *codes, size_t tiles, void *out, size_t stride)
{
    if (bytes_of(*(const enum type *)op->about) == sizeof(float)) {
        void (*f)(const struct hc_window_decoder *, const uint8_t *, size_t, float *, size_t);
        CHECK_KERNEL(tier, op, f);
        f(decoder, codes, tiles, out, stride);
    } else {
        void (*f)(const struct hc_window_decoder *, const uint8_t *, size_t, uint16_t *, size_t);
        CHECK_KERNEL(tier, op, f);
        f(decoder, codes, tiles, out, stride);
    }
}

static void to_floats(enum type type, const void *in, size_t n, float *out)
{
    struct hc_convert_ops convert;
    hc_convert_c(&convert);
    if (type == F16)
        convert.f16_to_f32(in, n, out);
    else
        convert.bf16_to_f32(in, n, out);
}

/* Within the bound of the contract; what lies between the rows, 0xa5 everywhere, is the same. */
static void compare(struct check *c, enum type type, const void *expected, const void *got, size_t n)
{
    static float e[MOST_VALUES], g[MOST_VALUES];
    to_floats(type, expected, n, e);
    to_floats(type, got, n, g);
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)g[i] - (double)e[i]);
        double rounding = type == BF16 ? fabs((double)e[i]) / 128 : 0; /* of both */
        if (!(error <= HC_WINDOW_DECODE_BOUND + rounding))
            check_fail(c, "value", i, error);
    }
}

static void compare_f32(struct check *c, const float *expected, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)expected[i]);
        if (!(error <= HC_WINDOW_DECODE_BOUND))
            check_fail(c, "value", i, error);
    }
}

static void one_case(struct check *c, const struct hc_window_code *code, size_t tiles)
{
    enum type type = *(const enum type *)c->op->about;
    size_t stride = tiles * HC_TILE + check_below(&c->random, 8), size = bytes_of(type);
    size_t bytes = tiles * HC_TILE_WEIGHTS / 8 * code->k;
    size_t n = tiles == 0 ? 0 : (HC_TILE - 1) * stride + tiles * HC_TILE;
    check_case(c, "k=%u L=%u tiles=%zu stride=%zu", (unsigned)code->k, (unsigned)code->length, tiles, stride);
    uint16_t *table = check_buffer(c, sizeof *table << code->length, CHECK_FLUSH);
    hc_window_table(code, table);
    const struct hc_window_decoder decoder = {code, table};
    uint8_t *codes = check_buffer(c, bytes, 0);
    check_fill(&c->random, codes, bytes);
    void *expected = check_buffer(c, n * size, 0);
    call(c->truth, c->op, &decoder, codes, tiles, expected, stride);
    bool flush = check_below(&c->random, 2) == 0;
    const uint8_t *in = check_copy(c, codes, bytes, flush ? CHECK_FLUSH : (int)check_below(&c->random, 64));
    void *got = check_buffer(c, n * size, flush ? (int)(size * check_below(&c->random, 16)) : CHECK_FLUSH);
    call(c->tested, c->op, &decoder, in, tiles, got, stride);
    if (type == EXACT)
        check_f32(c, "value", expected, got, n);
    else if (type == F32)
        compare_f32(c, expected, got, n);
    else
        compare(c, type, expected, got, n);
}

static void run(struct check *c)
{
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            const struct hc_window_code *code = hc_window_code_find(k, length);
            for (size_t tiles = 0; code != NULL && tiles <= MOST_TILES; tiles++)
                one_case(c, code, tiles);
        }
}

/* k = 4, L = 12, rows of 4096 weights. */
enum { BENCH_K = 4, BENCH_COLUMNS = 4096, BENCH_BAND = HC_TILE * BENCH_COLUMNS };

struct work {
    const struct check_tier *tier;
    const struct check_op *op;
    struct hc_window_decoder decoder;
    const uint8_t *codes;
    uint8_t *out;
};

static void pass(void *state)
{
    const struct work *work = state;
    size_t size = bytes_of(*(const enum type *)work->op->about);
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += BENCH_BAND)
        call(work->tier, work->op, &work->decoder, work->codes + i / 8 * BENCH_K, BENCH_COLUMNS / HC_TILE,
             work->out + i * size, BENCH_COLUMNS);
}

static void bench(struct check_bench *b)
{
    const struct hc_window_code *code = hc_window_code_find(BENCH_K, 12);
    size_t bytes = CHECK_BENCH_WEIGHTS / 8 * BENCH_K, size = bytes_of(*(const enum type *)b->op->about);
    uint8_t *codes = check_bench_alloc(b, bytes);
    uint16_t *table = check_bench_alloc(b, sizeof *table << code->length);
    struct work work = {b->tier, b->op, {code, table}, codes, check_bench_alloc(b, CHECK_BENCH_WEIGHTS * size)};
    if (codes == NULL || table == NULL || work.out == NULL)
        return;
    hc_window_table(code, table);
    check_fill(&b->random, codes, bytes);
    check_bench_run(b, CHECK_BENCH_WEIGHTS, bytes + CHECK_BENCH_WEIGHTS * size, pass, &work);
}

const struct check_op check_window_decode[] = {
    {"window_decode.exact", "weight", CHECK_SLOT(window_decode.exact), &exact, run, bench},
    {"window_decode.f32", "weight", CHECK_SLOT(window_decode.f32), &f32, run, bench},
    {"window_decode.f16", "weight", CHECK_SLOT(window_decode.f16), &f16, run, bench},
    {"window_decode.bf16", "weight", CHECK_SLOT(window_decode.bf16), &bf16, run, bench},
    {0},
};
