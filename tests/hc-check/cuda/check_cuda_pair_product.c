#include <string.h>

#include "pair_product/pair_product_cuda.h"
#include "product_cases.h"

enum { MOST_COLUMNS = 600 };

/* A matrix of random codes, its table, and what they mean. */
struct pairs {
    size_t rows, columns;
    unsigned bits;
    uint32_t entries, faults; /* codes that are not in the table */
    uint32_t *codes;
    uint16_t *table;
    float *exact;
    struct hc_pair_matrix_cuda matrix;
};

static size_t code_count(const struct pairs *p)
{
    return (p->rows * p->columns + 1) / 2;
}

static void make_codes(struct check *c, struct pairs *p)
{
    for (size_t i = 0; i < code_count(p); i++) {
        bool fault = i > 0 && p->entries < 1u << p->bits && check_below(&c->random, 50) == 0;
        uint32_t most = 1u << p->bits;
        p->codes[i] = (uint32_t)(fault ? p->entries + check_below(&c->random, most - p->entries)
                                       : check_below(&c->random, p->entries));
        p->faults += fault;
    }
    p->codes[0] = p->entries - 1;
}

/* Both tables, in half precision and not. */
static void make_tables(struct check *c, struct pairs *p)
{
    for (size_t i = 0; i < 2 * (size_t)p->entries; i++) {
        p->exact[i] = (float)(0.05 * check_normal(&c->random));
        c->truth->kernels.convert.f32_to_f16(&p->exact[i], 1, &p->table[i]);
    }
}

/* On both sides. 8 bytes beyond the codes may be read. */
static void make_pairs(struct check *c, struct pairs *p)
{
    size_t count = code_count(p), bytes = (count * p->bits + 7) / 8, room = (bytes + 3) / 4 * 4 + 8;
    p->faults = 0;
    p->codes = product_memory(count * sizeof *p->codes);
    p->table = product_memory(2 * p->entries * sizeof *p->table);
    p->exact = product_memory(2 * p->entries * sizeof *p->exact);
    uint8_t *packed = product_memory(room);
    make_codes(c, p);
    make_tables(c, p);
    c->truth->kernels.bitpack.pack(p->codes, count, p->bits, packed);
    p->matrix = (struct hc_pair_matrix_cuda){.codes = device_copy(c, packed, room),
                                             .bits = p->bits,
                                             .table = device_copy(c, p->table, 2 * p->entries * sizeof *p->table),
                                             .entries = p->entries,
                                             .rows = p->rows,
                                             .columns = p->columns,
                                             .faults = device_zeros(c, sizeof(uint32_t))};
}

static uint16_t half_at(const struct pairs *p, size_t row, size_t column)
{
    size_t weight = row * p->columns + column;
    uint32_t code = p->codes[weight / 2];
    return code < p->entries ? p->table[2 * code + weight % 2] : 0;
}

static void check_faults(struct check *c, const struct pairs *p, uint32_t expected)
{
    uint32_t got;
    device_fetch(c, p->matrix.faults, &got, sizeof got);
    check_u64(c, "faults", expected, got);
}

/* ---- Products ------------------------------------------------------------------------------------------------- */

struct shapes {
    size_t n;
    unsigned count;
    struct {
        size_t rows, columns;
        unsigned bits;
        uint32_t entries;
    } matrix[HC_INPUT_MATRICES];
};

static void make_case(struct check *c, struct pairs *p, struct product_case *m, size_t n)
{
    make_pairs(c, p);
    m->rows = p->rows;
    m->tile_columns = (p->columns + HC_TILE - 1) / HC_TILE;
    m->with_bias = check_below(&c->random, 2) == 0;
    m->add = check_below(&c->random, 2) == 0;
    product_inputs(c, m, n, false);
    size_t padded = m->tile_columns * HC_TILE;
    uint16_t *values = product_memory(m->rows * padded * sizeof *values);
    for (size_t r = 0; r < m->rows; r++)
        for (size_t j = 0; j < padded; j++)
            values[r * padded + j] = j < p->columns ? half_at(p, r, j) : 0;
    m->values = values;
    p->matrix.halves = m->device.halves;
    p->matrix.x_scales = m->device.x_scales;
    p->matrix.bias = m->device.bias;
    p->matrix.out = m->device.out;
    p->matrix.add = m->add;
}

/* The inputs of columns that are there for padding are zeros, as hc_window_input_cuda makes them. */
static void clear_padding(struct check *c, const struct pairs *p, const struct product_case *m, size_t n)
{
    size_t padded = m->tile_columns * HC_TILE;
    for (size_t i = 0; i < n; i++)
        memset(m->halves + i * padded + p->columns, 0, (padded - p->columns) * sizeof *m->halves);
    device_launched(c, "cudaMemcpy",
                    cudaMemcpy((void *)(uintptr_t)m->device.halves, m->halves, n * padded * sizeof *m->halves,
                               cudaMemcpyHostToDevice));
}

static void one_case(struct check *c, const struct shapes *shapes)
{
    struct pairs pairs[HC_INPUT_MATRICES] = {0};
    struct product_case cases[HC_INPUT_MATRICES] = {0};
    struct hc_pair_matrix_cuda matrices[HC_INPUT_MATRICES];
    size_t n = shapes->n;
    check_case(c, "n=%zu, %u matrices, the first %zu x %zu, %u bits, %u entries", n, shapes->count,
               shapes->matrix[0].rows, shapes->matrix[0].columns, shapes->matrix[0].bits,
               (unsigned)shapes->matrix[0].entries);
    for (unsigned i = 0; i < shapes->count; i++) {
        pairs[i].rows = shapes->matrix[i].rows;
        pairs[i].columns = shapes->matrix[i].columns;
        pairs[i].bits = shapes->matrix[i].bits;
        pairs[i].entries = shapes->matrix[i].entries;
        make_case(c, &pairs[i], &cases[i], n);
        clear_padding(c, &pairs[i], &cases[i], n);
        matrices[i] = pairs[i].matrix;
    }
    size_t bytes = hc_pair_product_cuda_workspace(matrices, shapes->count, n);
    void *workspace = device_buffer(c, bytes);
    device_launched(c, "cudaMemset", cudaMemset(workspace, 0, HC_PRODUCT_CUDA_COUNTERS));
    for (unsigned turn = 1; turn <= 2; turn++) {
        device_launched(c, "pair_product",
                        hc_pair_product_cuda(matrices, shapes->count, n, workspace, device_stream(c)));
        for (unsigned i = 0; i < shapes->count; i++) {
            product_results(c, &cases[i], n);
            product_reset(c, &cases[i], n);
            check_faults(c, &pairs[i], turn * pairs[i].faults);
        }
    }
    product_end(c);
}

static void check_products(struct check *c)
{
    static const struct shapes all[] = {
        {1, 1, {{17, 272, 13, 6404}}},  {1, 3, {{40, 576, 13, 6404}, {1, 2, 1, 2}, {300, 34, 24, 1000}}},
        {2, 1, {{40, 30, 1, 1}}},       {8, 2, {{16, 300, 11, 1601}, {33, 300, 7, 90}}},
        {9, 1, {{40, 130, 24, 100}}},   {33, 1, {{17, 600, 10, 1024}}},
        {16, 1, {{40, 256, 13, 5000}}}, {32, 1, {{17, 258, 13, 5000}}},
        {64, 1, {{40, 258, 13, 6404}}}, {1, 1, {{17, 272, 14, 12289}}}, /* the table does not fit into shared memory */
        {3, 1, {{40, 512, 16, 40000}}},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        one_case(c, &all[i]);
}

/* ---- Panels and rows ------------------------------------------------------------------------------------------ */

static void panel_case(struct check *c, struct pairs *p, size_t first, size_t rows, size_t stride)
{
    check_case(c, "%zu x %zu, rows %zu and %zu more, stride %zu, %u bits", p->rows, p->columns, first, rows, stride,
               p->bits);
    make_pairs(c, p);
    uint8_t *expected = check_buffer(c, rows * stride * sizeof(uint16_t), 0);
    uint8_t *got = check_buffer(c, rows * stride * sizeof(uint16_t), 0);
    uint32_t faults = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < stride; j++) {
            uint16_t half = j < p->columns ? half_at(p, first + r, j) : 0;
            memcpy(expected + (r * stride + j) * sizeof half, &half, sizeof half);
        }
    for (size_t i = first * p->columns / 2; i <= ((first + rows) * p->columns - 1) / 2; i++)
        faults += p->codes[i] >= p->entries;
    uint16_t *out = device_buffer(c, rows * stride * sizeof *out);
    device_launched(c, "pair_panel", hc_pair_panel_cuda(&p->matrix, first, rows, out, stride, device_stream(c)));
    device_fetch(c, out, got, rows * stride * sizeof *out);
    check_bytes(c, "panel", expected, got, rows * stride * sizeof *out);
    check_faults(c, p, faults);
    product_end(c);
}

static void check_panels(struct check *c)
{
    for (unsigned i = 0; i < 12; i++) {
        struct pairs p = {.rows = 1 + check_below(&c->random, 20),
                          .columns = 1 + check_below(&c->random, MOST_COLUMNS)};
        p.bits = i % 3 == 0 ? 24 : 8 + (unsigned)check_below(&c->random, 6);
        p.entries = 200;
        size_t first = check_below(&c->random, p.rows), rows = 1 + check_below(&c->random, p.rows - first);
        panel_case(c, &p, first, rows, p.columns + check_below(&c->random, 300));
    }
}

static void rows_case(struct check *c, struct pairs *p, size_t n)
{
    check_case(c, "%zu rows of %zu x %zu, %u bits", n, p->rows, p->columns, p->bits);
    make_pairs(c, p);
    int32_t *rows = check_buffer(c, n * sizeof *rows, 0);
    float *expected = check_buffer(c, n * p->columns * sizeof *expected, 0);
    float *got = check_buffer(c, n * p->columns * sizeof *got, 0);
    memset(expected, 0, n * p->columns * sizeof *expected);
    for (size_t i = 0; i < n; i++) {
        rows[i] = i % 3 == 2 ? -1 : (int32_t)check_below(&c->random, p->rows);
        for (size_t j = 0; rows[i] >= 0 && j < p->columns; j++) {
            size_t weight = (size_t)rows[i] * p->columns + j;
            uint32_t code = p->codes[weight / 2];
            expected[i * p->columns + j] = code < p->entries ? p->exact[2 * code + weight % 2] : 0;
        }
    }
    float *exact = device_copy(c, p->exact, 2 * p->entries * sizeof *exact);
    int32_t *device_rows = device_copy(c, rows, n * sizeof *rows);
    float *out = device_buffer(c, n * p->columns * sizeof *out);
    device_launched(c, "pair_rows", hc_pair_rows_cuda(&p->matrix, exact, device_rows, n, out, device_stream(c)));
    device_fetch(c, out, got, n * p->columns * sizeof *got);
    check_f32(c, "row", expected, got, n * p->columns);
    product_end(c);
}

static void check_rows(struct check *c)
{
    for (unsigned i = 0; i < 8; i++) {
        struct pairs p = {.rows = 1 + check_below(&c->random, 20),
                          .columns = 1 + check_below(&c->random, MOST_COLUMNS)};
        p.bits = 8 + (unsigned)check_below(&c->random, 17);
        p.entries = 256;
        rows_case(c, &p, 1 + check_below(&c->random, 9));
    }
}

const struct check_op check_cuda_pair_product[] = {
    {"pair_product.fused", "weight", CHECK_DEVICE, NULL, check_products, NULL},
    {"pair_product.panel", "weight", CHECK_DEVICE, NULL, check_panels, NULL},
    {"pair_product.rows", "weight", CHECK_DEVICE, NULL, check_rows, NULL},
    {0},
};
