#include "window.h"

#include "checksum.h"
#include "json.h"
#include "moments.h"
#include "rate.h"
#include "selection.h"
#include "window_frame.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STRETCH = 1 << 21,        /* weights of a device between two ticks at L <= 12; half of it for each bit more, */
    MIN_STRETCH = 1 << 17,    /* but enough for many threads */
    SAMPLE_WEIGHTS = 1 << 16, /* of a tensor, on which its error is measured before a rate is shared out */
    SAMPLE_RUNS = 4,          /* from so many places */
    SAMPLE_RANGE = 3,         /* bits around the asked rate, below which k is tried */
    PARAMETERS = 160,         /* longest text of parameters(), its quotes twice */
};

enum part { CODES, SCALES, COLUMNS };

/* ---- Options -------------------------------------------------------------------------------- */

static bool is_k(int k)
{
    return (k >= 1 && k <= 6) || k == HC_WINDOW_MAX_K;
}

static hc_status check_options(const hc_window_options *window, struct hc_error *error)
{
    if (!(window->bits >= 1 && window->bits <= HC_WINDOW_MAX_K) ||
        (window->bits == floor(window->bits) && !is_k((int)window->bits)))
        return hc_fail(error, HC_ERR_ARGUMENT, "bits: %g is not 1 to 6 or 8, nor a fraction between 1 and 8",
                       window->bits);
    if (window->length < HC_WINDOW_MIN_LENGTH || window->length > HC_WINDOW_MAX_LENGTH)
        return hc_fail(error, HC_ERR_ARGUMENT, "window: %d is not 8 to 16", window->length);
    if ((window->embedding_bits && !is_k(window->embedding_bits)) || (window->head_bits && !is_k(window->head_bits)))
        return hc_fail(error, HC_ERR_ARGUMENT, "bits of embeddings and head: 1 to 6 or 8, or kept");
    if (window->columns != HC_COLUMNS_NORM && window->columns != HC_COLUMNS_NONE)
        return hc_fail(error, HC_ERR_ARGUMENT, "columns: norm or none");
    for (size_t i = 0; i < window->bits_for_count; i++)
        if (!hc_is_utf8(window->bits_for[i].pattern))
            return hc_fail(error, HC_ERR_ARGUMENT, "the pattern '%s' is not UTF-8", window->bits_for[i].pattern);
        else if (!is_k(window->bits_for[i].bits))
            return hc_fail(error, HC_ERR_ARGUMENT, "bits for %s: %d is not 1 to 6 or 8", window->bits_for[i].pattern,
                           window->bits_for[i].bits);
    return HC_OK;
}

static const char *columns_name(hc_columns columns)
{
    return columns == HC_COLUMNS_NORM ? "norm" : "none";
}

static hc_status window_options(const hc_compress_options *options, json_t **json, struct hc_error *error)
{
    const hc_window_options *window = &options->window;
    hc_status status = check_options(window, error);
    *json = NULL;
    if (status != HC_OK)
        return status;
    json_t *bits_for = json_array();
    for (size_t i = 0; i < window->bits_for_count; i++) {
        json_t *rule = json_pack("[s, i]", window->bits_for[i].pattern, window->bits_for[i].bits);
        if (json_array_append_new(bits_for, rule) != 0) {
            json_decref(bits_for);
            return hc_no_memory(error);
        }
    }
    *json = json_pack("{s:f, s:i, s:i, s:o, s:i, s:s}", "bits", window->bits, "embedding_bits", window->embedding_bits,
                      "head_bits", window->head_bits, "bits_for", bits_for, "window", window->length, "columns",
                      columns_name(window->columns));
    return *json ? HC_OK : hc_no_memory(error);
}

static const char *window_moments(const hc_compress_options *options)
{
    return options->window.columns == HC_COLUMNS_NONE ? "none" : options->window.moments;
}

static size_t window_parameters_max(const hc_compress_options *options)
{
    (void)options;
    return PARAMETERS;
}

/* ---- What is stored ------------------------------------------------------------------------- */

static void part_bytes(const struct hc_window_frame *frame, unsigned k, bool columns, uint64_t bytes[HC_MAX_PARTS])
{
    uint64_t codes = frame->tile_rows * frame->tile_columns * (HC_TILE_WEIGHTS / 8) * k;
    bytes[CODES] = (codes + HC_PART_ALIGNMENT - 1) / HC_PART_ALIGNMENT * HC_PART_ALIGNMENT;
    bytes[SCALES] = frame->rows * sizeof(uint16_t);
    bytes[COLUMNS] = columns ? frame->columns : 0;
}

static json_t *parameters(const struct hc_window_frame *frame, const struct hc_window_code *code)
{
    return json_pack("{s:i, s:i, s:i, s:I, s:i, s:s, s:i}", "k", code->k, "window", code->length, "multiplier",
                     code->multiplier >> (HC_WINDOW_MAX_LENGTH - code->length), "seed", (json_int_t)frame->seed,
                     "block", (int)frame->block, "columns",
                     columns_name(frame->bytes ? HC_COLUMNS_NORM : HC_COLUMNS_NONE), "exponent", frame->exponent);
}

/* The parameters of a piece, read and checked. */
struct stored {
    struct hc_window_code code;
    uint32_t seed;
    unsigned block;
    int exponent;
    bool columns;
};

static bool read_integer(const json_t *json, const char *key, json_int_t least, json_int_t most, json_int_t *value)
{
    const json_t *member = json_object_get(json, key);
    *value = json_integer_value(member);
    return json_is_integer(member) && *value >= least && *value <= most;
}

static hc_status read_parameters(const json_t *json, struct stored *stored, struct hc_error *error)
{
    json_int_t k, length, multiplier, seed, block, exponent;
    const char *columns = json_string_value(json_object_get(json, "columns"));
    bool norm = columns && strcmp(columns, columns_name(HC_COLUMNS_NORM)) == 0;
    if (json_object_size(json) != 7 || !columns || (!norm && strcmp(columns, columns_name(HC_COLUMNS_NONE)) != 0) ||
        !read_integer(json, "k", 1, HC_WINDOW_MAX_K, &k) ||
        !read_integer(json, "window", HC_WINDOW_MIN_LENGTH, HC_WINDOW_MAX_LENGTH, &length) ||
        !read_integer(json, "multiplier", 1, (1 << length) - 1, &multiplier) ||
        !read_integer(json, "seed", 0, UINT32_MAX, &seed) ||
        !read_integer(json, "block", HC_HADAMARD_MIN, HC_HADAMARD_MAX, &block) ||
        !read_integer(json, "exponent", HC_WINDOW_MIN_EXPONENT, 127, &exponent))
        return hc_fail(error, HC_ERR_CORRUPT, "the parameters of window are not of the stated form");
    if (!is_k((int)k) || multiplier % 2 == 0 || (block & (block - 1)) != 0)
        return hc_fail(error, HC_ERR_CORRUPT, "the parameters of window are out of range");
    *stored = (struct stored){.code = *hc_window_code_find((unsigned)k, (unsigned)length),
                              .seed = (uint32_t)seed,
                              .block = (unsigned)block,
                              .exponent = (int)exponent,
                              .columns = norm};
    stored->code.multiplier = (uint16_t)(multiplier << (HC_WINDOW_MAX_LENGTH - length));
    return HC_OK;
}

static hc_status check_shape(const struct stored *stored, const struct hc_shape *shape, struct hc_window_frame *frame,
                             struct hc_error *error)
{
    *frame = (struct hc_window_frame){0};
    if (shape->rows == 0 || shape->rows > HC_WINDOW_MAX_ROWS || shape->columns > HC_WINDOW_MAX_COLUMNS)
        return hc_fail(error, HC_ERR_CORRUPT, "window does not code matrices of such a shape");
    hc_window_frame_shape(frame, shape->rows, shape->columns);
    return hc_window_padded_columns(frame) % stored->block == 0
               ? HC_OK
               : hc_fail(error, HC_ERR_CORRUPT, "blocks of %u do not divide the columns", stored->block);
}

static hc_status window_size(const json_t *json, const struct hc_shape *shape, uint64_t bytes[HC_MAX_PARTS],
                             struct hc_error *error)
{
    struct stored stored;
    struct hc_window_frame frame;
    hc_status status = read_parameters(json, &stored, error);
    if (status == HC_OK)
        status = check_shape(&stored, shape, &frame, error);
    if (status == HC_OK)
        part_bytes(&frame, stored.code.k, stored.columns, bytes);
    return status;
}

static void window_describe(const json_t *json, char *text, size_t size)
{
    struct stored stored;
    if (read_parameters(json, &stored, NULL) != HC_OK) {
        snprintf(text, size, "?");
        return;
    }
    snprintf(text, size, "k %u, L %u%s", stored.code.k, stored.code.length, stored.columns ? "" : ", no column scales");
}

/* ---- From codes to weights ------------------------------------------------------------------ */

struct window_decoder {
    struct hc_window_frame frame;
    struct hc_window_coder coder;
    const uint8_t *codes;
    const uint16_t *scales; /* where they are stored */
    uint16_t *copied;       /* the scales, if they lie at an odd address there */
};

static void window_close(void *handle)
{
    struct window_decoder *decoder = handle;
    if (!decoder)
        return;
    hc_window_frame_free(&decoder->frame);
    hc_window_coder_free(&decoder->coder);
    free(decoder->copied);
    free(decoder);
}

static hc_status open_scales(struct window_decoder *decoder, uint64_t rows, const uint8_t *bytes,
                             struct hc_error *error)
{
    enum { INFINITE = 0x7c00 }; /* negative numbers, infinity and NaN are not below it */
    decoder->scales = (const uint16_t *)(const void *)bytes;
    if ((uintptr_t)bytes % sizeof *decoder->scales != 0) {
        decoder->copied = malloc(rows * sizeof *decoder->copied);
        if (!decoder->copied)
            return hc_no_memory(error);
        decoder->scales = memcpy(decoder->copied, bytes, rows * sizeof *decoder->copied);
    }
    for (uint64_t r = 0; r < rows; r++)
        if (decoder->scales[r] >= INFINITE)
            return hc_fail(error, HC_ERR_CORRUPT, "the scale of row %llu is negative or not finite",
                           (unsigned long long)r);
    return HC_OK;
}

static hc_status window_open(const json_t *json, const struct hc_shape *shape, const uint8_t *const parts[HC_MAX_PARTS],
                             void **handle, struct hc_error *error)
{
    struct stored stored;
    struct window_decoder *decoder = calloc(1, sizeof *decoder);
    hc_status status = decoder ? HC_OK : hc_no_memory(error);
    *handle = NULL;
    if (status != HC_OK)
        return status;
    HC_TRY(read_parameters(json, &stored, error));
    HC_TRY(hc_window_frame_restore(&decoder->frame, shape->rows, shape->columns, stored.block, stored.seed,
                                   stored.exponent, stored.columns ? parts[COLUMNS] : NULL, error));
    HC_TRY(hc_window_coder_init(&decoder->coder, &stored.code, NULL, error));
    HC_TRY(open_scales(decoder, shape->rows, parts[SCALES], error));
    decoder->codes = parts[CODES];
    *handle = decoder;
    decoder = NULL;
done:
    window_close(decoder);
    return status;
}

void hc_window_matrix_take(void *handle, struct hc_window_matrix *matrix)
{
    struct window_decoder *decoder = handle;
    *matrix = (struct hc_window_matrix){decoder->frame, decoder->coder.code, decoder->codes, decoder->scales,
                                        decoder->copied};
    decoder->frame = (struct hc_window_frame){0};
    decoder->copied = NULL;
    free(matrix->frame.bytes);
    free(matrix->frame.to_code);
    matrix->frame.bytes = NULL;
    matrix->frame.to_code = NULL;
}

void hc_window_matrix_free(struct hc_window_matrix *matrix)
{
    hc_window_frame_free(&matrix->frame);
    free(matrix->copied);
    *matrix = (struct hc_window_matrix){0};
}

/* By whole rows. */
static hc_status window_decode(struct hc_engine *engine, void *handle, uint64_t first, uint64_t count, hc_type type,
                               void *out, struct hc_error *error)
{
    struct window_decoder *decoder = handle;
    uint64_t columns = decoder->frame.columns;
    uint64_t begin = first / columns, end = (first + count + columns - 1) / columns;
    size_t width = hc_type_block_bytes(type);
    uint8_t *rows = malloc((end - begin) * columns * width);
    hc_status status = rows ? engine->table->window_decode(engine, &decoder->frame, &decoder->coder, decoder->codes,
                                                           decoder->scales, begin, end - begin, type, rows, error)
                            : hc_no_memory(error);
    if (status == HC_OK)
        memcpy(out, rows + (first - begin * columns) * width, count * width);
    free(rows);
    return status;
}

static hc_status window_compare(struct hc_engine *engine, void *handle, const struct hc_piece *piece, uint64_t first,
                                uint64_t count, struct hc_compare_sum *sum, struct hc_error *error)
{
    struct window_decoder *decoder = handle;
    const struct hc_window_coded coded = {decoder->codes, decoder->scales, 0};
    return engine->table->window_compare(engine, piece, &decoder->frame, &decoder->coder, &coded, first, count, sum,
                                         error);
}

/* ---- From weights to codes ------------------------------------------------------------------ */

static uint32_t seed_of(const struct hc_piece *piece)
{
    return (uint32_t)hc_hash_name(piece->tensor->name, piece->first);
}

/* Rows of tiles that are coded between two ticks: as many for each of the devices. */
static uint64_t stretch_of(const struct hc_window_frame *frame, unsigned length, unsigned width)
{
    uint64_t weights = length > 12 ? STRETCH >> (length - 12) : STRETCH;
    weights = weights > MIN_STRETCH ? weights : MIN_STRETCH;
    uint64_t tile_rows = weights / (HC_TILE * hc_window_padded_columns(frame));
    tile_rows = (tile_rows > 0 ? tile_rows : 1) * width;
    return tile_rows < frame->tile_rows ? tile_rows : frame->tile_rows;
}

/* A piece on its way into the sink. */
struct encoding {
    struct hc_engine *engine;
    const struct hc_piece *piece;
    struct hc_window_frame frame;
    struct hc_window_coder coder;
    uint64_t stretch;  /* rows of tiles at a time */
    uint8_t *codes;    /* of a stretch; those that could not be compared yet stand in front */
    uint16_t *scales;  /* of the piece */
    uint64_t compared; /* weights */
};

static uint64_t row_bytes(const struct encoding *e)
{
    return e->frame.tile_columns * hc_window_tile_bytes(&e->coder);
}

/* The row of tiles in which the first weight lies that could not be compared yet. */
static uint64_t compared_rows(const struct encoding *e)
{
    return e->compared / e->frame.columns / HC_TILE;
}

static hc_status encoding_alloc(struct encoding *e, struct hc_error *error)
{
    /* Less than a block is left, wherever it begins and ends. */
    uint64_t left = HC_BLOCK / (e->frame.columns * HC_TILE) + 2;
    e->codes = malloc((left + e->stretch) * row_bytes(e) + HC_PART_ALIGNMENT);
    e->scales = malloc(e->frame.rows * sizeof *e->scales);
    return e->codes && e->scales ? HC_OK : hc_no_memory(error);
}

static void encoding_free(struct encoding *e)
{
    hc_window_frame_free(&e->frame);
    hc_window_coder_free(&e->coder);
    free(e->codes);
    free(e->scales);
}

/* Compares whole blocks of the rows of tiles before `end`, at the end of the piece the rest, and moves what is left to
 * the front. */
static hc_status compare_coded(struct encoding *e, uint64_t end, struct hc_compare_sum *sum, struct hc_error *error)
{
    uint64_t begin = compared_rows(e), there = end * HC_TILE * e->frame.columns;
    uint64_t to = end == e->frame.tile_rows ? e->piece->weights : there / HC_BLOCK * HC_BLOCK;
    const struct hc_window_coded coded = {e->codes, e->scales + begin * HC_TILE, begin};
    if (to == e->compared)
        return HC_OK;
    hc_status status = e->engine->table->window_compare(e->engine, e->piece, &e->frame, &e->coder, &coded, e->compared,
                                                        to - e->compared, sum, error);
    e->compared = to;
    uint64_t left = compared_rows(e);
    memmove(e->codes, e->codes + (left - begin) * row_bytes(e), (end - left) * row_bytes(e));
    return status;
}

static hc_status encode_stretch(struct encoding *e, uint64_t at, struct hc_sink *sink, struct hc_compare_sum *sum,
                                struct hc_error *error)
{
    uint64_t rest = e->frame.tile_rows - at, tile_rows = rest < e->stretch ? rest : e->stretch;
    uint64_t bytes = tile_rows * row_bytes(e);
    struct hc_window_result result = {.codes = e->codes + (at - compared_rows(e)) * row_bytes(e),
                                      .scales = e->scales + at * HC_TILE};
    hc_status status =
        e->engine->table->window_encode(e->engine, e->piece, &e->frame, &e->coder, at, tile_rows, &result, error);
    if (status == HC_OK && tile_rows == rest) {
        uint64_t all = e->frame.tile_rows * row_bytes(e);
        uint64_t padding = (HC_PART_ALIGNMENT - all % HC_PART_ALIGNMENT) % HC_PART_ALIGNMENT;
        memset(result.codes + bytes, 0, padding);
        bytes += padding;
    }
    if (status == HC_OK)
        status = sink->write(sink, CODES, result.codes, bytes, error);
    return status == HC_OK ? compare_coded(e, at + tile_rows, sum, error) : status;
}

static hc_status encode_stretches(struct encoding *e, struct hc_sink *sink, struct hc_ticker *ticker,
                                  struct hc_compare_sum *sum, struct hc_error *error)
{
    hc_status status = encoding_alloc(e, error);
    for (uint64_t at = 0; status == HC_OK && at < e->frame.tile_rows; at += e->stretch) {
        HC_TRY(encode_stretch(e, at, sink, sum, error));
        uint64_t rows = (at + e->stretch) * HC_TILE;
        if (ticker && !ticker->tick(ticker, (rows < e->frame.rows ? rows : e->frame.rows) * e->frame.columns))
            return hc_fail(error, HC_ERR_CANCELLED, "interrupted");
    }
    if (status == HC_OK)
        status = sink->write(sink, SCALES, e->scales, e->frame.rows * sizeof *e->scales, error);
    if (status == HC_OK && e->frame.bytes)
        status = sink->write(sink, COLUMNS, e->frame.bytes, e->frame.columns, error);
done:
    return status;
}

/* Whether the parts take less than the weights do when they are kept. */
static bool is_smaller(const struct hc_piece *piece, const struct hc_window_frame *frame, unsigned k)
{
    uint64_t bytes[HC_MAX_PARTS];
    hc_type type = hc_type_is_block(piece->tensor->type) ? HC_TYPE_F16 : piece->tensor->type;
    part_bytes(frame, k, frame->bytes != NULL, bytes);
    uint64_t all = bytes[CODES] + bytes[SCALES] + bytes[COLUMNS];
    all = (all + HC_PART_ALIGNMENT - 1) / HC_PART_ALIGNMENT * HC_PART_ALIGNMENT;
    return all < piece->weights * hc_type_block_bytes(type);
}

static hc_status window_encode(struct hc_engine *engine, const struct hc_piece *piece,
                               const hc_compress_options *options, unsigned rate, struct hc_sink *sink,
                               struct hc_ticker *ticker, struct hc_coded *coded, struct hc_error *error)
{
    const hc_window_options *window = &options->window;
    const struct hc_window_code *code = hc_window_code_find(rate, (unsigned)window->length);
    struct encoding e = {.engine = engine, .piece = piece};
    hc_status status;
    HC_TRY(hc_window_frame_fit(&e.frame, engine, piece, window->columns, seed_of(piece), NULL, &coded->kept_because,
                               error));
    if (!coded->kept_because && !is_smaller(piece, &e.frame, rate))
        coded->kept_because = "would not be smaller";
    if (coded->kept_because)
        goto done;
    HC_TRY(hc_window_coder_init(&e.coder, code, engine->kernels, error));
    e.stretch = stretch_of(&e.frame, code->length, hc_engine_width(engine));
    HC_TRY(encode_stretches(&e, sink, ticker, &coded->compare, error));
    coded->parameters = parameters(&e.frame, code);
    if (!coded->parameters)
        status = hc_no_memory(error);
done:
    encoding_free(&e);
    return status;
}

/* ---- Sharing out a rate --------------------------------------------------------------------- */

/* Mean over the columns of h_j s_j^2: what a squared error in the frame means for the outputs. */
static double mean_harm(const struct hc_window_frame *frame, const double *inputs)
{
    double sum = 0;
    for (uint64_t j = 0; j < frame->columns; j++)
        sum += inputs[j] * ((double)frame->from_code[j] * (double)frame->from_code[j]);
    return sum / (double)hc_window_padded_columns(frame);
}

/* Mean of 1 / c_j^2 over the columns that are not zero: what a squared error in every column alike weighs, when errors
 * are taken relative to their columns. */
static double mean_weight(const double *norms2, uint64_t columns)
{
    double sum = 0;
    uint64_t count = 0;
    for (uint64_t j = 0; j < columns; j++)
        if (norms2[j] > 0) {
            sum += 1 / norms2[j];
            count++;
        }
    return count ? sum / (double)count : 0;
}

/* Adds the squared error of a run of tile rows, and counts its rows. */
static hc_status add_sample(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, uint64_t at, uint64_t tile_rows, double *sum,
                            uint64_t *rows, struct hc_error *error)
{
    struct hc_window_result result = {.codes = malloc(tile_rows * frame->tile_columns * hc_window_tile_bytes(coder)),
                                      .residual = calloc(tile_rows * HC_TILE, sizeof *result.residual)};
    hc_status status = result.codes && result.residual ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        status = engine->table->window_encode(engine, piece, frame, coder, at, tile_rows, &result, error);
    for (uint64_t r = 0; status == HC_OK && r < tile_rows * HC_TILE && at * HC_TILE + r < frame->rows; r++, ++*rows)
        *sum += result.residual[r];
    free(result.codes);
    free(result.residual);
    return status;
}

/* The squared error of a piece, from a few runs of tile rows, evenly spread. */
static hc_status sample_error(struct hc_engine *engine, const struct hc_piece *piece,
                              const struct hc_window_frame *frame, const struct hc_window_coder *coder, double *error2,
                              struct hc_error *error)
{
    uint64_t rows = 0, samples = SAMPLE_WEIGHTS / (HC_TILE * hc_window_padded_columns(frame));
    double sum = 0;
    hc_status status = HC_OK;
    samples = samples < 1 ? 1 : samples < frame->tile_rows ? samples : frame->tile_rows;
    uint64_t runs = samples < SAMPLE_RUNS ? samples : SAMPLE_RUNS, length = samples / runs;
    for (uint64_t i = 0; status == HC_OK && i < runs; i++) {
        uint64_t at = (frame->tile_rows - length) * (2 * i + 1) / (2 * runs);
        status = add_sample(engine, piece, frame, coder, at, length, &sum, &rows, error);
    }
    *error2 = status == HC_OK && sum > 0 ? sum * (double)frame->rows / (double)rows : 0;
    return status;
}

/* Errors at each k: measured near the asked rate, a factor of four for each bit elsewhere. */
static hc_status measure_errors(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const hc_window_options *window, double weight,
                                struct hc_rate_tensor *out, struct hc_error *error)
{
    struct hc_window_coder coder = {0};
    hc_status status = HC_OK;
    bool measured[HC_WINDOW_MAX_K + 1] = {false};
    for (int k = 1; k <= HC_WINDOW_MAX_K; k++) {
        measured[k] = is_k(k) && fabs((double)k - window->bits) < SAMPLE_RANGE;
        if (!measured[k])
            continue;
        HC_TRY(hc_window_coder_init(&coder, hc_window_code_find((unsigned)k, (unsigned)window->length), engine->kernels,
                                    error));
        HC_TRY(sample_error(engine, piece, frame, &coder, &out->error[k], error));
        out->error[k] *= weight;
        hc_window_coder_free(&coder);
    }
    for (int k = 2; k <= HC_WINDOW_MAX_K; k++)
        if (!measured[k] && (double)k > window->bits)
            out->error[k] = out->error[k - 1] / 4;
    for (int k = HC_WINDOW_MAX_K - 1; k >= 1; k--)
        if (!measured[k] && (double)k < window->bits)
            out->error[k] = out->error[k + 1] * 4;
done:
    hc_window_coder_free(&coder);
    return status;
}

/* What a tensor costs at each k; of several pieces the first one stands for all. *kept: it will not be coded. */
static hc_status measure_tensor(struct hc_engine *engine, const struct hc_tensor *tensor,
                                const hc_window_options *window, struct hc_rate_tensor *out, bool *kept,
                                struct hc_error *error)
{
    struct hc_piece piece = hc_piece_at(tensor, 0);
    size_t pieces = hc_piece_count(tensor);
    struct hc_window_frame frame = {0};
    const char *because;
    double *norms2 = malloc(piece.columns * sizeof *norms2), *inputs = NULL;
    hc_status status = norms2 ? HC_OK : hc_no_memory(error);
    *out = (struct hc_rate_tensor){.weights = tensor->weights};
    if (status != HC_OK)
        goto done;
    engine->table->hold(engine, &piece);
    HC_TRY(hc_window_frame_fit(&frame, engine, &piece, window->columns, seed_of(&piece), norms2, &because, error));
    *kept = because || !is_smaller(&piece, &frame, 1);
    if (*kept)
        goto done;
    inputs = malloc(piece.columns * sizeof *inputs);
    if (!inputs) {
        status = hc_no_memory(error);
        goto done;
    }
    if (tensor->moments)
        hc_window_inputs(inputs, norms2, tensor->moments);
    double unit = tensor->moments ? mean_harm(&frame, inputs)
                  : frame.bytes   ? 1
                                  : ldexp(mean_weight(norms2, piece.columns), 2 * frame.exponent);
    HC_TRY(measure_errors(engine, &piece, &frame, window, unit * (double)pieces, out, error));
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++) {
        uint64_t bytes[HC_MAX_PARTS];
        if (is_smaller(&piece, &frame, k))
            out->most = k;
        part_bytes(&frame, k, frame.bytes != NULL, bytes);
        uint64_t all = (bytes[CODES] + bytes[SCALES] + bytes[COLUMNS]) * pieces;
        out->bytes[k] = (all + HC_PART_ALIGNMENT - 1) / HC_PART_ALIGNMENT * HC_PART_ALIGNMENT;
    }
done:
    engine->table->let_go(engine);
    hc_window_frame_free(&frame);
    free(norms2);
    free(inputs);
    return status;
}

/* The tensors of a source that share a rate: their numbers, and what is known of them. */
struct sharing {
    size_t count;
    size_t *numbers;
    struct hc_rate_tensor *tensors;
    uint8_t *k;
};

static hc_status gather(struct hc_engine *engine, const struct hc_source *source, const hc_compress_options *options,
                        struct hc_ticker *ticker, struct sharing *sharing, uint8_t *rates, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct hc_tensor *tensor = &source->tensors[i];
        if (hc_kept_because(tensor, options))
            continue;
        int fixed = hc_rate_fixed(tensor, options);
        rates[i] = (uint8_t)(fixed > 0 ? fixed : 1);
        if (fixed >= 0)
            continue;
        bool kept;
        HC_TRY(measure_tensor(engine, tensor, &options->window, &sharing->tensors[sharing->count], &kept, error));
        hc_tensor_drop(tensor);
        if (!kept)
            sharing->numbers[sharing->count++] = i;
        if (ticker && !ticker->tick(ticker, 0))
            return hc_fail(error, HC_ERR_CANCELLED, "interrupted");
    }
done:
    return status;
}

static void tell_rate(const hc_compress_options *options, double reached)
{
    char text[128];
    snprintf(text, sizeof text, "--bits %g: the tensors at hand come to %.4f", options->window.bits, reached);
    if (options->notice && !(fabs(reached - options->window.bits) <= HC_RATE_TOLERANCE))
        options->notice(text, options->user);
}

static void tell_unmatched(const struct hc_source *source, const hc_compress_options *options)
{
    for (size_t i = 0; options->notice && i < options->window.bits_for_count; i++) {
        const char *pattern = options->window.bits_for[i].pattern;
        char text[256];
        snprintf(text, sizeof text, "--bits-for %.200s: matches no tensor", pattern);
        if (!hc_matches_any(source, pattern))
            options->notice(text, options->user);
    }
}

static hc_status window_share(struct hc_engine *engine, const struct hc_source *source,
                              const hc_compress_options *options, struct hc_ticker *ticker, uint8_t *rates,
                              struct hc_error *error)
{
    size_t room = source->tensor_count + 1;
    double reached;
    struct sharing sharing = {.numbers = malloc(room * sizeof *sharing.numbers),
                              .tensors = malloc(room * sizeof *sharing.tensors),
                              .k = malloc(room)};
    hc_status status = sharing.numbers && sharing.tensors && sharing.k ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    tell_unmatched(source, options);
    HC_TRY(gather(engine, source, options, ticker, &sharing, rates, error));
    if (sharing.count == 0)
        goto done;
    HC_TRY(hc_rate_share(sharing.tensors, sharing.count, options->window.bits, sharing.k, &reached, error));
    for (size_t i = 0; i < sharing.count; i++)
        rates[sharing.numbers[i]] = sharing.k[i];
    tell_rate(options, reached);
done:
    free(sharing.numbers);
    free(sharing.tensors);
    free(sharing.k);
    return status;
}

const struct hc_method hc_method_window = {
    .name = "window",
    .parts = {{".hc_codes", HC_TYPE_U8}, {".hc_scales", HC_TYPE_F16}, {".hc_columns", HC_TYPE_U8}},
    .part_count = 3,
    .options = window_options,
    .moments = window_moments,
    .parameters_max = window_parameters_max,
    .share = window_share,
    .encode = window_encode,
    .size = window_size,
    .open = window_open,
    .close = window_close,
    .decode = window_decode,
    .compare = window_compare,
    .describe = window_describe,
};
