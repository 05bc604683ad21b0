#include "generation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option_spec generation_specs[] = {
    {"predict", "N", "most tokens of a text (until it ends, or the context is full)", 'n'},
    {"ctx", "N", "tokens of the context (4096, more if the text needs it, at most what the model allows)", 'c'},
    {"temp", "T", "temperature (0.8); 0: always the most likely token", 0},
    {"top-k", "K", "choose among the K most likely tokens (40); 0: all", 0},
    {"top-p", "P", "choose among the most likely tokens that have P of the probability (0.95); 1: all", 0},
    {"min-p", "P", "choose among tokens with P times the probability of the most likely one (0.05); 0: all", 0},
    {"repeat-penalty", "X", "divide logits of recent tokens by X (1: none)", 0},
    {"repeat-last", "N", "how many tokens are recent (64)", 0},
    {"seed", "N", "seed of the choices (default: drawn, and told)", 0},
    {"stop", "TEXT", "end before this text (may be repeated)", 0},
    CACHE_SPEC,
    SPLIT_SPEC,
    LAYERS_SPEC,
    {NULL, NULL, NULL, 0},
};

void generation_options_init(struct generation_options *options)
{
    memset(options, 0, sizeof *options);
    hc_sample_options_init(&options->sampling);
    hc_sequence_options_init(&options->sequence);
    options->sequence.logits = 1;
    options->endless = true;
}

static bool set_stop(struct generation_options *options, const char *value)
{
    if (!*value || options->stop_count == MAX_STOPS) {
        fprintf(stderr, *value ? "hyperc: more than %d times --stop\n" : "hyperc: --stop takes a text\n", MAX_STOPS);
        return false;
    }
    options->stops[options->stop_count++] = value;
    return true;
}

bool generation_set(struct generation_options *options, const char *name, const char *value)
{
    hc_sample_options *sampling = &options->sampling;
    if (strcmp(name, "predict") == 0) {
        options->endless = false;
        return take_count(name, value, 0, &options->most);
    }
    if (strcmp(name, "ctx") == 0)
        return take_count(name, value, 1, &options->sequence.context);
    if (strcmp(name, "temp") == 0)
        return take_real(name, value, 0, 1e30, &sampling->temperature);
    if (strcmp(name, "top-k") == 0)
        return take_count(name, value, 0, &sampling->top_k);
    if (strcmp(name, "top-p") == 0)
        return take_real(name, value, 0, 1, &sampling->top_p);
    if (strcmp(name, "min-p") == 0)
        return take_real(name, value, 0, 1, &sampling->min_p);
    if (strcmp(name, "repeat-penalty") == 0)
        return take_real(name, value, 1e-3, 1e3, &sampling->repeat_penalty);
    if (strcmp(name, "repeat-last") == 0)
        return take_count(name, value, 0, &sampling->repeat_last);
    if (strcmp(name, "cache") == 0)
        return take_cache(name, value, &options->sequence.cache_type);
    if (strcmp(name, "stop") == 0)
        return set_stop(options, value);
    if (strcmp(name, "split") == 0)
        return take_split(name, value, &options->sharing);
    if (strcmp(name, "gpu-layers") == 0)
        return take_layers(name, value, &options->sharing);
    options->seed_given = true;
    return take_seed(name, value, &sampling->seed);
}

const char *ending_name(enum ending ending)
{
    static const char *const names[] = {"end of text", "stop string", "count", "context full", "interrupt"};
    return names[ending];
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

/* Short enough to be typed again. */
static uint32_t drawn_seed(void)
{
    uint32_t seed;
    return getentropy(&seed, sizeof seed) == 0 ? seed : (uint32_t)(uint64_t)(seconds_now() * 1e6);
}

hc_status generation_begin(struct generation *generation, struct running *model,
                           const struct generation_options *options, uint32_t context)
{
    *generation = (struct generation){.model = model, .options = options};
    generation->context = context ? context : model->info.context;
    hc_sequence_options sequence = options->sequence;
    sequence.context = context;
    hc_status status = running_begin(model, &sequence);
    if (status != HC_OK)
        return status;
    hc_sample_options sampling = options->sampling;
    if (!options->seed_given)
        sampling.seed = drawn_seed();
    generation->seed = sampling.seed;
    generation->tokens = calloc((size_t)generation->context + 1, sizeof *generation->tokens);
    if (!generation->tokens)
        return HC_ERR_MEMORY;
    return hc_sampler_create(model->context, model->info.vocabulary, &sampling, &generation->sampler);
}

void generation_end(struct generation *generation)
{
    hc_sampler_destroy(generation->sampler);
    free(generation->tokens);
    generation->sampler = NULL;
    generation->tokens = NULL;
}

/* ---- Reading and writing -------------------------------------------------------------------- */

static hc_status evaluate(struct generation *generation, const int32_t *tokens, size_t count, hc_logits which,
                          struct pace *pace)
{
    double begin = seconds_now();
    hc_status status = hc_evaluate(generation->model->sequence, tokens, count, which, NULL);
    pace->seconds += seconds_now() - begin;
    pace->tokens += status == HC_OK ? count : 0;
    return status;
}

/* Where other processes have some of the layers, this is what waits for them. */
static hc_status choose(const struct generation *generation, int32_t *token, struct pace *pace)
{
    double begin = seconds_now();
    hc_status status = hc_sequence_choose(generation->model->sequence, generation->sampler, token);
    pace->seconds += seconds_now() - begin;
    return status;
}

/* How many of these tokens the sequence has already: at most all but the last, whose logits are wanted. */
static uint32_t known(const struct generation *generation, const int32_t *tokens, size_t count)
{
    uint32_t length = hc_sequence_length(generation->model->sequence), same = 0;
    while (same < length && same + 1 < count && tokens[same] == generation->tokens[same])
        same++;
    return same;
}

hc_status generation_read(struct generation *generation, const int32_t *tokens, size_t count)
{
    hc_sequence *sequence = generation->model->sequence;
    uint32_t at = known(generation, tokens, count), batch = hc_sequence_batch(sequence);
    generation->count = at;
    hc_status status = hc_sequence_cut(sequence, at);
    while (status == HC_OK && at < count) {
        uint32_t piece = count - at < batch ? (uint32_t)(count - at) : batch;
        if (stop_asked())
            return HC_ERR_CANCELLED;
        status = evaluate(generation, tokens + at, piece, at + piece == count ? HC_LOGITS_LAST : HC_LOGITS_NONE,
                          &generation->reading);
        for (uint32_t i = 0; status == HC_OK && i < piece; i++) {
            generation->tokens[generation->count++] = tokens[at + i];
            hc_sampler_accept(generation->sampler, tokens[at + i]);
        }
        at += piece;
    }
    return status;
}

/* Evaluates the last token, unless it was read just now, and chooses the next. What ends the text is not taken. */
static hc_status take_next(struct generation *generation, bool fresh, int32_t *token)
{
    hc_status status = HC_OK;
    if (!fresh)
        status =
            evaluate(generation, &generation->tokens[generation->count - 1], 1, HC_LOGITS_LAST, &generation->writing);
    generation->ending = stop_asked() ? ENDING_INTERRUPT : ENDING_MOST;
    if (status == HC_OK && generation->ending == ENDING_MOST)
        status = choose(generation, token, fresh ? &generation->reading : &generation->writing);
    if (status != HC_OK || generation->ending != ENDING_MOST)
        return status;
    if (hc_token_ends(generation->model->network, *token)) {
        generation->ending = ENDING_TOKEN;
        return HC_OK;
    }
    hc_sampler_accept(generation->sampler, *token);
    generation->tokens[generation->count++] = *token;
    generation->written++;
    return HC_OK;
}

static hc_status show(const struct generation *generation, int32_t token, bool first, struct stream *stream,
                      bool *streamed)
{
    const char *text;
    size_t bytes;
    hc_status status = hc_token_text(generation->model->network, token, first, false, &text, &bytes);
    *streamed = status != HC_OK || stream_add(stream, text, bytes);
    return status;
}

hc_status generation_write(struct generation *generation, bool first, struct stream *stream, bool *streamed)
{
    const struct generation_options *options = generation->options;
    hc_status status = HC_OK;
    *streamed = true;
    generation->ending = ENDING_MOST;
    for (uint32_t n = 0; options->endless || n < options->most; n++) {
        int32_t token;
        status = take_next(generation, n == 0, &token);
        if (status != HC_OK || generation->ending != ENDING_MOST)
            break;
        status = show(generation, token, first && n == 0, stream, streamed);
        generation->ending = stream->stopped                           ? ENDING_STOP
                             : generation->count > generation->context ? ENDING_CONTEXT
                                                                       : ENDING_MOST;
        if (status != HC_OK || !*streamed || generation->ending != ENDING_MOST)
            break;
    }
    if (status == HC_OK && *streamed)
        *streamed = stream_end(stream);
    return status;
}

/* The library knows why: there is no template, none that is known, or no tokenizer. */
int generation_no_chat(const struct running *model, const struct common_options *common, const char *instead)
{
    static const hc_turn turn = {"user", ""};
    hc_tokens none;
    char message[512];
    hc_status status = hc_chat_tokens(model->context, model->network, &turn, 1, 0, &none);
    snprintf(message, sizeof message, "%s%s%s", hc_message(model->context), model->info.has_tokenizer ? "; " : "",
             model->info.has_tokenizer ? instead : "");
    return report_failure(common, status, message);
}

/* ---- Figures -------------------------------------------------------------------------------- */

static double tokens_per_second(const struct pace *pace)
{
    return pace->seconds > 0 ? (double)pace->tokens / pace->seconds : 0;
}

void generation_print(const struct generation *generation)
{
    fprintf(stderr, "hyperc: prompt %" PRIu64 " tokens, %.2f tokens/s; written %" PRIu64 ", %.2f tokens/s",
            generation->reading.tokens, tokens_per_second(&generation->reading), generation->written,
            tokens_per_second(&generation->writing));
    if (generation->options->sampling.temperature > 0)
        fprintf(stderr, "; --seed %" PRIu64, generation->seed);
    fputc('\n', stderr);
}

void generation_json(const struct generation *generation, json_t **json)
{
    json_put(json, "seed", json_integer((json_int_t)generation->seed));
    json_put(json, "context", json_integer(generation->context));
    json_put(json, "batch", json_integer(hc_sequence_batch(generation->model->sequence)));
    json_put(json, "prompt_tokens", json_integer((json_int_t)generation->reading.tokens));
    json_put(json, "prompt_seconds", json_figure(generation->reading.seconds));
    json_put(json, "prompt_tokens_per_second", json_figure(tokens_per_second(&generation->reading)));
    json_put(json, "written_tokens", json_integer((json_int_t)generation->written));
    json_put(json, "written_seconds", json_figure(generation->writing.seconds));
    json_put(json, "written_tokens_per_second", json_figure(tokens_per_second(&generation->writing)));
    json_put(json, "ending", json_string(ending_name(generation->ending)));
}
