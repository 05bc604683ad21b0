#include "running.h"

#include <stdlib.h>
#include <string.h>

struct calibrate_state {
    hc_calibrate_options options;
    const char *output, *file;
};

static const struct option_spec specs[] = {
    {"output", "FILE", "the new file, for compress --moments", 'o'},
    {"file", "TEXT", "the text to run over, - is stdin (default: one that the model writes)", 'f'},
    {"ctx", "N", "tokens of a window (512)", 'c'},
    {"chunks", "N", "windows at most (all of the text, or 64 of the model's own)", 0},
    {"seed", "N", "seed of the text that the model writes (0)", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct calibrate_state *state = calloc(1, sizeof *state);
    if (state)
        hc_calibrate_options_init(&state->options);
    return state;
}

static bool set(const char *name, const char *value, void *handle)
{
    struct calibrate_state *state = handle;
    if (strcmp(name, "ctx") == 0)
        return take_count(name, value, 1, &state->options.window);
    if (strcmp(name, "chunks") == 0)
        return take_count(name, value, 1, &state->options.windows);
    if (strcmp(name, "seed") == 0)
        return take_seed(name, value, &state->options.seed);
    if (strcmp(name, "output") == 0)
        state->output = value;
    else
        state->file = value;
    return true;
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct calibrate_state *state = handle;
    struct text text = {0};
    char message[512];
    (void)count;
    if (!state->output)
        return report_failure(common, HC_ERR_ARGUMENT, "calibrate needs an output: -o FILE");
    if (state->file && !text_read(&text, state->file, message, sizeof message))
        return report_failure(common, HC_ERR_IO, message);
    hc_context *context = NULL;
    hc_status status = open_context(common, &context);
    state->options.text = text.bytes;
    state->options.bytes = text.count;
    if (status == HC_OK)
        status = hc_calibrate(context, operands[0], state->output, &state->options);
    end_progress();
    int code;
    if (status != HC_OK) {
        code = report_failure(common, status, hc_message(context));
    } else if (common->json) {
        code = print_json(json_pack("{s:o}", "output", json_text(state->output)));
    } else {
        printf("%s\n", state->output);
        code = finish_output(EXIT_DONE);
    }
    hc_context_destroy(context);
    free(text.bytes);
    return code;
}

const struct command command_calibrate = {
    .name = "calibrate",
    .operands = "DIR -o FILE",
    .summary = "Measure what the layers of a model are told, for compress --moments",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
};
