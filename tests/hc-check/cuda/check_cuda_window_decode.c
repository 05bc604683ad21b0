#include <string.h>

#include "device.h"
#include "window_decode/window_decode_cuda.h"

enum { MOST_ROWS = 40, MOST_PADDED = 640 };

struct shape {
    size_t rows, columns, tile_columns;
    unsigned block;
};

/* A coded matrix; and the rows that are asked for, by number or, `gather` being false, from `first` on. */
struct matrix {
    struct shape shape;
    const struct hc_window_code *code;
    uint16_t *table, *scales;
    uint8_t *codes;
    float *from_code;
    bool gather;
    size_t first, n;
    int32_t *rows;
};

static size_t code_bytes(const struct matrix *m)
{
    return (m->shape.rows + HC_TILE - 1) / HC_TILE * m->shape.tile_columns * HC_TILE_WEIGHTS / 8 * m->code->k;
}

static void fill(struct check *c, struct matrix *m)
{
    static const uint16_t scales[] = {0, 1, 0x3ff, 0x400, 0x3c00, 0x7bff}; /* none, the least, ..., the largest */
    size_t padded = m->shape.tile_columns * HC_TILE;
    m->table = check_buffer(c, sizeof *m->table << m->code->length, 0);
    m->scales = check_buffer(c, m->shape.rows * sizeof *m->scales, 0);
    m->codes = check_buffer(c, code_bytes(m), 0);
    m->from_code = check_buffer(c, padded * sizeof *m->from_code, 0);
    m->rows = check_buffer(c, m->n * sizeof *m->rows, 0);
    hc_window_table(m->code, m->table);
    check_fill(&c->random, m->codes, code_bytes(m));
    check_fill_normal(&c->random, m->from_code, padded, 0, 1);
    m->from_code[0] = 0x1p127f; /* what is restored with the largest scales is held within the finite range */
    for (size_t r = 0; r < m->shape.rows; r++)
        m->scales[r] = r % 2 ? (uint16_t)(0x2000 + check_below(&c->random, 0x2000)) : scales[r / 2 % 6];
    for (size_t i = 0; i < m->n; i++)
        m->rows[i] = m->gather && i % 3 == 1
                         ? INT32_MIN
                         : (int32_t)(m->gather ? check_below(&c->random, m->shape.rows) : m->first + i);
}

/* One row after the other, in plain C. */
static void restore(const struct hc_kernels *kernels, const struct matrix *m, float *out)
{
    static float values[HC_TILE * MOST_PADDED];
    const struct hc_window_decoder decoder = {m->code, m->table};
    size_t padded = m->shape.tile_columns * HC_TILE;
    for (size_t i = 0; i < m->n; i++) {
        if (m->rows[i] < 0) {
            memset(out + i * m->shape.columns, 0, m->shape.columns * sizeof *out);
            continue;
        }
        size_t row = (size_t)m->rows[i];
        float scale, *at = values + row % HC_TILE * padded;
        kernels->window_decode.exact(&decoder, m->codes + row / HC_TILE * padded * 2 * m->code->k,
                                     m->shape.tile_columns, values, padded);
        kernels->convert.f16_to_f32(&m->scales[row], 1, &scale);
        kernels->hadamard.blocks(at, padded, m->shape.block);
        kernels->window_rows.restore(at, m->shape.columns, scale, m->from_code);
        memcpy(out + i * m->shape.columns, at, m->shape.columns * sizeof *out);
    }
}

static void one_case(struct check *c, struct matrix *m)
{
    check_case(c, "k=%u L=%u %zu x %zu, %zu rows from %zu on, %s, block %u", (unsigned)m->code->k,
               (unsigned)m->code->length, m->shape.rows, m->shape.columns, m->n, m->first,
               m->gather ? "gathered" : "in order", m->shape.block);
    fill(c, m);
    size_t weights = m->n * m->shape.columns;
    float *expected = check_buffer(c, weights * sizeof *expected, 0);
    float *got = check_buffer(c, weights * sizeof *got, 0);
    restore(&c->truth->kernels, m, expected);
    uint16_t *table = device_copy(c, m->table, sizeof *m->table << m->code->length);
    uint16_t *scales = device_copy(c, m->scales, m->shape.rows * sizeof *m->scales);
    uint8_t *codes = device_copy(c, m->codes, code_bytes(m));
    float *from_code = device_copy(c, m->from_code, m->shape.tile_columns * HC_TILE * sizeof *m->from_code);
    int32_t *rows = device_copy(c, m->rows, m->n * sizeof *m->rows);
    float *out = device_buffer(c, weights * sizeof *out);
    device_launched(c, "window_restore",
                    hc_window_restore_cuda(m->code, table, codes, scales, from_code, m->shape.block, m->shape.columns,
                                           m->shape.tile_columns, m->gather ? rows : NULL, m->first, m->n, out,
                                           device_stream(c)));
    device_fetch(c, out, got, weights * sizeof *got);
    check_f32(c, "weight", expected, got, weights);
    device_end(c);
}

/* Every (k, L), with one shape after the other. */
static void run(struct check *c)
{
    static const struct shape shapes[] = {
        {1, 1, 1, 16},     {17, 48, 3, 16},   {33, 31, 2, 32},           {MOST_ROWS, 255, 16, 128},
        {16, 192, 12, 64}, {35, 150, 10, 32}, {20, MOST_PADDED, 40, 128}};
    size_t turn = 0;
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            struct matrix m = {.code = hc_window_code_find(k, length), .gather = turn % 2 == 0};
            m.shape = shapes[turn++ % (sizeof shapes / sizeof shapes[0])];
            m.first = m.gather ? 0 : check_below(&c->random, m.shape.rows);
            m.n = m.gather ? 3 : m.shape.rows - m.first;
            if (m.code)
                one_case(c, &m);
        }
}

const struct check_op check_cuda_window_decode[] = {
    {"window_decode.restore", "weight", CHECK_DEVICE, NULL, run, NULL},
    {0},
};
