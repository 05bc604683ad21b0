#include "command.h"

#include <stdlib.h>
#include <string.h>

struct decompress_state {
    hc_decompress_options options;
    const char *output;
};

static const struct option_spec specs[] = {
    {"output", "DIR|FILE", "the new folder, or a file whose name ends in .safetensors", 'o'},
    {"dtype", "TYPE", "type of the decoded tensors: F64, F32, F16, BF16 (their own)", 0},
    {"force", NULL, "replace the model, or the file, at the output", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct decompress_state *state = calloc(1, sizeof *state);
    if (state)
        hc_decompress_options_init(&state->options);
    return state;
}

static bool set_type(const char *value, int *type)
{
    static const hc_type types[] = {HC_TYPE_F64, HC_TYPE_F32, HC_TYPE_F16, HC_TYPE_BF16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(value, hc_type_name(types[i])) == 0) {
            *type = (int)types[i];
            return true;
        }
    fprintf(stderr, "hyperc: --dtype takes F64, F32, F16 or BF16, not '%s'\n", value);
    return false;
}

static bool set(const char *name, const char *value, void *handle)
{
    struct decompress_state *state = handle;
    if (strcmp(name, "dtype") == 0)
        return set_type(value, &state->options.type);
    if (strcmp(name, "output") == 0)
        state->output = value;
    else
        state->options.force = true;
    return true;
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct decompress_state *state = handle;
    (void)count;
    if (!state->output)
        return report_failure(common, HC_ERR_ARGUMENT, "decompress needs an output: -o DIR or -o FILE.safetensors");

    hc_context *context = NULL;
    hc_status status = open_context(common, &context);
    if (status == HC_OK)
        status = hc_decompress(context, operands[0], state->output, &state->options);
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
    return code;
}

const struct command command_decompress = {
    .name = "decompress",
    .operands = "DIR -o DIR2|FILE.safetensors",
    .summary = "Restore a compressed model as plain safetensors",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
};
