/* The method `window` above its kernels: frames, and matrices that are coded, cut, and read in part. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "selection.h"
#include "tiers.h"
#include "window.h"
#include "window_frame.h"

/* ---- Matrices in memory --------------------------------------------------------------------- */

struct matrix {
    struct hc_tensor tensor;
    struct hc_piece piece;
    float *weights;
};

/* Close to normal, from a counter. */
static float normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(*state >> 40) / (1 << 24);
    }
    return (float)sum;
}

static struct matrix *matrix_make(uint64_t rows, uint64_t columns)
{
    struct matrix *m = calloc(1, sizeof *m);
    uint64_t state = 1000 * rows + columns;
    m->weights = malloc(rows * columns * sizeof *m->weights);
    for (uint64_t i = 0; i < rows * columns; i++)
        m->weights[i] = 0.02F * normal(&state);
    m->tensor = (struct hc_tensor){.name = "m.weight",
                                   .type = HC_TYPE_F32,
                                   .rank = 2,
                                   .shape = {rows, columns},
                                   .weights = rows * columns,
                                   .bytes = rows * columns * sizeof *m->weights,
                                   .data = (const uint8_t *)m->weights};
    m->piece = (struct hc_piece){&m->tensor, 0, rows * columns, rows, columns};
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->weights);
    free(m);
}

/* A sink that keeps everything. */
struct memory_sink {
    struct hc_sink sink;
    uint8_t *bytes[HC_MAX_PARTS];
    size_t count[HC_MAX_PARTS];
};

static hc_status memory_write(struct hc_sink *sink, unsigned part, const void *data, size_t bytes,
                              struct hc_error *error)
{
    struct memory_sink *memory = (struct memory_sink *)sink;
    (void)error;
    memory->bytes[part] = realloc(memory->bytes[part], memory->count[part] + bytes + 1);
    memcpy(memory->bytes[part] + memory->count[part], data, bytes);
    memory->count[part] += bytes;
    return HC_OK;
}

struct stored {
    struct memory_sink sink;
    struct hc_coded coded;
};

static struct stored encode(struct hc_engine *engine, const struct matrix *m, unsigned k, int length,
                            hc_columns columns)
{
    struct stored stored = {.sink = {.sink = {memory_write}}};
    struct hc_error error = {""};
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.window.length = length;
    options.window.columns = columns;
    cr_assert_eq(
        hc_method_window.encode(engine, &m->piece, &options, k, &stored.sink.sink, NULL, &stored.coded, &error), HC_OK,
        "%s", error.text);
    return stored;
}

static void stored_free(struct stored *stored)
{
    for (int p = 0; p < HC_MAX_PARTS; p++)
        free(stored->sink.bytes[p]);
    json_decref(stored->coded.parameters);
}

static void decode(struct hc_engine *engine, const struct matrix *m, const struct stored *stored, uint64_t first,
                   uint64_t count, float *out)
{
    struct hc_shape shape = {m->piece.rows, m->piece.columns};
    struct hc_error error = {""};
    uint64_t bytes[HC_MAX_PARTS];
    void *decoder;
    const uint8_t *parts[HC_MAX_PARTS];
    cr_assert_eq(hc_method_window.size(stored->coded.parameters, &shape, bytes, &error), HC_OK, "%s", error.text);
    for (int p = 0; p < HC_MAX_PARTS; p++) {
        cr_assert_eq(bytes[p], stored->sink.count[p], "part %d", p);
        parts[p] = stored->sink.bytes[p];
    }
    cr_assert_eq(hc_method_window.open(stored->coded.parameters, &shape, parts, &decoder, &error), HC_OK, "%s",
                 error.text);
    cr_assert_eq(hc_method_window.decode(engine, decoder, first, count, HC_TYPE_F32, out, &error), HC_OK, "%s",
                 error.text);
    hc_method_window.close(decoder);
}

static double signal_to_noise(const struct matrix *m, const float *decoded)
{
    double signal = 0, noise = 0;
    for (uint64_t i = 0; i < m->piece.weights; i++) {
        double w = (double)m->weights[i], e = (double)decoded[i] - w;
        signal += w * w;
        noise += e * e;
    }
    return 10 * log10(signal / noise);
}

static struct hc_engine engine_of(const struct hc_kernels *kernels, int threads)
{
    struct hc_engine engine;
    cr_assert_eq(hc_engine_cpu(&engine, kernels, threads, NULL), HC_OK);
    return engine;
}

/* ---- Frames --------------------------------------------------------------------------------- */

static struct hc_window_frame fit_frame(struct hc_engine *engine, const struct matrix *m, hc_columns columns)
{
    struct hc_window_frame frame;
    struct hc_error error = {""};
    const char *because;
    cr_assert_eq(hc_window_frame_fit(&frame, engine, &m->piece, columns, 7, NULL, &because, &error), HC_OK, "%s",
                 error.text);
    cr_assert_null(because);
    return frame;
}

/* Every stored scale is the root mean square of its column, to half a step of an eighth of an octave. */
TIER_TEST(window, column_scales)
{
    struct hc_engine engine = engine_of(kernels, 2);
    struct matrix *m = matrix_make(77, 50);
    for (uint64_t i = 0; i < m->piece.weights; i++)
        m->weights[i] *= exp2f((float)(i % 50) / 3 - 8);
    struct hc_window_frame frame = fit_frame(&engine, m, HC_COLUMNS_NORM);
    for (uint64_t j = 0; j < 50; j++) {
        double sum = 0;
        for (uint64_t r = 0; r < 77; r++)
            sum += (double)m->weights[r * 50 + j] * (double)m->weights[r * 50 + j];
        double steps = 8 * log2(fabs((double)frame.from_code[j]) / sqrt(sum / 77));
        cr_assert(fabs(steps) <= 0.5001, "column %llu: %g steps off", (unsigned long long)j, steps);
        double product = (double)frame.from_code[j] * (double)frame.to_code[j];
        cr_assert(fabs(product - 1) <= 1e-6, "column %llu: product %.9g", (unsigned long long)j, product);
    }
    cr_assert_eq(frame.to_code[50], 0.0F, "padding");
    cr_assert_eq(frame.block, 64);
    hc_window_frame_free(&frame);
    matrix_free(m);
    engine.table->destroy(&engine);
}

TIER_TEST(window, columns_of_every_size)
{
    struct hc_engine engine = engine_of(kernels, 1);
    struct matrix *m = matrix_make(20, 16);
    for (uint64_t r = 0; r < 20; r++) {
        m->weights[r * 16] = 0;                              /* no step at all */
        m->weights[r * 16 + 1] = r % 2 ? 3.0e38F : -3.0e38F; /* as large as can be */
        m->weights[r * 16 + 2] = 1e-40F;                     /* far below what a byte reaches */
    }
    struct hc_window_frame frame = fit_frame(&engine, m, HC_COLUMNS_NORM);
    cr_assert_eq(frame.bytes[0], 0);
    cr_assert_eq(frame.from_code[0], 0.0F);
    cr_assert_eq(frame.to_code[0], 0.0F);
    cr_assert(frame.bytes[1] >= 248);
    cr_assert(isfinite(frame.from_code[1]) && frame.to_code[1] != 0.0F);
    cr_assert_eq(frame.bytes[2], 1);
    cr_assert(isfinite(frame.to_code[2]));
    hc_window_frame_free(&frame);
    frame = fit_frame(&engine, m, HC_COLUMNS_NONE);
    cr_assert_null(frame.bytes);
    cr_assert_eq(frame.exponent, 127);
    hc_window_frame_free(&frame);
    matrix_free(m);
    engine.table->destroy(&engine);
}

Test(window, signs_are_even)
{
    struct hc_window_frame frame;
    enum { COLUMNS = 4096 };
    int negative = 0;
    cr_assert_eq(hc_window_frame_restore(&frame, 16, COLUMNS, 128, 12345, 0, NULL, NULL), HC_OK);
    for (int j = 0; j < COLUMNS; j++) {
        cr_assert_eq(fabsf(frame.from_code[j]), 1.0F);
        negative += frame.from_code[j] < 0;
    }
    cr_assert(abs(negative - COLUMNS / 2) < 4 * 32, "%d of %d", negative, COLUMNS); /* four deviations */
    hc_window_frame_free(&frame);
}

/* ---- Matrices ------------------------------------------------------------------------------- */

/* Shapes with every kind of padding; codes and scales are the same from every tier and any number of threads. */
TIER_TEST(window, every_shape)
{
    static const uint64_t shapes[][2] = {{1, 1}, {1, 40}, {33, 1}, {3, 5}, {17, 33}, {64, 48}, {40, 256}};
    struct hc_kernels plain;
    hc_kernels_init(&plain, HC_TIER_C);
    struct hc_engine truth = engine_of(&plain, 1), engine = engine_of(kernels, 3);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct matrix *m = matrix_make(shapes[i][0], shapes[i][1]);
        m->tensor.type = HC_TYPE_F32;
        unsigned k = 2 + (unsigned)i % 3;
        struct stored a = encode(&truth, m, k, 10, HC_COLUMNS_NORM), b = encode(&engine, m, k, 10, HC_COLUMNS_NORM);
        cr_assert_eq(a.coded.kept_because, b.coded.kept_because);
        for (int p = 0; p < HC_MAX_PARTS; p++) {
            cr_assert_eq(a.sink.count[p], b.sink.count[p]);
            cr_assert(a.sink.count[p] == 0 || memcmp(a.sink.bytes[p], b.sink.bytes[p], a.sink.count[p]) == 0,
                      "%llu x %llu: part %d differs", (unsigned long long)shapes[i][0],
                      (unsigned long long)shapes[i][1], p);
        }
        if (m->piece.weights < 256)
            cr_assert_str_eq(a.coded.kept_because, "would not be smaller");
        stored_free(&a);
        stored_free(&b);
        matrix_free(m);
    }
    truth.table->destroy(&truth);
    engine.table->destroy(&engine);
}

/* Any range of weights decodes to the same as the whole, and the recorded error is that of the whole. */
TIER_TEST(window, ranges)
{
    enum { ROWS = 70, COLUMNS = 300 };
    struct hc_engine engine = engine_of(kernels, 2);
    struct matrix *m = matrix_make(ROWS, COLUMNS);
    struct stored stored = encode(&engine, m, 4, 12, HC_COLUMNS_NORM);
    float *whole = malloc(m->piece.weights * sizeof *whole), *part = malloc(m->piece.weights * sizeof *part);
    decode(&engine, m, &stored, 0, m->piece.weights, whole);
    static const uint64_t ranges[][2] = {{0, 1},    {8192, 8192}, {16384, 1}, {299, 2}, {16 * COLUMNS, COLUMNS},
                                         {20999, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        decode(&engine, m, &stored, ranges[i][0], ranges[i][1], part);
        cr_assert_arr_eq(part, whole + ranges[i][0], ranges[i][1] * sizeof *part, "range %zu", i);
    }
    double measured = signal_to_noise(m, whole),
           recorded = 10 * log10(hc_exact_value(&stored.coded.compare.squared_weights) /
                                 hc_exact_value(&stored.coded.compare.squared_error));
    cr_assert(fabs(measured - recorded) < 1e-9, "%.12g, recorded %.12g", measured, recorded);
    cr_assert(measured > 22.8, "%.2f dB", measured);
    free(whole);
    free(part);
    stored_free(&stored);
    matrix_free(m);
    engine.table->destroy(&engine);
}

/* Column sums and codes do not depend on how the rows are cut. */
TIER_TEST(window, cuts)
{
    enum { ROWS = 50, COLUMNS = 40, CUT = 32 };
    struct hc_engine engine = engine_of(kernels, 2);
    struct matrix *m = matrix_make(ROWS, COLUMNS);
    float whole[COLUMNS] = {0}, parts[COLUMNS] = {0};
    uint64_t bad = 0, sums[COLUMNS] = {0}, part_sums[COLUMNS] = {0};
    double to_units[COLUMNS];
    const struct hc_engine_table *table = engine.table;
    cr_assert_eq(table->window_largest(&engine, &m->piece, 0, ROWS, whole, &bad, NULL), HC_OK);
    cr_assert_eq(table->window_largest(&engine, &m->piece, 0, CUT, parts, &bad, NULL), HC_OK);
    cr_assert_eq(table->window_largest(&engine, &m->piece, CUT, ROWS - CUT, parts, &bad, NULL), HC_OK);
    cr_assert_arr_eq(whole, parts, sizeof whole);
    for (int j = 0; j < COLUMNS; j++)
        to_units[j] = ldexp(1, 24);
    cr_assert_eq(table->window_squares(&engine, &m->piece, 0, ROWS, to_units, sums, NULL), HC_OK);
    cr_assert_eq(table->window_squares(&engine, &m->piece, 0, CUT, to_units, part_sums, NULL), HC_OK);
    cr_assert_eq(table->window_squares(&engine, &m->piece, CUT, ROWS - CUT, to_units, part_sums, NULL), HC_OK);
    cr_assert_arr_eq(sums, part_sums, sizeof sums);

    struct hc_window_frame frame = fit_frame(&engine, m, HC_COLUMNS_NORM);
    struct hc_window_coder coder;
    uint8_t codes[2][4 * 3 * 128];
    uint16_t scales[2][ROWS];
    cr_assert_eq(hc_window_coder_init(&coder, hc_window_code_find(4, 12), kernels, NULL), HC_OK);
    struct hc_window_result result = {.codes = codes[0], .scales = scales[0]};
    cr_assert_eq(table->window_encode(&engine, &m->piece, &frame, &coder, 0, 4, &result, NULL), HC_OK);
    for (uint64_t i = 0; i < 4; i++) {
        result = (struct hc_window_result){.codes = codes[1] + i * 3 * 128, .scales = scales[1] + i * HC_TILE};
        cr_assert_eq(table->window_encode(&engine, &m->piece, &frame, &coder, i, 1, &result, NULL), HC_OK);
    }
    cr_assert_arr_eq(codes[0], codes[1], sizeof codes[0]);
    cr_assert_arr_eq(scales[0], scales[1], sizeof scales[0]);
    hc_window_frame_free(&frame);
    hc_window_coder_free(&coder);
    matrix_free(m);
    engine.table->destroy(&engine);
}

/* One of several threads that decode with the same engine. */
struct decoding {
    struct hc_engine *engine;
    void *decoder;
    const float *all; /* what it is to decode to */
    uint64_t rows, columns, first;
    bool wrong;
};

static void *decode_rows(void *user)
{
    struct decoding *d = user;
    float *out = malloc(HC_TILE * d->columns * sizeof *out);
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t row = (d->first + i * 7) % (d->rows - HC_TILE), from = row * d->columns;
        hc_status status =
            hc_method_window.decode(d->engine, d->decoder, from, HC_TILE * d->columns, HC_TYPE_F32, out, NULL);
        d->wrong |= status != HC_OK || memcmp(out, d->all + from, HC_TILE * d->columns * sizeof *out) != 0;
    }
    free(out);
    return NULL;
}

/* As the rows of an embedding are, of several tokens at once. */
Test(window, decoding_by_threads)
{
    enum { ROWS = 200, COLUMNS = 80, THREADS = 4 };
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    struct hc_engine engine = engine_of(&kernels, 1);
    struct matrix *m = matrix_make(ROWS, COLUMNS);
    struct stored stored = encode(&engine, m, 4, 12, HC_COLUMNS_NORM);
    struct hc_shape shape = {ROWS, COLUMNS};
    const uint8_t *parts[HC_MAX_PARTS];
    float all[ROWS * COLUMNS];
    struct decoding decodings[THREADS];
    pthread_t threads[THREADS];
    void *decoder;
    decode(&engine, m, &stored, 0, m->piece.weights, all);
    for (int p = 0; p < HC_MAX_PARTS; p++)
        parts[p] = stored.sink.bytes[p];
    cr_assert_eq(hc_method_window.open(stored.coded.parameters, &shape, parts, &decoder, NULL), HC_OK);
    for (uint64_t i = 0; i < THREADS; i++) {
        decodings[i] = (struct decoding){&engine, decoder, all, ROWS, COLUMNS, i * 31, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, decode_rows, &decodings[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_not(decodings[i].wrong, "thread %d", i);
    }
    hc_method_window.close(decoder);
    stored_free(&stored);
    matrix_free(m);
    engine.table->destroy(&engine);
}

/* Columns that differ in size by a factor of 100: the error of each, relative to the column, lies within 1 dB of the
 * mean with column scales, and far from it without. */
static void column_errors(struct hc_engine *engine, const struct matrix *m, hc_columns columns, double *least,
                          double *most)
{
    uint64_t rows = m->piece.rows, count = m->piece.columns;
    struct stored stored = encode(engine, m, 3, 12, columns);
    float *decoded = malloc(m->piece.weights * sizeof *decoded);
    double *relative = calloc(count, sizeof *relative), mean = 0;
    decode(engine, m, &stored, 0, m->piece.weights, decoded);
    for (uint64_t j = 0; j < count; j++) {
        double signal = 0, noise = 0;
        for (uint64_t i = j; i < rows * count; i += count) {
            double w = (double)m->weights[i], e = (double)decoded[i] - w;
            signal += w * w;
            noise += e * e;
        }
        relative[j] = noise / signal;
        mean += relative[j] / (double)count;
    }
    *least = INFINITY;
    *most = -INFINITY;
    for (uint64_t j = 0; j < count; j++) {
        double decibel = 10 * log10(relative[j] / mean);
        *least = fmin(*least, decibel);
        *most = fmax(*most, decibel);
    }
    free(relative);
    free(decoded);
    stored_free(&stored);
}

Test(window, flat_over_columns)
{
    enum { ROWS = 4096, COLUMNS = 64 };
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    struct hc_engine engine = engine_of(&kernels, 2);
    struct matrix *m = matrix_make(ROWS, COLUMNS);
    double least, most;
    for (uint64_t i = 0; i < m->piece.weights; i++)
        m->weights[i] *= powf(100, (float)(i % COLUMNS) / (COLUMNS - 1));
    column_errors(&engine, m, HC_COLUMNS_NORM, &least, &most);
    cr_assert(least >= -1 && most <= 1, "%.2f to %.2f dB", least, most);
    column_errors(&engine, m, HC_COLUMNS_NONE, &least, &most);
    cr_assert(most > 6, "without scales %.2f to %.2f dB: the test shows nothing", least, most);
    matrix_free(m);
    engine.table->destroy(&engine);
}

/* ---- Which matrices there are --------------------------------------------------------------- */

Test(window, shapes)
{
    static const struct {
        int rank;
        uint64_t shape[4];
        size_t pieces;
        struct hc_shape expected;
    } cases[] = {{0, {0}, 1, {1, 1}},          {1, {5}, 1, {1, 5}},           {2, {1, 7}, 1, {1, 7}},
                 {2, {7, 1}, 1, {7, 1}},       {4, {8, 3, 2, 2}, 1, {8, 12}}, {3, {1, 6, 7}, 1, {6, 7}},
                 {4, {1, 1, 6, 7}, 1, {6, 7}}, {3, {4, 6, 7}, 4, {6, 7}},     {4, {4, 1, 6, 7}, 4, {6, 7}},
                 {2, {4, 6}, 4, {1, 6}},       {3, {4, 6, 7}, 3, {0, 56}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hc_shape shape = hc_piece_shape(cases[i].rank, cases[i].shape, cases[i].pieces);
        cr_assert(shape.rows == cases[i].expected.rows && shape.columns == cases[i].expected.columns,
                  "case %zu: %llu x %llu", i, (unsigned long long)shape.rows, (unsigned long long)shape.columns);
    }
}

/* What will be kept, since its codes would not be smaller, takes no part in the rate. */
Test(window, sharing_leaves_out_what_is_kept)
{
    enum { SMALL = 20, LARGE = 3 };
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    struct hc_engine engine = engine_of(&kernels, 1);
    struct matrix *matrices[SMALL + LARGE];
    struct hc_tensor tensors[SMALL + LARGE];
    uint8_t rates[SMALL + LARGE] = {0};
    for (int i = 0; i < SMALL + LARGE; i++) {
        matrices[i] = i < SMALL ? matrix_make(2, 8) : matrix_make(96, 96);
        tensors[i] = matrices[i]->tensor;
    }
    struct hc_source source = {.tensors = tensors, .tensor_count = SMALL + LARGE};
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.window.bits = 3.5;
    cr_assert_eq(hc_method_window.share(&engine, &source, &options, NULL, rates, NULL), HC_OK);
    unsigned sum = 0;
    for (int i = SMALL; i < SMALL + LARGE; i++)
        sum += rates[i];
    cr_assert_eq(sum, 9, "rates %u %u %u", rates[SMALL], rates[SMALL + 1], rates[SMALL + 2]); /* scales take 0.25 */
    for (int i = 0; i < SMALL + LARGE; i++)
        matrix_free(matrices[i]);
    engine.table->destroy(&engine);
}

/* ---- The rims ------------------------------------------------------------------------------- */

TIER_TEST(window, zeros)
{
    struct hc_engine engine = engine_of(kernels, 1);
    struct matrix *m = matrix_make(32, 64);
    float decoded[32 * 64];
    memset(m->weights, 0, 64 * sizeof *m->weights); /* a row */
    for (int r = 0; r < 32; r++)
        m->weights[r * 64 + 9] = 0; /* a column */
    struct stored stored = encode(&engine, m, 4, 12, HC_COLUMNS_NORM);
    decode(&engine, m, &stored, 0, 32 * 64, decoded);
    for (int i = 0; i < 32 * 64; i++)
        cr_assert(m->weights[i] != 0.0F || decoded[i] == 0.0F, "weight %d: %g", i, (double)decoded[i]);
    cr_assert(signal_to_noise(m, decoded) > 22);
    stored_free(&stored);

    memset(m->weights, 0, sizeof decoded);
    stored = encode(&engine, m, 4, 12, HC_COLUMNS_NORM);
    decode(&engine, m, &stored, 0, 32 * 64, decoded);
    for (int i = 0; i < 32 * 64; i++)
        cr_assert_eq(decoded[i], 0.0F);
    stored_free(&stored);
    matrix_free(m);
    engine.table->destroy(&engine);
}

TIER_TEST(window, huge_column)
{
    struct hc_engine engine = engine_of(kernels, 1);
    struct matrix *m = matrix_make(64, 64);
    float decoded[64 * 64];
    for (int r = 0; r < 64; r++)
        m->weights[r * 64 + 3] *= 1e6F;
    struct stored stored = encode(&engine, m, 4, 12, HC_COLUMNS_NORM);
    decode(&engine, m, &stored, 0, 64 * 64, decoded);
    double signal = 0, noise = 0;
    for (int i = 0; i < 64 * 64; i++)
        if (i % 64 != 3) {
            signal += (double)m->weights[i] * (double)m->weights[i];
            noise += pow((double)decoded[i] - (double)m->weights[i], 2);
        }
    cr_assert(10 * log10(signal / noise) > 22, "the others have %.2f dB", 10 * log10(signal / noise));
    stored_free(&stored);
    matrix_free(m);
    engine.table->destroy(&engine);
}

TIER_TEST(window, not_finite)
{
    struct hc_engine engine = engine_of(kernels, 2);
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        struct matrix *m = matrix_make(40, 40);
        m->weights[777] = values[i];
        struct stored stored = encode(&engine, m, 4, 12, HC_COLUMNS_NORM);
        cr_assert_str_eq(stored.coded.kept_because, "NaN or infinity in it");
        cr_assert_eq(stored.sink.count[0], 0);
        stored_free(&stored);
        matrix_free(m);
    }
    engine.table->destroy(&engine);
}

/* Stored parts may begin anywhere in a file. */
Test(window, odd_addresses)
{
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_C);
    struct hc_engine engine = engine_of(&kernels, 1);
    struct matrix *m = matrix_make(40, 40);
    struct stored stored = encode(&engine, m, 4, 8, HC_COLUMNS_NORM), moved = stored;
    float even[40 * 40], odd[40 * 40];
    decode(&engine, m, &stored, 0, m->piece.weights, even);
    for (int p = 0; p < HC_MAX_PARTS && stored.sink.bytes[p]; p++) {
        moved.sink.bytes[p] = stored.sink.bytes[p] + 1; /* memory_write leaves room for it */
        memmove(moved.sink.bytes[p], stored.sink.bytes[p], stored.sink.count[p]);
    }
    decode(&engine, m, &moved, 0, m->piece.weights, odd);
    cr_assert_arr_eq(even, odd, sizeof even);
    stored_free(&stored);
    engine.table->destroy(&engine);
    matrix_free(m);
}

/* Parameters that no writer makes. */
Test(window, hostile_parameters)
{
    static const char *const texts[] = {
        "{\"k\":7,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":17,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":262,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":4097,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":-1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":24,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":64,\"columns\":\"norm\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"rows\",\"exponent\":0}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":128}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\"}",
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0,\"x\":"
        "1}",
        "{\"k\":4.0,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}",
    };
    static const struct hc_shape shape = {16, 16}, none = {0, 0}, wide = {16, (1 << 20) + 1};
    uint64_t bytes[HC_MAX_PARTS];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *json = json_loads(texts[i], 0, NULL);
        cr_assert_eq(hc_method_window.size(json, &shape, bytes, NULL), HC_ERR_CORRUPT, "text %zu", i);
        json_decref(json);
    }
    json_t *sound = json_loads(
        "{\"k\":4,\"window\":12,\"multiplier\":263,\"seed\":1,\"block\":16,\"columns\":\"norm\",\"exponent\":0}", 0,
        NULL);
    cr_assert_eq(hc_method_window.size(sound, &shape, bytes, NULL), HC_OK);
    cr_assert_eq(hc_method_window.size(sound, &none, bytes, NULL), HC_ERR_CORRUPT);
    cr_assert_eq(hc_method_window.size(sound, &wide, bytes, NULL), HC_ERR_CORRUPT);
    uint8_t codes[128] = {0}, scales[32] = {0}, columns[16] = {0};
    const uint8_t *parts[HC_MAX_PARTS] = {codes, scales, columns};
    void *decoder;
    static const uint16_t bad[] = {0x8000, 0x7c00, 0x7e00, 0xfc00};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scales[30] = (uint8_t)bad[i];
        scales[31] = (uint8_t)(bad[i] >> 8);
        cr_assert_eq(hc_method_window.open(sound, &shape, parts, &decoder, NULL), HC_ERR_CORRUPT, "scale %zu", i);
    }
    json_decref(sound);
}
