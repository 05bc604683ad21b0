#include <float.h>
#include <math.h>

#include "check.h"

static void fill(struct check *c, float *data, size_t n, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f};
    check_fill_normal(&c->random, data, n, 0, 1);
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, 50))
        data[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
}

/* Codes at random: beyond the table, too, where that is smaller than the bits allow, and in the bits left over. */
static uint8_t *random_codes(struct check *c, size_t codes, unsigned bits, uint32_t entries, bool stray)
{
    const size_t bytes = (codes * bits + 7) / 8;
    uint8_t *in = check_buffer(c, bytes, 0);
    check_fill(&c->random, in, bytes);
    for (size_t i = 0; !stray && i < codes; i++) {
        const uint64_t code = check_below(&c->random, entries);
        for (unsigned bit = 0; bit < bits; bit++) {
            const size_t at = i * bits + bit;
            in[at / 8] = (uint8_t)((in[at / 8] & ~(1 << at % 8)) | (int)(code >> bit & 1) << at % 8);
        }
    }
    return in;
}

struct scene {
    size_t rows, columns, n;
    unsigned bits;
    uint32_t entries;
    bool stray;
};

/* Where a buffer lies: at the end of what may be touched, or anywhere. */
static int anywhere(struct check *c)
{
    return check_below(&c->random, 2) == 0 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
}

static void one_case(struct check *c, const struct scene *scene)
{
    const size_t rows = scene->rows, columns = scene->columns, n = scene->n;
    const size_t x_stride = columns + check_below(&c->random, 5), out_stride = rows + check_below(&c->random, 5);
    const size_t x_floats = n > 0 ? (n - 1) * x_stride + columns : 0,
                 out_floats = n > 0 ? (n - 1) * out_stride + rows : 0;
    const size_t bytes = (rows * columns / 2 * scene->bits + 7) / 8;
    const bool extreme = check_below(&c->random, 4) == 0;
    check_case(c, "bits=%u rows=%zu columns=%zu n=%zu entries=%u stray=%d extreme=%d", scene->bits, rows, columns, n,
               scene->entries, scene->stray, extreme);
    const uint8_t *codes = random_codes(c, rows * columns / 2, scene->bits, scene->entries, scene->stray);
    float(*table)[2] = check_buffer(c, scene->entries * sizeof *table, CHECK_FLUSH);
    fill(c, &table[0][0], 2 * (size_t)scene->entries, extreme);
    float *x = check_buffer(c, x_floats * sizeof *x, 0);
    fill(c, x, x_floats, extreme);
    float *decoded = check_buffer(c, rows * columns * sizeof *decoded, 0);
    float *expected = check_buffer(c, out_floats * sizeof *expected, 0);
    float *out = check_buffer(c, out_floats * sizeof *out, anywhere(c));
    const float(*const_table)[2] = (const float(*)[2])table;
    const struct hc_pair_product product = {
        .codes = check_copy(c, codes, bytes, CHECK_FLUSH),
        .bits = scene->bits,
        .table = const_table,
        .entries = scene->entries,
        .rows = rows,
        .columns = columns,
        .x = check_copy(c, x, x_floats * sizeof *x, anywhere(c)),
        .n = n,
        .x_stride = x_stride,
        .scratch = check_buffer(c, hc_pair_product_scratch(columns, n) * sizeof(float), anywhere(c)),
        .out = out,
        .out_stride = out_stride};
    const struct hc_dense_product dense = {decoded, rows, columns, x, n, x_stride, columns, expected, out_stride};
    const size_t strays = c->truth->kernels.pair_decode.block(codes, rows * columns / 2, scene->bits, const_table,
                                                              scene->entries, decoded);
    c->truth->kernels.dense_product.multiply(&dense);
    check_u64(c, "strays", n > 0 ? strays : 0, c->tested->kernels.pair_product.multiply(&product));
    check_f32(c, "out", expected, out, out_floats);
}

static void run(struct check *c)
{
    static const size_t rows[] = {0, 1, 2, 3, 7, 16, 17, 21, 32}, counts[] = {0, 1, 1, 2, 4, 7};
    static const size_t columns[] = {0, 2, 8, 14, 16, 18, 30, 32, 34, 64, 100, 190, 576};
    for (unsigned bits = 1; bits <= 24; bits++)
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
            for (size_t j = 0; j < sizeof columns / sizeof columns[0]; j++)
                for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                    const uint32_t all = bits < 12 ? UINT32_C(1) << bits : UINT32_C(1) << 12;
                    const uint32_t entries = 1 + (uint32_t)check_below(&c->random, all);
                    one_case(c, &(struct scene){rows[r], columns[j], counts[i], bits, entries, i % 3 == 2});
                }
}

/* The published setting: 1600 points, one class of outer pairs, 12 bits. A matrix from memory with one position, a
 * panel of it with many. */
enum { BITS = 12, ENTRIES = 2 * 1601, COLUMNS = 2048, PANEL = 64, ROW_BYTES = COLUMNS / 2 * BITS / 8 };

struct about {
    size_t rows, n;
};

struct work {
    const struct hc_kernels *kernels;
    const struct about *about;
    uint8_t *codes;
    float (*table)[2];
    const float *x;
    float *scratch, *out;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t r = 0; r < work->about->rows; r += PANEL) {
        const struct hc_pair_product product = {.codes = work->codes + r * ROW_BYTES,
                                                .bits = BITS,
                                                .table = (const float(*)[2])work->table,
                                                .entries = ENTRIES,
                                                .rows = PANEL,
                                                .columns = COLUMNS,
                                                .x = work->x,
                                                .n = work->about->n,
                                                .x_stride = COLUMNS,
                                                .scratch = work->scratch,
                                                .out = work->out + r,
                                                .out_stride = work->about->rows};
        work->kernels->pair_product.multiply(&product);
    }
}

static void bench(struct check_bench *b)
{
    enum { GROUP = 8 };
    const struct about *about = b->op->about;
    const size_t bytes = about->rows * ROW_BYTES, weights = about->rows * COLUMNS;
    struct work work = {&b->tier->kernels,
                        about,
                        check_bench_alloc(b, bytes),
                        check_bench_alloc(b, ENTRIES * sizeof *work.table),
                        check_bench_weights(b, 1),
                        check_bench_alloc(b, hc_pair_product_scratch(COLUMNS, 2) * sizeof *work.scratch),
                        check_bench_alloc(b, about->rows * about->n * sizeof *work.out)};
    if (work.codes == NULL || work.table == NULL || work.x == NULL || work.scratch == NULL || work.out == NULL)
        return;
    check_fill_normal(&b->random, &work.table[0][0], 2 * ENTRIES, 0, 0.02);
    for (size_t i = 0; i < bytes; i += BITS) {
        uint32_t codes[GROUP];
        for (int j = 0; j < GROUP; j++)
            codes[j] = (uint32_t)check_below(&b->random, ENTRIES);
        b->tier->kernels.bitpack.pack(codes, GROUP, BITS, work.codes + i);
    }
    check_bench_run(b, weights * about->n, bytes, pass, &work);
}

static const struct about one = {CHECK_BENCH_WEIGHTS / COLUMNS, 1}, many = {PANEL, 128};

const struct check_op check_pair_product[] = {
    {"pair_product.multiply", "product", CHECK_SLOT(pair_product.multiply), &one, run, bench},
    {"pair_product.panel", "product", CHECK_SLOT(pair_product.multiply), &many, run, bench},
    {0},
};
