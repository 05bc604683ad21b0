#include <math.h>

#include "product_cases.h"
#include "window_decode/window_decode.h"

/* ---- Values --------------------------------------------------------------------------------------------------- */

/* Decibels that the noise is below the signal at least, as the contract states them. */
static double stated_ratio(unsigned k)
{
    static const double ratios[HC_WINDOW_MAX_K + 1] = {0, 41.4, 41.9, 40.3, 66.9, 66.2, 65.7, 0, 64.4};
    return ratios[k];
}

enum { PANEL_TILES = 8 }; /* in a row of the panels of this check */

/* Tiles that hold every code once, at positions 0, m, 2 m, ..., m k >= length, and others between. */
struct all_codes {
    const struct hc_window_code *code;
    unsigned apart, per_tile;
    size_t tile_rows, bytes;
    uint8_t *codes;
    uint16_t *values;
};

static void write_bits(uint8_t *bytes, size_t at, unsigned count, uint32_t value)
{
    for (unsigned i = 0; i < count; i++)
        if (value >> i & 1)
            bytes[(at + i) / 8] |= (uint8_t)(1u << (at + i) % 8);
}

static void init_all_codes(struct all_codes *all, const struct hc_window_code *code)
{
    all->code = code;
    all->apart = (code->length + code->k - 1u) / code->k;
    all->per_tile = HC_TILE_WEIGHTS / all->apart;
    size_t tiles = ((1u << code->length) + all->per_tile - 1) / all->per_tile;
    all->tile_rows = (tiles + PANEL_TILES - 1) / PANEL_TILES;
    tiles = all->tile_rows * PANEL_TILES;
    all->bytes = tiles * HC_TILE_WEIGHTS / 8 * code->k;
    all->codes = product_memory(all->bytes);
    all->values = product_memory(tiles * HC_TILE_WEIGHTS * sizeof *all->values);
    for (uint32_t theta = 0; theta < 1u << code->length; theta++) {
        size_t tile = theta / all->per_tile, position = theta % all->per_tile * all->apart;
        write_bits(all->codes, (tile * HC_TILE_WEIGHTS + position) * code->k, code->length, theta);
    }
}

static size_t place_in_panel(size_t tile, unsigned position)
{
    size_t row = tile / PANEL_TILES * HC_TILE + hc_window_row(position);
    return row * PANEL_TILES * HC_TILE + tile % PANEL_TILES * HC_TILE + hc_window_column(position);
}

static float half_value(struct check *c, uint16_t half)
{
    float value;
    c->truth->kernels.convert.f16_to_f32(&half, 1, &value);
    return value;
}

/* Every weight of the panel within the bound; noise and signal over the codes, each once. */
static void compare_values(struct check *c, const struct all_codes *all)
{
    static uint16_t table[1u << HC_WINDOW_MAX_LENGTH];
    const struct hc_window_code *code = all->code;
    double bound = code->k <= HC_PRODUCT_CUDA_STEPS_K ? HC_PRODUCT_CUDA_STEPS_BOUND : HC_PRODUCT_CUDA_BOUND;
    double noise = 0, signal = 0;
    hc_window_table(code, table);
    for (size_t tile = 0; tile < all->tile_rows * PANEL_TILES; tile++)
        for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
            const uint8_t *codes = all->codes + tile * (HC_TILE_WEIGHTS / 8 * code->k);
            uint32_t theta = hc_window_theta(codes, code->k, code->length, t);
            size_t place = place_in_panel(tile, t);
            double exact = (double)half_value(c, table[theta]);
            double error = fabs((double)half_value(c, all->values[place]) - exact);
            if (!(error <= bound))
                check_fail(c, "value", place, error);
            if (t % all->apart == 0 && tile * all->per_tile + t / all->apart == theta) {
                noise += error * error;
                signal += exact * exact;
            }
        }
    double ratio = 10 * log10(signal / noise);
    if (!(ratio >= stated_ratio(code->k)))
        check_fail(c, "signal to noise", CHECK_WHOLE, ratio);
}

static void check_values(struct check *c)
{
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            const struct hc_window_code *code = hc_window_code_find(k, length);
            if (!code)
                continue;
            struct all_codes all;
            check_case(c, "k=%u L=%u", k, length);
            init_all_codes(&all, code);
            size_t bytes = all.tile_rows * PANEL_TILES * HC_TILE_WEIGHTS * sizeof *all.values;
            uint8_t *codes = device_copy(c, all.codes, all.bytes);
            uint16_t *values = device_buffer(c, bytes);
            device_launched(c, "window_panel",
                            hc_window_panel_cuda(code, codes, all.tile_rows, PANEL_TILES, values, device_stream(c)));
            device_fetch(c, values, all.values, bytes);
            compare_values(c, &all);
            product_end(c);
        }
}

/* ---- Products ------------------------------------------------------------------------------------------------- */

struct shapes {
    unsigned k, length, count;
    size_t n;
    struct {
        size_t rows, tile_columns;
    } matrix[HC_INPUT_MATRICES];
};

static void make_matrix(struct check *c, struct hc_window_matrix_cuda *matrix, struct product_case *m,
                        const struct hc_window_code *code, size_t n)
{
    size_t tile_rows = (m->rows + HC_TILE - 1) / HC_TILE, tiles = tile_rows * m->tile_columns;
    size_t bytes = tiles * HC_TILE_WEIGHTS / 8 * code->k;
    uint8_t *codes = product_memory(bytes);
    uint16_t *values = product_memory(tiles * HC_TILE_WEIGHTS * sizeof *values);
    check_fill(&c->random, codes, bytes);
    product_inputs(c, m, n, true);
    *matrix = (struct hc_window_matrix_cuda){.codes = device_copy(c, codes, bytes),
                                             .scales = m->device.row_scales,
                                             .rows = m->rows,
                                             .tile_columns = m->tile_columns,
                                             .code = *code,
                                             .halves = m->device.halves,
                                             .x_scales = m->device.x_scales,
                                             .bias = m->device.bias,
                                             .out = m->device.out,
                                             .add = m->add};
    uint16_t *panel = device_buffer(c, tiles * HC_TILE_WEIGHTS * sizeof *panel);
    device_launched(c, "window_panel",
                    hc_window_panel_cuda(code, matrix->codes, tile_rows, m->tile_columns, panel, device_stream(c)));
    device_fetch(c, panel, values, tiles * HC_TILE_WEIGHTS * sizeof *values);
    m->values = values;
}

/* Twice, the second time on what the first left in the workspace. */
static void run_products(struct check *c, const struct shapes *shapes, const struct hc_window_matrix_cuda *matrices,
                         const struct product_case *cases)
{
    size_t n = shapes->n, bytes = hc_window_product_cuda_workspace(matrices, shapes->count, n);
    void *workspace = device_buffer(c, bytes);
    device_launched(c, "cudaMemset", cudaMemset(workspace, 0, HC_PRODUCT_CUDA_COUNTERS));
    device_launched(c, "window_product",
                    hc_window_product_cuda(matrices, shapes->count, n, workspace, device_stream(c)));
    float *first[HC_INPUT_MATRICES];
    for (unsigned i = 0; i < shapes->count; i++) {
        product_results(c, &cases[i], n);
        first[i] = product_memory(n * cases[i].rows * sizeof(float));
        product_fetch(c, &cases[i], n, first[i]);
        product_reset(c, &cases[i], n);
    }
    device_launched(c, "window_product",
                    hc_window_product_cuda(matrices, shapes->count, n, workspace, device_stream(c)));
    for (unsigned i = 0; i < shapes->count; i++) {
        float *again = product_memory(n * cases[i].rows * sizeof *again);
        product_fetch(c, &cases[i], n, again);
        check_f32(c, "output of a second run", first[i], again, n * cases[i].rows);
    }
}

static void one_case(struct check *c, const struct shapes *shapes)
{
    const struct hc_window_code *code = hc_window_code_find(shapes->k, shapes->length);
    struct hc_window_matrix_cuda matrices[HC_INPUT_MATRICES];
    struct product_case cases[HC_INPUT_MATRICES] = {0};
    check_case(c, "k=%u L=%u n=%zu, %u matrices, the first %zu rows, %zu tiles", shapes->k, shapes->length, shapes->n,
               shapes->count, shapes->matrix[0].rows, shapes->matrix[0].tile_columns);
    for (unsigned i = 0; i < shapes->count; i++) {
        cases[i].rows = shapes->matrix[i].rows;
        cases[i].tile_columns = shapes->matrix[i].tile_columns;
        cases[i].with_bias = check_below(&c->random, 2) == 0;
        cases[i].add = check_below(&c->random, 2) == 0;
        make_matrix(c, &matrices[i], &cases[i], code, shapes->n);
    }
    run_products(c, shapes, matrices, cases);
    product_end(c);
}

/* Every k, for one position and for several; every number of positions, with odd shapes. */
static void check_products(struct check *c)
{
    static const struct shapes all[] = {
        {1, 12, 1, 1, {{17, 17}}},
        {2, 12, 1, 1, {{40, 16}}},
        {3, 12, 2, 1, {{16, 15}, {1, 33}}},
        {4, 12, 3, 1, {{40, 33}, {17, 33}, {300, 33}}},
        {4, 8, 1, 1, {{1, 1}}},
        {5, 12, 1, 1, {{17, 9}}},
        {6, 16, 1, 1, {{40, 17}}},
        {8, 14, 1, 1, {{17, 18}}},
        {1, 16, 1, 2, {{40, 17}}},
        {2, 16, 1, 3, {{17, 33}}},
        {3, 16, 1, 7, {{40, 8}}},
        {4, 16, 3, 8, {{16, 33}, {257, 1}, {17, 9}}},
        {5, 16, 1, 8, {{16, 16}}},
        {6, 12, 1, 2, {{17, 17}}},
        {8, 16, 1, 5, {{40, 15}}},
        {4, 12, 1, 9, {{40, 33}}},
        {4, 12, 1, 33, {{17, 33}}},
        {4, 12, 2, 64, {{40, 16}, {1, 17}}},
        {3, 12, 1, 16, {{17, 33}}},
        {4, 12, 1, 32, {{40, 16}}},
        /* So many columns that a split has two groups; so many rows that nothing is split, and a block has to take its
         * inputs in two portions. */
        {1, 12, 1, 1, {{1, 265 * 16}}},
        {1, 10, 1, 2, {{3, 265 * 16 - 7}}},
        {1, 12, 3, 1, {{66 * 256 + 1, 1}, {66 * 256 + 1, 1}, {17, 17 * 16 + 1}}},
    };
    static const unsigned ks[] = {1, 2, 3, 4, 5, 6, 8}, positions[] = {9, 17, 64};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        one_case(c, &all[i]);
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
        for (size_t j = 0; j < sizeof positions / sizeof positions[0]; j++)
            one_case(c, &(struct shapes){ks[i], 12, 1, positions[j], {{17, 18}}});
}

/* ---- After cuBLAS --------------------------------------------------------------------------------------------- */

static void finish_case(struct check *c, size_t n, size_t rows, bool scaled, bool with_x, bool with_bias, bool add)
{
    size_t stride = rows + check_below(&c->random, 8), x_stride = 1 + check_below(&c->random, 5);
    check_case(c, "n=%zu rows=%zu scales=%d x_scales=%d bias=%d add=%d", n, rows, scaled, with_x, with_bias, add);
    float *sums = check_buffer(c, n * rows * sizeof *sums, 0), *bias = check_buffer(c, rows * sizeof *bias, 0);
    float *x_scales = check_buffer(c, n * x_stride * sizeof *x_scales, 0);
    float *expected = check_buffer(c, n * stride * sizeof *expected, 0);
    float *got = check_buffer(c, n * stride * sizeof *got, 0);
    uint16_t *scales = check_buffer(c, rows * sizeof *scales, 0);
    check_fill_normal(&c->random, sums, n * rows, 0, 1);
    check_fill_normal(&c->random, bias, rows, 0, 1);
    check_fill_normal(&c->random, expected, n * stride, 0, 1);
    for (size_t i = 0; i < n * x_stride; i++)
        x_scales[i] = ldexpf(1, (int)check_below(&c->random, 40) - 20);
    for (size_t r = 0; r < rows; r++)
        scales[r] = (uint16_t)check_below(&c->random, 0x7c00);
    float *out = device_copy(c, expected, n * stride * sizeof *out);
    device_launched(c, "product_finish",
                    hc_product_finish_cuda(device_copy(c, sums, n * rows * sizeof *sums), n, rows,
                                           scaled ? device_copy(c, scales, rows * sizeof *scales) : NULL,
                                           with_x ? device_copy(c, x_scales, n * x_stride * sizeof *x_scales) : NULL,
                                           x_stride, with_bias ? device_copy(c, bias, rows * sizeof *bias) : NULL, add,
                                           out, stride, device_stream(c)));
    device_fetch(c, out, got, n * stride * sizeof *got);
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rows; r++) {
            float sum = sums[i * rows + r] * (with_x ? x_scales[i * x_stride] : 1);
            float value = fmaf(sum, scaled ? half_value(c, scales[r]) : 1, with_bias ? bias[r] : 0);
            expected[i * stride + r] = add ? expected[i * stride + r] + value : value;
        }
    check_f32(c, "output", expected, got, n * stride);
    device_end(c);
}

static void check_finish_products(struct check *c)
{
    for (unsigned i = 0; i < 16; i++)
        finish_case(c, 1 + check_below(&c->random, 5), 1 + check_below(&c->random, 600), i & 1, i & 2, i & 4, i & 8);
}

const struct check_op check_cuda_window_product[] = {
    {"window_product.panel", "weight", CHECK_DEVICE, NULL, check_values, NULL},
    {"window_product.fused", "weight", CHECK_DEVICE, NULL, check_products, NULL},
    {"window_product.finish", "output", CHECK_DEVICE, NULL, check_finish_products, NULL},
    {0},
};
