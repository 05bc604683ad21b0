#include "check.h"

enum { MOST_ROWS = 40, MOST_TILES = 35 };

/* Positions of a row of the table. */
static const size_t one = 1, five = 5, many = 33;

static size_t positions(const struct check_op *op)
{
    return *(const size_t *)op->about;
}

/* Activations as the tier wants them. */
static void *activate(struct check *c, const struct hc_window_product_ops *ops, unsigned k, const float *x,
                      size_t tiles)
{
    size_t n = positions(c->op), bytes = ops->activation_bytes(k, tiles);
    char *out = check_buffer(c, n * bytes, CHECK_FLUSH);
    for (size_t i = 0; i < n; i++)
        ops->activate(k, x + i * tiles * HC_TILE, tiles, out + i * bytes);
    return out;
}

static void multiply(struct check *c, const struct check_tier *tier, struct hc_window_product product, const float *x)
{
    const struct hc_window_product_ops *ops = &tier->kernels.window_product;
    unsigned k = product.values->code.k;
    void (*f)(const struct hc_window_product *);
    CHECK_KERNEL(tier, c->op, f);
    product.x = activate(c, ops, k, x, product.tile_columns);
    product.scratch = check_buffer(c, ops->scratch_bytes(k, product.tile_columns, product.n), CHECK_FLUSH);
    f(&product);
}

/* Among others a group of zeros, and one that is too small to count. */
static float *inputs(struct check *c, size_t tiles)
{
    size_t columns = tiles * HC_TILE, n = positions(c->op) * columns;
    float *x = check_buffer(c, n * sizeof *x, 0);
    check_fill_normal(&c->random, x, n, 0, 1);
    for (size_t i = 0; i < n; i += HC_PRODUCT_GROUP) {
        static const float sizes[8] = {1, 1, 1, 1, 0x1p40f, 0x1p-60f, 0x1p-120f, 0};
        float size = sizes[check_below(&c->random, 8)];
        for (size_t j = i; j < n && j < i + HC_PRODUCT_GROUP; j++)
            x[j] *= size;
    }
    return x;
}

static void one_case(struct check *c, const struct hc_window_code *code, size_t rows, size_t tiles)
{
    size_t n = positions(c->op), stride = rows + check_below(&c->random, 8);
    size_t bytes = (rows + HC_TILE - 1) / HC_TILE * tiles * HC_TILE_WEIGHTS / 8 * code->k;
    size_t outputs = (n - 1) * stride + rows;
    check_case(c, "k=%u L=%u rows=%zu tiles=%zu stride=%zu", (unsigned)code->k, (unsigned)code->length, rows, tiles,
               stride);
    struct hc_window_values values;
    hc_window_values_init(&values, code);
    uint8_t *codes = check_buffer(c, bytes, 0);
    check_fill(&c->random, codes, bytes);
    uint16_t *scales = check_buffer(c, rows * sizeof *scales, CHECK_FLUSH);
    for (size_t i = 0; i < rows; i++)
        scales[i] = (uint16_t)check_below(&c->random, 0x7c00);
    const float *x = inputs(c, tiles);
    struct hc_window_product product = {.values = &values,
                                        .codes = codes,
                                        .scales = scales,
                                        .rows = rows,
                                        .tile_columns = tiles,
                                        .n = n,
                                        .out_stride = stride};
    float *expected = check_buffer(c, outputs * sizeof *expected, 0);
    product.out = expected;
    multiply(c, c->truth, product, x);
    bool flush = check_below(&c->random, 2) == 0;
    float *got = check_buffer(c, outputs * sizeof *got, flush ? (int)(4 * check_below(&c->random, 16)) : CHECK_FLUSH);
    product.codes = check_copy(c, codes, bytes, flush ? CHECK_FLUSH : (int)check_below(&c->random, 64));
    product.out = got;
    multiply(c, c->tested, product, x);
    check_f32(c, "output", expected, got, outputs);
}

static void run(struct check *c)
{
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            const struct hc_window_code *code = hc_window_code_find(k, length);
            if (code == NULL)
                continue;
            one_case(c, code, 1 + check_below(&c->random, HC_TILE), 1);
            one_case(c, code, 2 * HC_TILE, HC_PRODUCT_GROUP / HC_TILE);
            one_case(c, code, 1 + check_below(&c->random, MOST_ROWS), 1 + check_below(&c->random, MOST_TILES));
        }
}

/* k = 4, L = 12, rows of 4096 weights. */
enum { BENCH_K = 4, BENCH_TILES = 256, BENCH_ROWS = CHECK_BENCH_WEIGHTS / BENCH_TILES / HC_TILE };

struct work {
    void (*multiply)(const struct hc_window_product *product);
    struct hc_window_product product;
};

static void pass(void *state)
{
    const struct work *work = state;
    work->multiply(&work->product);
}

static void bench(struct check_bench *b)
{
    const struct hc_window_product_ops *ops = &b->tier->kernels.window_product;
    size_t n = positions(b->op), bytes = CHECK_BENCH_WEIGHTS / 8 * BENCH_K;
    size_t input = ops->activation_bytes(BENCH_K, BENCH_TILES);
    struct hc_window_values *values = check_bench_alloc(b, sizeof *values);
    uint8_t *codes = check_bench_alloc(b, bytes);
    uint16_t *scales = check_bench_alloc(b, BENCH_ROWS * sizeof *scales);
    float *numbers = check_bench_alloc(b, BENCH_TILES * HC_TILE * sizeof *numbers);
    char *x = check_bench_alloc(b, n * input);
    void *scratch = check_bench_alloc(b, ops->scratch_bytes(BENCH_K, BENCH_TILES, n));
    float *out = check_bench_alloc(b, n * BENCH_ROWS * sizeof *out);
    if (!values || !codes || !scales || !numbers || !x || !scratch || !out)
        return;
    hc_window_values_init(values, hc_window_code_find(BENCH_K, 12));
    check_fill(&b->random, codes, bytes);
    check_fill_normal(&b->random, numbers, BENCH_TILES * HC_TILE, 0, 1);
    for (size_t i = 0; i < n; i++)
        ops->activate(BENCH_K, numbers, BENCH_TILES, x + i * input);
    struct work work = {ops->multiply,
                        {values, codes, scales, BENCH_ROWS, BENCH_TILES, x, n, scratch, out, BENCH_ROWS}};
    check_bench_run(b, CHECK_BENCH_WEIGHTS * n, bytes, pass, &work);
}

const struct check_op check_window_product[] = {
    {"window_product.n1", "product", CHECK_SLOT(window_product.multiply), &one, run, bench},
    {"window_product.n5", "product", CHECK_SLOT(window_product.multiply), &five, run, bench},
    {"window_product.n33", "product", CHECK_SLOT(window_product.multiply), &many, run, bench},
    {0},
};
