#include "pair.h"

#include "description.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STRETCH = 1 << 22,      /* weights of a device between two ticks; a multiple of HC_BLOCK */
    MIN_WEIGHTS = 10,       /* smaller tensors stay as they are */
    SAMPLE_BLOCKS = 16,     /* what a side is chosen on */
    FIXED_PARAMETERS = 188, /* longest text of parameters(), its quotes twice */
};

static const double published_side = 0.1;
static const uint32_t published_points[] = {1600};

/* ---- Passes over a piece, stretch by stretch ------------------------------------------------ */

static hc_status tick(struct hc_ticker *ticker, uint64_t weights, struct hc_error *error)
{
    if (ticker && !ticker->tick(ticker, weights))
        return hc_fail(error, HC_ERR_CANCELLED, "interrupted");
    return HC_OK;
}

static uint64_t stretch_of(const struct hc_engine *engine)
{
    return (uint64_t)STRETCH * hc_engine_width(engine);
}

static uint64_t stretch_at(const struct hc_engine *engine, const struct hc_piece *piece, uint64_t first)
{
    uint64_t rest = piece->weights - first, stretch = stretch_of(engine);
    return rest < stretch ? rest : stretch;
}

static hc_status moments(struct hc_engine *engine, const struct hc_piece *piece, struct hc_ticker *ticker,
                         struct hc_moments_sum *sum, struct hc_error *error)
{
    hc_status status = HC_OK;
    memset(sum, 0, sizeof *sum);
    for (uint64_t at = 0; status == HC_OK && at < piece->weights; at += stretch_of(engine)) {
        status = engine->table->pair_moments(engine, piece, at, stretch_at(engine, piece, at), sum, error);
        if (status == HC_OK)
            status = tick(ticker, 0, error);
    }
    return status;
}

static hc_status extent(struct hc_engine *engine, const struct hc_piece *piece, struct hc_ticker *ticker,
                        const struct hc_pair_grid *grid, struct hc_extent_sum *sum, struct hc_error *error)
{
    hc_status status = HC_OK;
    memset(sum, 0, sizeof *sum);
    for (uint64_t at = 0; status == HC_OK && at < piece->weights; at += stretch_of(engine)) {
        status = engine->table->pair_extent(engine, piece, at, stretch_at(engine, piece, at), grid, sum, error);
        if (status == HC_OK)
            status = tick(ticker, 0, error);
    }
    return status;
}

static hc_status try_grids(struct hc_engine *engine, const struct hc_piece *piece, struct hc_ticker *ticker,
                           const struct hc_pair_grid *grids, size_t count, struct hc_search_sum *sums,
                           struct hc_error *error)
{
    hc_status status = HC_OK;
    memset(sums, 0, count * sizeof *sums);
    for (size_t g = 0; g < count; g++)
        sums[g].max_code[0] = sums[g].max_code[1] = -1;
    for (uint64_t at = 0; status == HC_OK && at < piece->weights; at += stretch_of(engine)) {
        status = engine->table->pair_try(engine, piece, at, stretch_at(engine, piece, at), grids, count, sums, error);
        if (status == HC_OK)
            status = tick(ticker, 0, error);
    }
    return status;
}

/* ---- The fit -------------------------------------------------------------------------------- */

hc_status hc_pair_fit_grid(const struct hc_pair_fit *fit, struct hc_pair_grid *grid, struct hc_error *error)
{
    return hc_pair_grid_init(grid, fit->centre, fit->side, fit->points, fit->classes, fit->farthest, fit->pad, error);
}

/* Centre and padding. A piece of NaN is told by *kept_because. */
static hc_status fit_centre(struct hc_engine *engine, const struct hc_piece *piece, struct hc_ticker *ticker,
                            struct hc_pair_fit *fit, const char **kept_because, struct hc_error *error)
{
    struct hc_moments_sum sum;
    hc_status status = moments(engine, piece, ticker, &sum, error);
    if (status != HC_OK)
        return status;
    if (sum.non_finite) {
        *kept_because = "NaN, infinity or beyond float32";
        return HC_OK;
    }
    double pairs = (double)(piece->weights / 2 + piece->weights % 2);
    struct hc_exact_sum all = sum.sum[0];
    hc_exact_add_sum(&all, &sum.sum[1]);
    fit->pad = (float)(hc_exact_value(&all) / (double)piece->weights);
    if (piece->weights % 2)
        hc_exact_add(&sum.sum[1], fit->pad);
    for (int i = 0; i < 2; i++)
        fit->centre[i] = (float)(hc_exact_value(&sum.sum[i]) / pairs);
    return HC_OK;
}

/* Distance of the farthest pair, and how many lie outside the square of fit->side. */
static hc_status fit_extent(struct hc_engine *engine, const struct hc_piece *piece, struct hc_ticker *ticker,
                            struct hc_pair_fit *fit, struct hc_error *error)
{
    struct hc_pair_grid grid = {.centre = {fit->centre[0], fit->centre[1]}, .half = fit->side / 2, .pad = fit->pad};
    struct hc_extent_sum sum;
    hc_status status = extent(engine, piece, ticker, &grid, &sum, error);
    fit->farthest = sqrt(sum.max_distance2);
    fit->outer = sum.outer;
    return status;
}

/* Chooses the classes for fit->side and fit->points: the first count whose error is at most the threshold, else the
 * best. fit->outer must be known. */
static hc_status fit_classes(struct hc_engine *engine, const struct hc_piece *piece, const hc_pair_options *options,
                             struct hc_ticker *ticker, struct hc_pair_fit *fit, struct hc_error *error)
{
    struct hc_pair_grid grids[HC_PAIR_MAX_CLASSES];
    struct hc_search_sum sums[HC_PAIR_MAX_CLASSES];
    size_t count = fit->outer ? options->classes : 1;
    hc_status status;
    for (size_t g = 0; g < count; g++) {
        fit->classes = fit->outer ? (uint32_t)g + 1 : 0;
        HC_TRY(hc_pair_fit_grid(fit, &grids[g], error));
    }
    HC_TRY(try_grids(engine, piece, ticker, grids, count, sums, error));

    size_t best = 0;
    double best_error = INFINITY;
    for (size_t g = 0; g < count; g++) {
        struct hc_exact_sum total = sums[0].error[0];
        hc_exact_add_sum(&total, &sums[g].error[1]);
        double mean = hc_exact_value(&total) / (double)piece->weights;
        if (mean < best_error) {
            best = g;
            best_error = mean;
        }
        if (mean <= options->loss_threshold)
            break;
    }
    fit->classes = grids[best].classes;
    fit->mean_abs_error = best_error;
    int32_t inner = sums[0].max_code[0], outer = sums[best].max_code[1];
    fit->max_code = (uint32_t)(inner > outer ? inner : outer);
    fit->bits = hc_pair_code_bits(fit->max_code);
done:
    return status;
}

/* Tries the point counts in their order until the error is small enough; the last one stays. */
static hc_status fit_points(struct hc_engine *engine, const struct hc_piece *piece, const hc_pair_options *options,
                            struct hc_ticker *ticker, struct hc_pair_fit *fit, struct hc_error *error)
{
    const uint32_t *points = options->point_counts ? options->points : published_points;
    size_t counts = options->point_counts ? options->point_counts : 1;
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < counts; i++) {
        fit->points = points[i];
        status = fit_classes(engine, piece, options, ticker, fit, error);
        if (status == HC_OK && fit->mean_abs_error <= options->loss_max)
            break;
    }
    return status;
}

/* ---- --side auto ---------------------------------------------------------------------------- */

/* Up to SAMPLE_BLOCKS whole blocks, evenly spread; the last block of the piece comes last. */
static void take_sample(const struct hc_piece *piece, const struct hc_kernels *kernels, float *out,
                        struct hc_tensor *sample)
{
    uint64_t blocks = (piece->weights + HC_BLOCK - 1) / HC_BLOCK;
    uint64_t taken = blocks < SAMPLE_BLOCKS ? blocks : SAMPLE_BLOCKS;
    uint64_t weights = 0;
    for (uint64_t i = 0; i < taken; i++) {
        uint64_t block = taken > 1 ? i * (blocks - 1) / (taken - 1) : 0;
        uint64_t first = block * HC_BLOCK;
        uint64_t count = piece->weights - first < HC_BLOCK ? piece->weights - first : HC_BLOCK;
        hc_tensor_read(piece->tensor, kernels, piece->first + first, count, out + weights);
        weights += count;
    }
    *sample = (struct hc_tensor){.name = piece->tensor->name,
                                 .type = HC_TYPE_F32,
                                 .rank = 1,
                                 .shape = {weights},
                                 .weights = weights,
                                 .bytes = weights * sizeof(float),
                                 .data = (const uint8_t *)out};
}

static double spread(const float *weights, uint64_t n, const double centre[2])
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        double d = (double)weights[i] - centre[i % 2];
        sum += d * d;
    }
    return sqrt(sum / (double)n);
}

/* Fits the sample at a side; the farthest pair is that of the whole piece. */
static hc_status fit_sample(struct hc_engine *engine, const struct hc_piece *sample, const hc_pair_options *options,
                            double side, double farthest, struct hc_pair_fit *fit, struct hc_error *error)
{
    fit->side = side;
    hc_status status = fit_extent(engine, sample, NULL, fit, error);
    fit->farthest = farthest;
    if (status == HC_OK)
        status = fit_points(engine, sample, options, NULL, fit, error);
    return status;
}

struct side_search {
    const struct hc_piece *sample;
    const hc_pair_options *options;
    struct hc_pair_fit fit; /* centre, padding; the rest is overwritten */
    double farthest;
    unsigned most_bits;
    double least_error, side; /* the best so far */
};

/* Tries `count` sides, each `ratio` times the one before. */
static hc_status climb(struct hc_engine *engine, struct side_search *search, double from, double ratio, int count,
                       struct hc_error *error)
{
    hc_status status = HC_OK;
    double side = from;
    for (int i = 0; i < count; i++, side *= ratio) {
        if (!(side >= (double)FLT_MIN && side <= (double)FLT_MAX))
            continue; /* no grid has such a side */
        HC_TRY(fit_sample(engine, search->sample, search->options, side, search->farthest, &search->fit, error));
        if (search->fit.bits <= search->most_bits && search->fit.mean_abs_error < search->least_error) {
            search->least_error = search->fit.mean_abs_error;
            search->side = side;
        }
    }
done:
    return status;
}

/* The side of least error on the sample among those that need no more bits than the published one: quarter octaves over
 * the spread of the weights, then sixteenths around the best. Ratios are literals, so that every libm agrees. */
static hc_status choose_side(struct hc_engine *engine, const struct hc_piece *sample, const hc_pair_options *options,
                             const struct hc_pair_fit *whole, double *side, struct hc_error *error)
{
    const double quarter = 1.189207115002721, sixteenth = 1.0442737824274138, three_sixteenths = 1.1387886347566916;
    struct side_search search = {sample, options, *whole, whole->farthest, 0, 0, published_side};
    double rms = spread((const float *)(const void *)sample->tensor->data, sample->weights, whole->centre);
    hc_status status;
    HC_TRY(fit_sample(engine, sample, options, published_side, whole->farthest, &search.fit, error));
    search.most_bits = search.fit.bits;
    search.least_error = search.fit.mean_abs_error;
    if (rms > 0) {
        HC_TRY(climb(engine, &search, rms, quarter, 25, error));
        HC_TRY(climb(engine, &search, search.side / three_sixteenths, sixteenth, 7, error));
    }
    *side = search.side;
done:
    return status;
}

/* Fits with the side that is best for the piece, and with the published one to tell the gain. */
static hc_status fit_side(struct hc_engine *engine, const struct hc_piece *piece, const hc_pair_options *options,
                          struct hc_ticker *ticker, struct hc_pair_fit *fit, struct hc_error *error)
{
    hc_status status;
    float *buffer = malloc(SAMPLE_BLOCKS * HC_BLOCK * sizeof *buffer);
    if (!buffer)
        return hc_no_memory(error);
    struct hc_tensor tensor;
    take_sample(piece, engine->kernels, buffer, &tensor);
    struct hc_piece sample = {&tensor, 0, tensor.weights, 1, tensor.weights};

    fit->side = published_side;
    HC_TRY(fit_extent(engine, piece, ticker, fit, error));
    struct hc_pair_fit published = *fit;
    HC_TRY(fit_points(engine, piece, options, ticker, &published, error));
    HC_TRY(choose_side(engine, &sample, options, fit, &fit->side, error));
    HC_TRY(fit_extent(engine, piece, ticker, fit, error));
    HC_TRY(fit_points(engine, piece, options, ticker, fit, error));
    if (fit->bits > published.bits || fit->mean_abs_error > published.mean_abs_error)
        *fit = published; /* the sample misled */
    fit->published_mean_abs_error = published.mean_abs_error;
done:
    free(buffer);
    return status;
}

hc_status hc_pair_fit(struct hc_engine *engine, const struct hc_piece *piece, const hc_pair_options *options,
                      struct hc_ticker *ticker, struct hc_pair_fit *fit, const char **kept_because,
                      struct hc_error *error)
{
    hc_status status = HC_OK;
    *fit = (struct hc_pair_fit){.side = options->side, .published_mean_abs_error = -1};
    *kept_because = NULL;
    if (piece->weights < MIN_WEIGHTS) {
        *kept_because = "fewer than 10 weights";
        return HC_OK;
    }
    HC_TRY(fit_centre(engine, piece, ticker, fit, kept_because, error));
    if (*kept_because)
        goto done;
    if (options->side > 0) {
        HC_TRY(fit_extent(engine, piece, ticker, fit, error));
        HC_TRY(fit_points(engine, piece, options, ticker, fit, error));
    } else {
        HC_TRY(fit_side(engine, piece, options, ticker, fit, error));
    }
    if (!(fit->mean_abs_error <= options->keep_above))
        *kept_because = "error above the limit";
done:
    return status;
}

/* ---- The method ----------------------------------------------------------------------------- */

static hc_status pair_options(const hc_compress_options *options, json_t **json, struct hc_error *error)
{
    const hc_pair_options *pair = &options->pair;
    if (!(pair->side >= 0) || isinf(pair->side))
        return hc_fail(error, HC_ERR_ARGUMENT, "side: %g is not a positive number", pair->side);
    if (pair->classes < 1 || pair->classes > HC_PAIR_MAX_CLASSES)
        return hc_fail(error, HC_ERR_ARGUMENT, "classes: %u is not in 1 .. %d", pair->classes, HC_PAIR_MAX_CLASSES);
    if (!(pair->loss_max >= 0) || !(pair->loss_threshold >= 0) || !(pair->keep_above >= 0))
        return hc_fail(error, HC_ERR_ARGUMENT, "loss-max, loss-threshold and keep-above must not be negative");
    json_t *points = json_array();
    const uint32_t *list = pair->point_counts ? pair->points : published_points;
    for (size_t i = 0; i < (pair->point_counts ? pair->point_counts : 1); i++) {
        if (list[i] < 1 || list[i] > HC_PAIR_MAX_POINTS ||
            (uint64_t)(list[i] + 1) * (pair->classes + 1) > UINT64_C(1) << HC_PAIR_MAX_BITS) {
            json_decref(points);
            return hc_fail(error, HC_ERR_ARGUMENT, "points: %u with up to %u classes does not fit a code of %d bits",
                           list[i], pair->classes, HC_PAIR_MAX_BITS);
        }
        if (json_array_append_new(points, json_integer(list[i])) != 0) {
            json_decref(points);
            return hc_no_memory(error);
        }
    }
    json_t *side = pair->side > 0 ? json_real(pair->side) : json_string("auto");
    *json = json_pack("{s:o, s:o, s:i, s:f, s:f}", "side", side, "points", points, "classes", (int)pair->classes,
                      "loss_max", pair->loss_max, "loss_threshold", pair->loss_threshold);
    bool whole = *json && (isinf(pair->keep_above) ||
                           json_object_set_new(*json, "keep_above", json_real(pair->keep_above)) == 0);
    return whole ? HC_OK : hc_no_memory(error);
}

static size_t pair_parameters_max(const hc_compress_options *options)
{
    (void)options;
    return FIXED_PARAMETERS;
}

static json_t *parameters(const struct hc_pair_fit *fit)
{
    return json_pack("{s:[f,f], s:f, s:i, s:i, s:f, s:i}", "centre", fit->centre[0], fit->centre[1], "side", fit->side,
                     "points", (int)fit->points, "classes", (int)fit->classes, "farthest", fit->farthest, "bits",
                     (int)fit->bits);
}

static uint64_t code_bytes(uint64_t weights, unsigned bits)
{
    return (((weights / 2 + weights % 2) * bits + 7) / 8);
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + HC_PART_ALIGNMENT - 1) / HC_PART_ALIGNMENT * HC_PART_ALIGNMENT;
}

/* ---- From codes to weights ------------------------------------------------------------------ */

/* The decoder of one piece. A table of the codebook pays once as many codes were asked for as it has entries; the codes
 * before are decoded one by one, so that the work is bounded by the codes, not by what a codebook may be. */
struct pair_decoder {
    struct hc_pair_grid grid;
    const uint8_t *codes;
    unsigned bits;
    uint32_t entries; /* codes there are: those of the grid that fit the bits */
    uint64_t pairs;   /* of the piece */
    uint64_t asked;   /* pairs, so far */
    bool settled;     /* nothing here changes any more */
    float (*table)[2];
};

static void set_codes(struct pair_decoder *decoder, const uint8_t *codes, unsigned bits)
{
    uint32_t codebook = hc_pair_code_count(&decoder->grid), fit = UINT32_C(1) << bits;
    decoder->codes = codes;
    decoder->bits = bits;
    decoder->entries = codebook < fit ? codebook : fit;
}

static hc_status make_table(struct pair_decoder *decoder, struct hc_error *error)
{
    decoder->table = malloc(decoder->entries * sizeof *decoder->table);
    if (!decoder->table)
        return hc_no_memory(error);
    hc_pair_table(&decoder->grid, decoder->entries, decoder->table);
    return HC_OK;
}

/* To be called before `weights` are decoded: makes the table if now is the time. */
static hc_status prepare(struct pair_decoder *decoder, uint64_t weights, struct hc_error *error)
{
    if (decoder->settled)
        return HC_OK;
    decoder->asked += weights / 2 + weights % 2;
    return decoder->table || decoder->asked < decoder->entries ? HC_OK : make_table(decoder, error);
}

bool hc_pair_has_table(const void *handle)
{
    const struct pair_decoder *decoder = handle;
    return decoder->table != NULL;
}

hc_status hc_pair_matrix_view(void *handle, struct hc_pair_matrix *matrix, struct hc_error *error)
{
    struct pair_decoder *decoder = handle;
    hc_status status = decoder->table ? HC_OK : make_table(decoder, error);
    *matrix = (struct hc_pair_matrix){decoder->codes, code_bytes(2 * decoder->pairs, decoder->bits), decoder->bits,
                                      decoder->entries, (const float(*)[2])decoder->table};
    return status;
}

/* Decodes up to a block without the table: `out` has room for whole pairs. */
static hc_status decode_block(const struct pair_decoder *decoder, const struct hc_kernels *kernels, const uint8_t *in,
                              size_t weights, float *out, struct hc_error *error)
{
    uint32_t codes[HC_BLOCK / 2];
    size_t pairs = (weights + 1) / 2;
    kernels->bitpack.unpack(in, pairs, decoder->bits, codes);
    for (size_t i = 0; i < pairs; i++) {
        if (codes[i] >= decoder->entries)
            return hc_fail(error, HC_ERR_CORRUPT, "code %u is not in the codebook", codes[i]);
        hc_pair_value(&decoder->grid, codes[i], out + 2 * i);
    }
    return HC_OK;
}

static size_t block_at(uint64_t count, uint64_t first)
{
    uint64_t rest = count - first;
    return rest < HC_BLOCK ? (size_t)rest : HC_BLOCK;
}

/* As the engine's pair_decode and pair_compare do it, by the table or without it. */
static hc_status decode_codes(struct hc_engine *engine, struct pair_decoder *decoder, const uint8_t *in, uint64_t count,
                              hc_type type, void *out, struct hc_error *error)
{
    float block[HC_BLOCK];
    hc_status status = prepare(decoder, count, error);
    if (status == HC_OK && decoder->table)
        return engine->table->pair_decode(engine, in, count, decoder->bits, (const float(*)[2])decoder->table,
                                          decoder->entries, type, out, error);
    for (uint64_t at = 0; status == HC_OK && at < count; at += HC_BLOCK) {
        size_t n = block_at(count, at);
        status = decode_block(decoder, engine->kernels, in + code_bytes(at, decoder->bits), n, block, error);
        if (status == HC_OK)
            hc_engine_round(engine->kernels, block, n, type, (uint8_t *)out + at * hc_type_block_bytes(type));
    }
    return status;
}

static hc_status compare_codes(struct hc_engine *engine, struct pair_decoder *decoder, const struct hc_piece *piece,
                               uint64_t first, uint64_t count, const uint8_t *in, struct hc_compare_sum *sum,
                               struct hc_error *error)
{
    float weights[HC_BLOCK], decoded[HC_BLOCK];
    hc_status status = prepare(decoder, count, error);
    if (status == HC_OK && decoder->table)
        return engine->table->pair_compare(engine, piece, first, count, in, decoder->bits,
                                           (const float(*)[2])decoder->table, decoder->entries, sum, error);
    for (uint64_t at = 0; status == HC_OK && at < count; at += HC_BLOCK) {
        struct hc_compare result;
        size_t n = block_at(count, at);
        status = decode_block(decoder, engine->kernels, in + code_bytes(at, decoder->bits), n, decoded, error);
        if (status != HC_OK)
            break;
        hc_tensor_read(piece->tensor, engine->kernels, piece->first + first + at, n, weights);
        engine->kernels->compare.block(weights, decoded, n, &result);
        hc_compare_add_block(sum, &result);
    }
    return status;
}

/* ---- From weights to codes ------------------------------------------------------------------ */

/* Codes stretch by stretch, each decoded again and held against the weights before it is written. */
static hc_status encode_stretches(struct hc_engine *engine, const struct hc_piece *piece, struct pair_decoder *decoder,
                                  struct hc_sink *sink, struct hc_ticker *ticker, struct hc_coded *coded,
                                  struct hc_error *error)
{
    hc_status status = HC_OK;
    uint8_t *buffer = malloc(code_bytes(stretch_at(engine, piece, 0), decoder->bits) + HC_PART_ALIGNMENT);
    if (!buffer)
        return hc_no_memory(error);
    for (uint64_t at = 0; at < piece->weights; at += stretch_of(engine)) {
        uint64_t count = stretch_at(engine, piece, at);
        uint64_t bytes = code_bytes(count, decoder->bits);
        HC_TRY(engine->table->pair_encode(engine, piece, at, count, &decoder->grid, decoder->bits, buffer, error));
        HC_TRY(compare_codes(engine, decoder, piece, at, count, buffer, &coded->compare, error));
        if (at + count == piece->weights) {
            uint64_t end = padded(code_bytes(piece->weights, decoder->bits)) - code_bytes(at, decoder->bits);
            memset(buffer + bytes, 0, end - bytes);
            bytes = end;
        }
        HC_TRY(sink->write(sink, 0, buffer, bytes, error));
        HC_TRY(tick(ticker, at + count, error));
    }
done:
    free(buffer);
    return status;
}

static hc_status pair_encode(struct hc_engine *engine, const struct hc_piece *piece, const hc_compress_options *options,
                             unsigned rate, struct hc_sink *sink, struct hc_ticker *ticker, struct hc_coded *coded,
                             struct hc_error *error)
{
    (void)rate;
    struct hc_pair_fit fit;
    struct pair_decoder decoder = {0};
    hc_status status;
    HC_TRY(hc_pair_fit(engine, piece, &options->pair, ticker, &fit, &coded->kept_because, error));
    if (coded->kept_because)
        goto done;
    coded->published_mean_abs_error = fit.published_mean_abs_error;
    HC_TRY(hc_pair_fit_grid(&fit, &decoder.grid, error));
    set_codes(&decoder, NULL, fit.bits);
    HC_TRY(encode_stretches(engine, piece, &decoder, sink, ticker, coded, error));
    coded->parameters = parameters(&fit);
    if (!coded->parameters)
        status = hc_no_memory(error);
done:
    free(decoder.table);
    return status;
}

/* ---- What is stored ------------------------------------------------------------------------- */

static bool in_range(json_int_t value, json_int_t least, json_int_t most)
{
    return value >= least && value <= most;
}

static bool read_integer(const json_t *json, const char *key, json_int_t *value)
{
    const json_t *member = json_object_get(json, key);
    *value = json_integer_value(member);
    return json_is_integer(member);
}

/* Reads and checks the parameters of a piece, and makes its grid. Allocates nothing: what fails here is the file. */
static hc_status read_parameters(const json_t *json, struct hc_pair_fit *fit, struct hc_pair_grid *grid,
                                 struct hc_error *error)
{
    const json_t *centre = json_object_get(json, "centre"), *x = json_array_get(centre, 0),
                 *y = json_array_get(centre, 1);
    const json_t *side = json_object_get(json, "side"), *farthest = json_object_get(json, "farthest");
    json_int_t points, classes, bits;
    if (json_object_size(json) != 6 || json_array_size(centre) != 2 || !json_is_number(x) || !json_is_number(y) ||
        !json_is_number(side) || !json_is_number(farthest) || !read_integer(json, "points", &points) ||
        !read_integer(json, "classes", &classes) || !read_integer(json, "bits", &bits))
        return hc_fail(error, HC_ERR_CORRUPT, "the parameters of pair are not of the stated form");
    if (!in_range(points, 1, HC_PAIR_MAX_POINTS) || !in_range(classes, 0, HC_PAIR_MAX_CLASSES) ||
        !in_range(bits, 1, HC_PAIR_MAX_BITS) || (points + 1) * (classes + 1) > (json_int_t)1 << HC_PAIR_MAX_BITS)
        return hc_fail(error, HC_ERR_CORRUPT, "the parameters of pair are out of range");
    *fit = (struct hc_pair_fit){
        .centre = {json_number_value(x), json_number_value(y)},
        .farthest = json_number_value(farthest),
        .side = json_number_value(side),
        .points = (uint32_t)points,
        .classes = (uint32_t)classes,
        .bits = (unsigned)bits,
    };
    hc_status status = hc_pair_fit_grid(fit, grid, error);
    return status == HC_ERR_ARGUMENT ? HC_ERR_CORRUPT : status; /* here the arguments came from a file */
}

/* Only how many weights there are matters, and that is known of any shape. */
static hc_status pair_size(const json_t *json, const struct hc_shape *shape, uint64_t bytes[HC_MAX_PARTS],
                           struct hc_error *error)
{
    struct hc_pair_fit fit;
    struct hc_pair_grid grid;
    uint64_t weights = (shape->rows ? shape->rows : 1) * shape->columns;
    hc_status status = read_parameters(json, &fit, &grid, error);
    if (status != HC_OK)
        return status;
    if (weights > UINT64_MAX / 2 / HC_PAIR_MAX_BITS)
        return hc_fail(error, HC_ERR_CORRUPT, "too many weights");
    bytes[0] = padded(code_bytes(weights, fit.bits));
    return HC_OK;
}

static void pair_close(void *handle)
{
    struct pair_decoder *decoder = handle;
    if (decoder)
        free(decoder->table);
    free(decoder);
}

static hc_status pair_open(const json_t *json, const struct hc_shape *shape, const uint8_t *const parts[HC_MAX_PARTS],
                           void **handle, struct hc_error *error)
{
    struct hc_pair_fit fit;
    struct pair_decoder *decoder = calloc(1, sizeof *decoder);
    hc_status status = decoder ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        status = read_parameters(json, &fit, &decoder->grid, error);
    if (status == HC_OK) {
        set_codes(decoder, parts[0], fit.bits);
        decoder->pairs = (shape->rows * shape->columns + 1) / 2;
    } else {
        pair_close(decoder);
        decoder = NULL;
    }
    *handle = decoder;
    return status;
}

/* The table is worth its making if there are as many pairs as entries. */
static hc_status pair_settle(void *handle, struct hc_error *error)
{
    struct pair_decoder *decoder = handle;
    hc_status status = prepare(decoder, 2 * decoder->pairs, error);
    decoder->settled = true;
    return status;
}

static hc_status pair_decode(struct hc_engine *engine, void *handle, uint64_t first, uint64_t count, hc_type type,
                             void *out, struct hc_error *error)
{
    struct pair_decoder *decoder = handle;
    return decode_codes(engine, decoder, decoder->codes + code_bytes(first, decoder->bits), count, type, out, error);
}

static hc_status pair_compare(struct hc_engine *engine, void *handle, const struct hc_piece *piece, uint64_t first,
                              uint64_t count, struct hc_compare_sum *sum, struct hc_error *error)
{
    struct pair_decoder *decoder = handle;
    return compare_codes(engine, decoder, piece, first, count, decoder->codes + code_bytes(first, decoder->bits), sum,
                         error);
}

static void pair_describe(const json_t *json, char *text, size_t size)
{
    struct hc_pair_fit fit;
    struct hc_pair_grid grid;
    if (read_parameters(json, &fit, &grid, NULL) != HC_OK) {
        snprintf(text, size, "?");
        return;
    }
    snprintf(text, size, "side %.4g, %u points, %u class%s, %u bits", fit.side, fit.points, fit.classes,
             fit.classes == 1 ? "" : "es", fit.bits);
}

const struct hc_method hc_method_pair = {
    .name = "pair",
    .parts = {{HC_CODES_SUFFIX, HC_TYPE_U8}},
    .part_count = 1,
    .options = pair_options,
    .parameters_max = pair_parameters_max,
    .encode = pair_encode,
    .size = pair_size,
    .open = pair_open,
    .close = pair_close,
    .settle = pair_settle,
    .decode = pair_decode,
    .compare = pair_compare,
    .describe = pair_describe,
};
