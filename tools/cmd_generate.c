#include "generation.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct generate_state {
    struct generation_options options;
    const char *prompt, *file;
    const char *system; /* NULL: the prompt is continued, else answered */
    bool no_begin;
    struct text text;
    hc_tokens tokens;
    struct running model;
    struct generation generation;
    struct stream stream;
};

static const struct option_spec specs[] = {
    {"prompt", "TEXT", "the text to continue, or with --system to answer; it may be empty", 'p'},
    {"file", "FILE", "the same from a file, - is stdin; a newline at its end does not count", 'f'},
    {"system", "TEXT", "answer the prompt as a user's, in the model's chat format, with this system prompt", 0},
    {"no-bos", NULL, "put nothing before the prompt that the tokenizer puts there", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct generate_state *state = calloc(1, sizeof *state);
    if (state)
        generation_options_init(&state->options);
    return state;
}

static bool set(const char *name, const char *value, void *handle)
{
    struct generate_state *state = handle;
    if (strcmp(name, "prompt") == 0)
        state->prompt = value;
    else if (strcmp(name, "file") == 0)
        state->file = value;
    else if (strcmp(name, "system") == 0)
        state->system = value;
    else if (strcmp(name, "no-bos") == 0)
        state->no_begin = true;
    else
        return generation_set(&state->options, name, value);
    return true;
}

/* The context that was asked for, or one that the text fits in. */
static uint32_t context_for(const struct generate_state *state)
{
    const struct generation_options *options = &state->options;
    size_t needed = state->tokens.count + (options->endless ? 0 : options->most);
    uint32_t usual = needed > USUAL_CONTEXT ? (uint32_t)needed : USUAL_CONTEXT, most = state->model.info.context;
    return options->sequence.context ? options->sequence.context : usual < most ? usual : most;
}

static hc_status tokens_of(struct generate_state *state, const char *prompt, size_t bytes)
{
    const struct running *model = &state->model;
    const hc_turn turns[] = {{"system", state->system}, {"user", prompt}};
    const hc_text_options how = {.begin = !state->no_begin, .special = true};
    if (state->system)
        return hc_chat_tokens(model->context, model->network, turns, 2, time(NULL), &state->tokens);
    return hc_tokenize(model->context, model->network, prompt, bytes, &how, &state->tokens);
}

static int read_prompt(struct generate_state *state, const struct common_options *common)
{
    struct text *text = &state->text;
    if (text->count && text->bytes[text->count - 1] == '\n')
        text->bytes[--text->count] = 0;
    const char *prompt = state->file ? text->bytes : state->prompt;
    size_t bytes = state->file ? text->count : strlen(prompt);
    if (state->system && !state->model.info.chat_template)
        return generation_no_chat(&state->model, common, "without --system the prompt is continued");
    if (state->system && strlen(prompt) < bytes)
        return report_failure(common, HC_ERR_ARGUMENT, "with --system there can be no zero byte in the prompt");
    hc_status status = tokens_of(state, prompt, bytes);
    if (status != HC_OK)
        return running_failure(&state->model, common, status);
    if (state->tokens.count == 0)
        return report_failure(common, HC_ERR_ARGUMENT,
                              "the prompt is empty, and nothing stands before a text of this model to begin from");
    return EXIT_DONE;
}

/* The tokens of the prompt, and everything for its continuation. */
static int prepare(struct generate_state *state, const struct common_options *common)
{
    int code = read_prompt(state, common);
    if (code != EXIT_DONE)
        return code;
    uint32_t context = context_for(state);
    const uint32_t batch = hc_network_batch(state->model.network);
    state->options.sequence.batch = state->tokens.count < batch ? (uint32_t)state->tokens.count : batch;
    hc_status status = generation_begin(&state->generation, &state->model, &state->options, context);
    if (status != HC_OK)
        return running_failure(&state->model, common, status);
    if (state->tokens.count > context) {
        char message[128];
        snprintf(message, sizeof message, "the prompt has %zu tokens, more than the context of %u", state->tokens.count,
                 context);
        return report_failure(common, HC_ERR_ARGUMENT, message);
    }
    return EXIT_DONE;
}

static json_t *token_list(const int32_t *tokens, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_append(&list, json_integer(tokens[i]));
    return list;
}

static int report(struct generate_state *state, const struct common_options *common)
{
    const struct generation *generation = &state->generation;
    size_t written = (size_t)generation->written;
    if (program_rank() > 0)
        return EXIT_DONE;
    if (common->json) {
        json_t *json = json_pack("{s:o, s:o, s:o}", "text", json_text(state->stream.text ? state->stream.text : ""),
                                 "tokens", token_list(generation->tokens + generation->count - written, written),
                                 "prompt", token_list(state->tokens.ids, state->tokens.count));
        generation_json(generation, &json);
        return print_json(json);
    }
    putchar('\n');
    int code = finish_output(EXIT_DONE);
    if (generation->ending == ENDING_CONTEXT)
        fprintf(stderr, "hyperc: note: the context of %u tokens is full\n", generation->context);
    if (!common->quiet)
        generation_print(generation);
    return code;
}

static int write_text(struct generate_state *state, const struct common_options *common)
{
    struct generation *generation = &state->generation;
    bool empty = state->file ? state->text.count == 0 : !*state->prompt;
    bool streamed = true, first = empty || state->system; /* nothing of the same text stands before it */
    state->stream = (struct stream){.print = !common->json && program_rank() == 0,
                                    .stops = state->options.stops,
                                    .stop_count = state->options.stop_count};
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of its write, with a message */
    catch_stop();
    hc_status status = generation_read(generation, state->tokens.ids, state->tokens.count);
    if (status == HC_OK)
        status = generation_write(generation, first, &state->stream, &streamed);
    if (status == HC_ERR_CANCELLED || (status == HC_ERR_RANKS && stop_asked())) /* as all of them may be */
        generation->ending = ENDING_INTERRUPT;
    else if (status != HC_OK)
        return running_failure(&state->model, common, status);
    if (generation->ending == ENDING_INTERRUPT)
        running_leave(&state->model, "interrupted");
    return streamed ? report(state, common) : stream_failure(common);
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct generate_state *state = handle;
    char message[512];
    (void)count;
    if (!state->prompt == !state->file)
        return report_failure(common, HC_ERR_ARGUMENT, "generate needs one prompt: -p TEXT or -f FILE");
    if (state->system && state->no_begin)
        return report_failure(common, HC_ERR_ARGUMENT,
                              "--no-bos is for a text that is continued: with --system the chat template says what "
                              "stands before the prompt");
    if (state->file && !text_read(&state->text, state->file, message, sizeof message))
        return report_failure(common, HC_ERR_IO, message);
    hc_status status = running_open(&state->model, common, &state->options.sharing, operands[0]);
    int code = status == HC_OK ? prepare(state, common) : running_failure(&state->model, common, status);
    if (code == EXIT_DONE)
        code = write_text(state, common);
    if (code != EXIT_DONE)
        running_leave(&state->model, "it could not go on");
    stream_free(&state->stream);
    generation_end(&state->generation);
    hc_tokens_free(&state->tokens);
    running_close(&state->model);
    free(state->text.bytes);
    return code;
}

const struct command command_generate = {
    .name = "generate",
    .operands = "DIR -p TEXT|-f FILE",
    .summary = "Continue a text with a model, compressed or not, or answer it with --system",
    .options = specs,
    .shared_options = generation_specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
    .over_ranks = true,
};
