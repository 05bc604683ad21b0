/* hc_calibrate: second moments of the inputs of all matrices, measured while the model runs over a text, or while it
 * writes one. */
#include "calibrate.h"

#include "files.h"
#include "meter.h"
#include "philox.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 512, /* positions */
    OWN_WINDOWS = 64,
    BATCH = 128,
    TRIES = 256 /* for a token that has a text */
};
static const uint64_t cache_bytes = UINT64_C(1) << 30; /* of all texts that are written side by side */

void hc_calibrate_options_init(hc_calibrate_options *options)
{
    *options = (hc_calibrate_options){0};
}

/* A run of it. */
struct calibration {
    hc_context *context;
    const hc_calibrate_options *options;
    hc_network *network;
    struct hc_ticker *ticker;
    uint64_t *total;
    struct hc_error *error;
    uint32_t window;    /* positions of a window */
    int32_t begin;      /* the token that every text begins with; -1: none */
    uint64_t positions; /* evaluated so far */
};

static void set_total(struct calibration *c, uint64_t positions)
{
    if (c->total)
        *c->total = positions;
}

static hc_status tick(struct calibration *c, uint32_t positions)
{
    c->positions += positions;
    return c->ticker && !c->ticker->tick(c->ticker, c->positions) ? hc_fail(c->error, HC_ERR_CANCELLED, "interrupted")
                                                                  : HC_OK;
}

/* What the tokenizer puts before an empty text. */
static hc_status find_begin(struct calibration *c)
{
    const hc_text_options text = {.begin = true};
    hc_tokens tokens;
    c->begin = -1;
    if (!c->network->info.has_tokenizer)
        return HC_OK;
    hc_status status = hc_tokenize(c->context, c->network, "", 0, &text, &tokens);
    if (status == HC_OK && tokens.count > 0 && tokens.ids[0] < (int32_t)c->network->decoder.vocabulary)
        c->begin = tokens.ids[0];
    hc_tokens_free(&tokens);
    return status;
}

static hc_status open_sequence(struct calibration *c, uint32_t batch, hc_sequence **sequence)
{
    hc_sequence_options options;
    hc_sequence_options_init(&options);
    options.context = c->window;
    options.batch = batch;
    return hc_sequence_create(c->context, c->network, &options, sequence);
}

/* ---- Over a text ---------------------------------------------------------------------------- */

/* Evaluates tokens behind those that the sequence holds. The output matrix reads all positions too, if it is one of
 * its own. */
static hc_status evaluate(struct calibration *c, hc_sequence *sequence, const int32_t *tokens, size_t count,
                          float *logits)
{
    hc_status status = HC_OK;
    for (size_t at = 0; status == HC_OK && at < count; at += BATCH) {
        size_t n = count - at < BATCH ? count - at : BATCH;
        status = hc_evaluate(sequence, tokens + at, n, logits ? HC_LOGITS_ALL : HC_LOGITS_NONE, logits);
        if (status == HC_OK)
            status = tick(c, (uint32_t)n);
    }
    return status;
}

static hc_status read_windows(struct calibration *c, hc_sequence *sequence, const hc_tokens *tokens)
{
    const struct hc_decoder *decoder = &c->network->decoder;
    const uint32_t first = c->begin >= 0, step = c->window - first;
    const uint64_t windows = (tokens->count + step - 1) / step;
    const uint64_t taken = c->options->windows && c->options->windows < windows ? c->options->windows : windows;
    int32_t *ids = malloc(c->window * sizeof *ids);
    float *logits = decoder->tied ? NULL : malloc((size_t)BATCH * decoder->vocabulary * sizeof *logits);
    hc_status status = ids && (logits || decoder->tied) ? HC_OK : hc_no_memory(c->error);
    set_total(c, taken < windows ? taken * c->window : tokens->count + first * windows);
    for (uint64_t n = 0; status == HC_OK && n < taken; n++) {
        size_t at = n * step, count = tokens->count - at < step ? tokens->count - at : step;
        ids[0] = c->begin;
        memcpy(ids + first, tokens->ids + at, count * sizeof *ids);
        status = hc_sequence_cut(sequence, 0);
        if (status == HC_OK)
            status = evaluate(c, sequence, ids, first + count, logits);
    }
    free(ids);
    free(logits);
    return status;
}

static hc_status read_text(struct calibration *c, struct hc_moments *moments)
{
    const hc_text_options text = {0};
    struct hc_watch watch = {0};
    hc_sequence *sequence = NULL;
    hc_tokens tokens;
    hc_status status = hc_tokenize(c->context, c->network, c->options->text, c->options->bytes, &text, &tokens);
    if (status != HC_OK)
        return status;
    if (tokens.count == 0) {
        status = hc_fail(c->error, HC_ERR_ARGUMENT, "the text is empty");
        goto done;
    }
    HC_TRY(open_sequence(c, BATCH, &sequence));
    HC_TRY(hc_watch_begin(&watch, sequence, 0, c->error));
    HC_TRY(read_windows(c, sequence, &tokens));
    HC_TRY(hc_watch_add(&watch, c->positions, moments, c->error));
done:
    hc_watch_end(&watch);
    hc_sequence_destroy(sequence);
    hc_tokens_free(&tokens);
    return status;
}

/* ---- Over text of its own ------------------------------------------------------------------- */

/* Texts that are written side by side. */
struct writing {
    struct calibration *c;
    struct hc_watch watch;
    uint32_t texts; /* at once */
    hc_sampler **samplers;
    int32_t *tokens;
    float *logits;
};

/* A token that has a text, drawn evenly, as text number `text` begins with; any if none is found. */
static int32_t random_token(const struct calibration *c, uint32_t text)
{
    const uint64_t seed = c->options->seed;
    const uint32_t vocabulary = c->network->decoder.vocabulary;
    int32_t token = 0;
    for (uint32_t i = 0; i < TRIES; i++) {
        uint32_t words[4];
        const char *bytes;
        size_t count = 0;
        hc_philox((uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)}, (uint32_t[]){text, i, 0, 0}, words);
        token = (int32_t)((uint64_t)words[0] * vocabulary >> 32);
        if (!c->network->info.has_tokenizer ||
            (hc_token_text(c->network, token, false, false, &bytes, &count) == HC_OK && count > 0))
            break;
    }
    return token;
}

/* Every text draws from its own numbers, so that it does not depend on how many are written at once. */
static hc_status begin_texts(struct writing *w, uint32_t first)
{
    hc_sample_options options;
    hc_sample_options_init(&options);
    options.temperature = 1;
    options.top_k = 0;
    options.top_p = 1;
    options.min_p = 0;
    hc_status status = HC_OK;
    for (uint32_t i = 0; status == HC_OK && i < w->texts; i++) {
        hc_sampler_destroy(w->samplers[i]);
        w->samplers[i] = NULL;
        options.seed = w->c->options->seed + UINT64_C(0x9E3779B97F4A7C15) * (first + i + 1);
        status = hc_sampler_create(w->c->context, w->c->network->decoder.vocabulary, &options, &w->samplers[i]);
        w->tokens[i] = w->c->begin >= 0 ? w->c->begin : random_token(w->c, first + i);
    }
    hc_watch_restart(&w->watch);
    return status;
}

/* With a token that begins every text, every other text goes on from that alone, and the rest from a random one. */
static int32_t next_token(struct writing *w, uint32_t text, uint32_t first, uint32_t position)
{
    const size_t row = (size_t)text * w->c->network->decoder.vocabulary;
    if (position == 0 && w->c->begin >= 0 && (first + text) % 2 == 1)
        return random_token(w->c, first + text);
    return hc_sampler_choose(w->samplers[text], w->logits + row);
}

static hc_status write_texts(struct writing *w, uint32_t first)
{
    hc_status status = begin_texts(w, first);
    for (uint32_t position = 0; status == HC_OK && position < w->c->window; position++) {
        status = hc_watch_step(&w->watch, w->tokens, w->logits);
        for (uint32_t i = 0; status == HC_OK && i < w->texts; i++)
            w->tokens[i] = next_token(w, i, first, position);
        if (status == HC_OK)
            status = tick(w->c, w->texts);
    }
    return status;
}

/* A divisor of their number, as many as there is memory for. */
static uint32_t texts_at_once(const struct calibration *c, uint32_t windows)
{
    uint64_t bytes = hc_watch_text_bytes(c->network, HC_TYPE_F16, c->window);
    uint32_t most = windows < c->window ? windows : c->window;
    while (most > 1 && (windows % most != 0 || most > OWN_WINDOWS || most * bytes > cache_bytes))
        most--;
    return most;
}

static void writing_free(struct writing *w)
{
    for (uint32_t i = 0; w->samplers && i < w->texts; i++)
        hc_sampler_destroy(w->samplers[i]);
    free(w->samplers);
    free(w->tokens);
    free(w->logits);
}

static hc_status write_text(struct calibration *c, struct hc_moments *moments)
{
    const uint32_t windows = c->options->windows ? c->options->windows : OWN_WINDOWS;
    const uint32_t texts = texts_at_once(c, windows);
    struct writing w = {.c = c, .texts = texts};
    hc_sequence *sequence = NULL;
    hc_status status;
    w.samplers = calloc(texts, sizeof(hc_sampler *));
    w.tokens = malloc(texts * sizeof *w.tokens);
    w.logits = malloc((size_t)texts * c->network->decoder.vocabulary * sizeof *w.logits);
    if (!w.samplers || !w.tokens || !w.logits) {
        status = hc_no_memory(c->error);
        goto done;
    }
    set_total(c, (uint64_t)windows * c->window);
    HC_TRY(open_sequence(c, texts, &sequence));
    HC_TRY(hc_watch_begin(&w.watch, sequence, texts, c->error));
    for (uint32_t first = 0; first < windows; first += texts)
        HC_TRY(write_texts(&w, first));
    HC_TRY(hc_watch_add(&w.watch, c->positions, moments, c->error));
done:
    hc_watch_end(&w.watch);
    hc_sequence_destroy(sequence);
    writing_free(&w);
    return status;
}

/* ---- The whole ------------------------------------------------------------------------------ */

hc_status hc_calibrate_model(hc_context *context, const char *path, const hc_calibrate_options *options,
                             struct hc_ticker *ticker, uint64_t *total, struct hc_moments *moments,
                             struct hc_error *error)
{
    struct calibration c = {.context = context, .options = options, .ticker = ticker, .total = total, .error = error};
    hc_status status;
    HC_TRY(hc_network_load(context, path, true, &c.network, error));
    c.window = options->window ? options->window : WINDOW;
    if (!options->window && c.window > c.network->decoder.context)
        c.window = c.network->decoder.context;
    if (c.window < 2 || c.window > c.network->decoder.context) {
        status = hc_fail(error, HC_ERR_ARGUMENT, "a window of %u tokens: 2 to %u, which the model allows", c.window,
                         c.network->decoder.context);
        goto done;
    }
    HC_TRY(find_begin(&c));
    HC_TRY(options->text ? read_text(&c, moments) : write_text(&c, moments));
done:
    hc_network_close(c.network);
    return status;
}

struct calibrate_ticker {
    struct hc_ticker ticker;
    struct hc_meter meter;
};

static bool calibrate_tick(struct hc_ticker *ticker, uint64_t positions)
{
    return hc_meter_report(&((struct calibrate_ticker *)ticker)->meter, positions, NULL) == HC_OK;
}

hc_status hc_calibrate(hc_context *context, const char *path, const char *output, const hc_calibrate_options *options)
{
    struct hc_error *error = &context->error;
    struct calibrate_ticker ticker = {.ticker = {calibrate_tick}};
    hc_calibrate_options defaults;
    struct hc_moments *moments = NULL;
    hc_status status;
    hc_calibrate_options_init(&defaults);
    options = options ? options : &defaults;
    if (context->comm.ranks > 1 || context->device_count > 1)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "calibrating runs on one device, in one process");
    if (hc_path_exists(output))
        return hc_fail(error, HC_ERR_EXISTS, "%s: is there already", output);
    hc_meter_begin(&ticker.meter, context, 0, 0);
    HC_TRY(hc_moments_create(options->text ? "text" : "self", &moments, error));
    HC_TRY(hc_calibrate_model(context, path, options, &ticker.ticker, &ticker.meter.progress.weights_total, moments,
                              error));
    HC_TRY(hc_moments_write(moments, output, error));
done:
    hc_meter_end(&ticker.meter);
    hc_moments_destroy(moments);
    return status;
}
