#include "generation.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct chat_state {
    struct generation_options options;
    const char *system, *prompt; /* NULL: none */
    struct running model;
    struct generation generation;
    struct stream stream;
    /* The conversation: what the system is told, if anything, then by turns the user's text and the answer; owned
     * texts. */
    hc_turn *turns;
    size_t count, room;
    time_t began;    /* the day that the model is told, if it is: the same to the end, so that it is not read again */
    json_t *answers; /* with --json */
    bool failed;     /* a question was left without an answer */
};

static const struct option_spec specs[] = {
    {"prompt", "TEXT", "what the user says first, before the lines of stdin", 'p'},
    {"system", "TEXT", "what the model is told before the conversation", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct chat_state *state = calloc(1, sizeof *state);
    if (state)
        generation_options_init(&state->options);
    return state;
}

static bool set(const char *name, const char *value, void *handle)
{
    struct chat_state *state = handle;
    if (strcmp(name, "prompt") == 0)
        state->prompt = *value ? value : NULL;
    else if (strcmp(name, "system") == 0)
        state->system = value;
    else
        return generation_set(&state->options, name, value);
    return true;
}

/* ---- The conversation ----------------------------------------------------------------------- */

static hc_status add_turn(struct chat_state *state, const char *role, const char *text)
{
    if (state->count == state->room) {
        size_t room = state->room ? 2 * state->room : 16;
        hc_turn *turns = realloc(state->turns, room * sizeof *turns);
        if (!turns)
            return HC_ERR_MEMORY;
        state->turns = turns;
        state->room = room;
    }
    char *copy = strdup(text);
    if (!copy)
        return HC_ERR_MEMORY;
    state->turns[state->count++] = (hc_turn){role, copy};
    return HC_OK;
}

static void drop_turns(struct chat_state *state, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        free((char *)state->turns[i].text);
    state->count -= count;
    memmove(state->turns + first, state->turns + first + count, (state->count - first) * sizeof *state->turns);
}

/* Room that an answer is to have. */
static uint32_t room_for_answer(const struct chat_state *state)
{
    uint32_t share = state->generation.context / 4, most = state->options.most;
    return !state->options.endless && most < share ? most : share;
}

/* The tokens up to the next answer. Oldest questions and answers are forgotten until there is room for it. */
static hc_status conversation(struct chat_state *state, hc_tokens *tokens)
{
    size_t oldest = state->system != NULL;
    bool forgot = false;
    hc_status status;
    for (;;) {
        *tokens = (hc_tokens){0};
        status = hc_chat_tokens(state->model.context, state->model.network, state->turns, state->count, state->began,
                                tokens);
        if (status != HC_OK || state->count < oldest + 3 ||
            tokens->count + room_for_answer(state) <= state->generation.context)
            break;
        hc_tokens_free(tokens);
        drop_turns(state, oldest, 2);
        forgot = true;
    }
    if (forgot)
        fprintf(stderr, "hyperc: note: the context of %u tokens is full: the oldest turns are forgotten\n",
                state->generation.context);
    return status;
}

/* ---- A question and its answer -------------------------------------------------------------- */

/* Keeps the answer as a turn; a question without one is taken back. */
static hc_status keep_answer(struct chat_state *state)
{
    const char *text = state->stream.count ? state->stream.text : NULL;
    if (state->answers)
        json_append(&state->answers, text ? json_text(text) : json_null());
    if (text)
        return add_turn(state, "assistant", text);
    drop_turns(state, state->count - 1, 1);
    return HC_OK;
}

static int answer(struct chat_state *state, const struct common_options *common, const char *question)
{
    struct generation *generation = &state->generation;
    bool streamed = true;
    hc_tokens tokens = {0};
    hc_status status = add_turn(state, "user", question);
    if (status == HC_OK)
        status = conversation(state, &tokens);
    stream_clear(&state->stream);
    generation->ending = ENDING_INTERRUPT; /* until it has begun */
    if (status == HC_OK && tokens.count > generation->context) {
        fprintf(stderr, "hyperc: this has %zu tokens, more than the context of %u: it is left out\n", tokens.count,
                generation->context);
        state->failed = true;
    } else if (status == HC_OK) {
        status = generation_read(generation, tokens.ids, tokens.count);
        if (status == HC_OK)
            status = generation_write(generation, true, &state->stream, &streamed);
    }
    hc_tokens_free(&tokens);
    if (status == HC_OK || status == HC_ERR_CANCELLED)
        status = keep_answer(state);
    if (status != HC_OK)
        return running_failure(&state->model, common, status);
    return streamed ? EXIT_DONE : stream_failure(common);
}

static int print_end_of_answer(const struct chat_state *state, const struct common_options *common)
{
    if (!common->json)
        putchar('\n');
    int code = common->json ? EXIT_DONE : finish_output(EXIT_DONE);
    if (state->generation.ending == ENDING_CONTEXT)
        fprintf(stderr, "hyperc: note: the context of %u tokens is full: the answer ends here\n",
                state->generation.context);
    return code;
}

/* Takes away the newline at the end, of either kind. False if a zero byte is in the line, which would end it. */
static bool cut_line(char *line, size_t bytes)
{
    bool whole = strlen(line) == bytes;
    if (bytes && line[bytes - 1] == '\n') {
        line[--bytes] = 0;
        if (bytes && line[bytes - 1] == '\r')
            line[--bytes] = 0;
    }
    return whole;
}

/* False where the input ends, with /exit too; *code tells if it cannot be read, or has no text. */
static bool read_line(char **line, size_t *room, const struct common_options *common, int *code)
{
    char message[128];
    ssize_t bytes = getline(line, room, stdin);
    if (bytes >= 0 && cut_line(*line, (size_t)bytes))
        return strcmp(*line, "/exit") != 0;
    if (bytes >= 0) {
        *code = report_failure(common, HC_ERR_ARGUMENT, "there can be no zero byte in a question");
        return false;
    }
    if (!feof(stdin)) {
        snprintf(message, sizeof message, "cannot read the input: %s", strerror(errno));
        *code = report_failure(common, HC_ERR_IO, message);
    }
    return false;
}

/* Only here a signal is a wish to stop the answer. Empty questions do not count. */
static int reply(struct chat_state *state, const struct common_options *common, const char *question)
{
    if (!*question)
        return EXIT_DONE;
    catch_stop();
    int code = answer(state, common, question);
    release_stop();
    return code == EXIT_DONE ? print_end_of_answer(state, common) : code;
}

/* On a terminal what the user says first stands where it would if it were typed. */
static int converse(struct chat_state *state, const struct common_options *common)
{
    bool terminal = isatty(STDIN_FILENO) && !common->json;
    char *line = NULL;
    size_t room = 0;
    if (terminal && state->prompt)
        printf("> %s\n", state->prompt);
    int code = state->prompt ? reply(state, common, state->prompt) : EXIT_DONE;
    while (code == EXIT_DONE) {
        if (terminal) {
            fputs("> ", stdout);
            fflush(stdout);
        }
        if (!read_line(&line, &room, common, &code))
            break;
        code = reply(state, common, line);
    }
    free(line);
    return code;
}

static int report(struct chat_state *state, const struct common_options *common)
{
    int code = state->failed ? EXIT_FAILED : EXIT_DONE;
    if (common->json) {
        json_t *json = json_pack("{s:O}", "answers", state->answers);
        generation_json(&state->generation, &json);
        int printed = print_json(json);
        return printed == EXIT_DONE ? code : printed;
    }
    if (!common->quiet)
        generation_print(&state->generation);
    return code;
}

/* ---- The command ---------------------------------------------------------------------------- */

static hc_status prepare(struct chat_state *state, const struct common_options *common)
{
    uint32_t asked = state->options.sequence.context, most = state->model.info.context;
    uint32_t context = asked ? asked : most < USUAL_CONTEXT ? most : USUAL_CONTEXT;
    state->stream =
        (struct stream){.print = !common->json, .stops = state->options.stops, .stop_count = state->options.stop_count};
    state->began = time(NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of its write, with a message */
    if (common->json && !(state->answers = json_array()))
        return HC_ERR_MEMORY;
    hc_status status = generation_begin(&state->generation, &state->model, &state->options, context);
    if (status == HC_OK && state->system)
        status = add_turn(state, "system", state->system);
    return status;
}

static int talk(struct chat_state *state, const struct common_options *common)
{
    if (!state->model.info.chat_template)
        return generation_no_chat(&state->model, common, "hyperc generate continues a text");
    hc_status status = prepare(state, common);
    if (status != HC_OK)
        return running_failure(&state->model, common, status);
    int code = converse(state, common);
    return code == EXIT_DONE ? report(state, common) : code;
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct chat_state *state = handle;
    (void)count;
    hc_status status = running_open(&state->model, common, &state->options.sharing, operands[0]);
    int code = status == HC_OK ? talk(state, common) : running_failure(&state->model, common, status);
    if (state->count)
        drop_turns(state, 0, state->count);
    free(state->turns);
    json_decref(state->answers);
    stream_free(&state->stream);
    generation_end(&state->generation);
    running_close(&state->model);
    return code;
}

const struct command command_chat = {
    .name = "chat",
    .operands = "DIR",
    .summary = "Talk with a model: a line is a question, /exit or the end of the input ends it",
    .options = specs,
    .shared_options = generation_specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
};
