#include "report.h"
#include "scoring.h"
#include "windows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* So many positions of a window are evaluated at a time, and of those that count no more than have logits that fit
 * here, at least one. */
enum { MOST_POSITIONS = 2048, LOGIT_BYTES = 256 << 20 };

struct perplexity_state {
    hc_sequence_options sequence;
    enum protocol protocol;
    const char *file, *against;
    uint32_t chunks;
    struct sharing sharing;
    struct text text;
    struct windows windows;
    struct running models[2]; /* the second is the reference */
    size_t model_count;
    float *logits[2];
    uint32_t rows;
    struct scores scores;
    double begin;
};

static const struct option_spec specs[] = {
    {"file", "TEXT", "the text; - is stdin", 'f'},
    {"protocol", "NAME", "hf (default): whole windows; llama.cpp: their second halves; lines: line by line", 0},
    {"ctx", "N", "tokens of a window; predictions of a line (512)", 'c'},
    {"chunks", "N", "windows at most (all)", 0},
    {"against", "DIR0", "also tell how far the model is from this one", 0},
    CACHE_SPEC,
    SPLIT_SPEC,
    LAYERS_SPEC,
    {NULL, NULL, NULL, 0},
};

static const char *const protocol_names[] = {"hf", "llama.cpp", "lines"};

static void *begin(void)
{
    struct perplexity_state *state = calloc(1, sizeof *state);
    if (state) {
        hc_sequence_options_init(&state->sequence);
        state->sequence.context = 512;
    }
    return state;
}

static bool set_protocol(const char *value, enum protocol *protocol)
{
    for (size_t i = 0; i < sizeof protocol_names / sizeof *protocol_names; i++)
        if (strcmp(value, protocol_names[i]) == 0) {
            *protocol = (enum protocol)i;
            return true;
        }
    return bad_value("protocol", "hf, llama.cpp or lines", value);
}

static bool set(const char *name, const char *value, void *handle)
{
    struct perplexity_state *state = handle;
    if (strcmp(name, "protocol") == 0)
        return set_protocol(value, &state->protocol);
    if (strcmp(name, "ctx") == 0)
        return take_count(name, value, 2, &state->sequence.context);
    if (strcmp(name, "chunks") == 0)
        return take_count(name, value, 1, &state->chunks);
    if (strcmp(name, "cache") == 0)
        return take_cache(name, value, &state->sequence.cache_type);
    if (strcmp(name, "split") == 0)
        return take_split(name, value, &state->sharing);
    if (strcmp(name, "gpu-layers") == 0)
        return take_layers(name, value, &state->sharing);
    if (strcmp(name, "file") == 0)
        state->file = value;
    else
        state->against = value;
    return true;
}

/* ---- Measuring ------------------------------------------------------------------------------ */

static void show_progress(struct perplexity_state *state, const struct common_options *common, size_t done)
{
    double seconds = seconds_now() - state->begin;
    if (!progress_due(common, seconds))
        return;
    char text[128], time[16];
    double left = seconds / (double)done * (double)(state->windows.count - done);
    snprintf(text, sizeof text, "%zu of %zu windows, perplexity %.4f, %s left", done, state->windows.count,
             perplexity_of(&state->scores.loss).value, human_time(left, time));
    progress_line(text);
}

/* The same step for both models; *failed is the one that could not. */
static hc_status evaluate(struct perplexity_state *state, const int32_t *tokens, uint32_t count, hc_logits which,
                          const struct running **failed)
{
    hc_status status = HC_OK;
    for (size_t m = 0; m < state->model_count && status == HC_OK; m++) {
        *failed = &state->models[m];
        status = hc_evaluate(state->models[m].sequence, tokens, count, which,
                             which == HC_LOGITS_NONE ? NULL : state->logits[m]);
    }
    return status;
}

static hc_status score_rows(struct perplexity_state *state, const int32_t *next, uint32_t rows)
{
    size_t vocabulary = state->models[0].info.vocabulary;
    for (uint32_t i = 0; i < rows; i++) {
        const float *reference = state->model_count > 1 ? state->logits[1] + i * vocabulary : NULL;
        if (!scores_add(&state->scores, state->logits[0] + i * vocabulary, reference, (uint32_t)vocabulary, next[i]))
            return HC_ERR_MEMORY;
    }
    return HC_OK;
}

static hc_status score_window(struct perplexity_state *state, const struct window *window,
                              const struct running **failed)
{
    const int32_t *tokens = state->windows.tokens + window->begin;
    uint32_t last = window->count - 1;
    hc_status status = HC_OK;
    for (size_t m = 0; m < state->model_count && status == HC_OK; m++) {
        *failed = &state->models[m];
        status = hc_sequence_cut(state->models[m].sequence, 0);
    }
    if (status == HC_OK && window->scored)
        status = evaluate(state, tokens, window->scored, HC_LOGITS_NONE, failed);
    for (uint32_t at = window->scored, rows; status == HC_OK && at < last; at += rows) {
        rows = last - at < state->rows ? last - at : state->rows;
        status = stop_asked() ? HC_ERR_CANCELLED : evaluate(state, tokens + at, rows, HC_LOGITS_ALL, failed);
        if (status == HC_OK)
            status = score_rows(state, tokens + at + 1, rows);
    }
    return status;
}

static hc_status measure(struct perplexity_state *state, const struct common_options *common,
                         const struct running **failed)
{
    hc_status status = HC_OK;
    state->begin = seconds_now();
    catch_stop();
    for (size_t w = 0; w < state->windows.count && status == HC_OK; w++) {
        status = score_window(state, &state->windows.items[w], failed);
        if (status == HC_OK)
            show_progress(state, common, w + 1);
    }
    end_progress();
    return status;
}

/* ---- Telling -------------------------------------------------------------------------------- */

struct figures {
    struct estimate perplexity, reference, drift, drift_percentile, agreement;
    double seconds;
};

static void put_estimate(json_t **json, const char *name, struct estimate estimate)
{
    json_put(
        json, name,
        json_pack("{s:o, s:o}", "value", json_figure(estimate.value), "standard_error", json_figure(estimate.error)));
}

static int print_figures_json(const struct perplexity_state *state, const struct figures *figures)
{
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "protocol", protocol_names[state->protocol], "ctx",
                  (json_int_t)state->sequence.context, "batch",
                  (json_int_t)hc_sequence_batch(state->models[0].sequence), "windows", (json_int_t)state->windows.count,
                  "predictions", (json_int_t)state->scores.loss.count, "seconds", json_figure(figures->seconds));
    put_estimate(&json, "perplexity", figures->perplexity);
    if (state->model_count > 1) {
        json_put(&json, "against", json_text(state->against));
        put_estimate(&json, "perplexity_against", figures->reference);
        put_estimate(&json, "kl_divergence", figures->drift);
        put_estimate(&json, "kl_divergence_at_99_9_percent", figures->drift_percentile);
        put_estimate(&json, "top_1_agreement", figures->agreement);
    }
    return print_json(json);
}

static void print_estimate(const char *before, struct estimate estimate, int digits)
{
    printf("%s%.*f +- ", before, digits, estimate.value);
    if (isfinite(estimate.error))
        printf("%.*f", digits, estimate.error);
    else
        fputs("unknown", stdout);
}

static int print_figures(const struct perplexity_state *state, const struct figures *figures)
{
    print_estimate("perplexity ", figures->perplexity, 4);
    printf(" (--protocol %s --ctx %u: %zu windows, %zu predictions, %.1f s)\n", protocol_names[state->protocol],
           state->sequence.context, state->windows.count, state->scores.loss.count, figures->seconds);
    if (state->model_count > 1) {
        fputs("against ", stdout);
        print_text(stdout, state->against, 0);
        print_estimate(": perplexity ", figures->reference, 4);
        print_estimate("\nKL divergence ", figures->drift, 6);
        print_estimate(" nats, 99.9 % of them up to ", figures->drift_percentile, 4);
        const struct estimate agreement = {100 * figures->agreement.value, 100 * figures->agreement.error};
        print_estimate("\nthe same most likely token at ", agreement, 3);
        puts(" % of the positions");
    }
    return finish_output(EXIT_DONE);
}

static int report(struct perplexity_state *state, const struct common_options *common)
{
    struct figures figures = {.perplexity = perplexity_of(&state->scores.loss),
                              .seconds = seconds_now() - state->begin};
    if (state->model_count > 1) {
        figures.reference = perplexity_of(&state->scores.reference_loss);
        figures.drift = mean_of(&state->scores.drift);
        figures.drift_percentile = percentile_of(&state->scores.drift, 0.999);
        figures.agreement = agreement_of(&state->scores);
    }
    if (program_rank() > 0)
        return EXIT_DONE;
    return common->json ? print_figures_json(state, &figures) : print_figures(state, &figures);
}

/* ---- The command ---------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Windows go through the model in as few pieces as memory allows; where layers were placed by what memory is free, that
 * counted on HC_DEFAULT_BATCH. */
static void choose_batch(struct perplexity_state *state)
{
    const uint32_t fit = (uint32_t)(LOGIT_BYTES / sizeof(float) / state->models[0].info.vocabulary);
    const uint32_t most = state->sharing.apart ? HC_DEFAULT_BATCH : MOST_POSITIONS;
    uint32_t before = 1, counted = 1;
    for (size_t w = 0; w < state->windows.count; w++) {
        const struct window *window = &state->windows.items[w];
        before = before > window->scored ? before : window->scored;
        counted = counted > window->count - 1 - window->scored ? counted : window->count - 1 - window->scored;
    }
    state->rows = least(least(counted, most), fit > 0 ? fit : 1);
    before = least(before, most);
    state->sequence.batch = before > state->rows ? before : state->rows;
    state->sequence.logits = state->rows;
}

/* The windows, and a sequence and room for logits of every model. */
static int prepare(struct perplexity_state *state, const struct common_options *common)
{
    const struct running *model = &state->models[0];
    const uint32_t vocabulary = model->info.vocabulary;
    char message[128];
    if (state->model_count > 1 && state->models[1].info.vocabulary != vocabulary) {
        snprintf(message, sizeof message, "the models have vocabularies of %u and of %u tokens", vocabulary,
                 state->models[1].info.vocabulary);
        return report_failure(common, HC_ERR_ARGUMENT, message);
    }
    hc_status status =
        windows_make(&state->windows, model, state->protocol, &state->text, state->sequence.context, state->chunks);
    if (status != HC_OK)
        return *state->windows.message ? report_failure(common, status, state->windows.message)
                                       : running_failure(model, common, status);
    choose_batch(state);
    for (size_t m = 0; m < state->model_count; m++) {
        status = running_begin(&state->models[m], &state->sequence);
        if (status == HC_OK && !(state->logits[m] = calloc((size_t)state->rows * vocabulary, sizeof(float))))
            status = HC_ERR_MEMORY;
        if (status != HC_OK)
            return running_failure(&state->models[m], common, status);
    }
    return EXIT_DONE;
}

static int open_models(struct perplexity_state *state, const struct common_options *common, const char *path)
{
    struct running *models = state->models;
    hc_status status = running_open(&models[0], common, &state->sharing, path);
    if (status != HC_OK)
        return running_failure(&models[0], common, status);
    state->model_count = 1;
    if (!state->against)
        return EXIT_DONE;
    state->model_count = 2;
    status = running_open_beside(&models[1], &models[0], state->against);
    return status == HC_OK ? EXIT_DONE : running_failure(&models[1], common, status);
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct perplexity_state *state = handle;
    char message[512];
    (void)count;
    if (!state->file)
        return report_failure(common, HC_ERR_ARGUMENT, "perplexity needs a text: -f FILE");
    if (!text_read(&state->text, state->file, message, sizeof message))
        return report_failure(common, HC_ERR_IO, message);
    int code = open_models(state, common, operands[0]);
    if (code == EXIT_DONE)
        code = prepare(state, common);
    if (code == EXIT_DONE) {
        const struct running *failed = &state->models[0];
        hc_status status = measure(state, common, &failed);
        code = status == HC_OK ? report(state, common) : running_failure(failed, common, status);
    }
    if (code != EXIT_DONE)
        running_leave(&state->models[0], "it could not go on");
    scores_free(&state->scores);
    windows_free(&state->windows);
    for (size_t m = 2; m-- > 0;) {
        free(state->logits[m]);
        running_close(&state->models[m]);
    }
    free(state->text.bytes);
    return code;
}

const struct command command_perplexity = {
    .name = "perplexity",
    .operands = "DIR -f TEXT",
    .summary = "How well a model predicts a text, and how far it is from another",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
    .over_ranks = true,
};
