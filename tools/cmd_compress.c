#include "command.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERNS = 256, MAX_POINTS = 64 };

struct compress_state {
    hc_compress_options options;
    const char *output;
    const char *only[MAX_PATTERNS], *keep[MAX_PATTERNS];
    uint32_t points[MAX_POINTS];
    /* what the run tells, tensor by tensor */
    hc_model_totals totals;
    struct side_gain gain;
    json_t *tensors;
    bool table;
};

static const struct option_spec specs[] = {
    {"output", "DIR", "the new folder to write", 'o'},
    {"method", "NAME", "pair (default): one code for two weights, as published", 0},
    {"side", "S|auto", "pair: side of the inner square (0.1); auto: the best for each tensor", 0},
    {"points", "LIST", "pair: points of the trajectory, tried in this order (1600)", 0},
    {"classes", "N", "pair: most classes of outer pairs, 1 to 15 (3)", 0},
    {"loss-max", "X", "pair: mean abs error above which the next of --points is tried (0.001)", 0},
    {"loss-threshold", "X", "pair: mean abs error that is good enough to stop adding classes (0.001)", 0},
    {"keep-above", "X", "pair: keep tensors whose mean abs error would exceed X", 0},
    {"only", "PATTERN", "code only tensors whose name matches (may be repeated)", 0},
    {"keep", "PATTERN", "keep tensors whose name matches as they are (may be repeated)", 0},
    {"resume", NULL, "finish an interrupted run", 0},
    {"force", NULL, "replace the model at the output, finished or not", 0},
    {"dry-run", NULL, "measure everything, write nothing; -o may be left out", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct compress_state *state = calloc(1, sizeof *state);
    if (state) {
        hc_compress_options_init(&state->options);
        state->options.only.items = state->only;
        state->options.keep.items = state->keep;
        state->options.pair.points = state->points;
    }
    return state;
}

static bool bad_value(const char *name, const char *what, const char *value)
{
    fprintf(stderr, "hyperc: --%s takes %s, not '%s'\n", name, what, value);
    return false;
}

static bool set_pattern(const char *name, const char *value, const char **items, size_t *count)
{
    if (*count == MAX_PATTERNS) {
        fprintf(stderr, "hyperc: more than %d times --%s\n", MAX_PATTERNS, name);
        return false;
    }
    items[(*count)++] = value;
    return true;
}

static bool set_points(const char *value, struct compress_state *state)
{
    hc_pair_options *pair = &state->options.pair;
    pair->point_counts = 0;
    for (const char *item = value; item;) {
        char text[16];
        uint64_t points;
        size_t length = strcspn(item, ",");
        if (length >= sizeof text || pair->point_counts == MAX_POINTS)
            return bad_value("points", "a list of numbers", value);
        memcpy(text, item, length);
        text[length] = 0;
        if (!parse_count(text, UINT32_MAX - 1, &points) || points == 0)
            return bad_value("points", "a list of numbers", value);
        state->points[pair->point_counts++] = (uint32_t)points;
        item = item[length] ? item + length + 1 : NULL;
    }
    return true;
}

static bool set_real(const char *name, const char *value, double *figure)
{
    return parse_real(value, 0, figure) || bad_value(name, "a number that is not negative", value);
}

static bool set_pair(const char *name, const char *value, struct compress_state *state)
{
    hc_pair_options *pair = &state->options.pair;
    uint64_t count;
    if (strcmp(name, "side") == 0) {
        if (strcmp(value, "auto") == 0)
            pair->side = 0;
        else if (!parse_real(value, 0, &pair->side) || pair->side == 0)
            return bad_value(name, "a positive number or auto", value);
    } else if (strcmp(name, "points") == 0) {
        return set_points(value, state);
    } else if (strcmp(name, "classes") == 0) {
        if (!parse_count(value, 15, &count) || count == 0)
            return bad_value(name, "a number from 1 to 15", value);
        pair->classes = (uint32_t)count;
    } else if (strcmp(name, "loss-max") == 0) {
        return set_real(name, value, &pair->loss_max);
    } else if (strcmp(name, "loss-threshold") == 0) {
        return set_real(name, value, &pair->loss_threshold);
    } else {
        return set_real(name, value, &pair->keep_above);
    }
    return true;
}

static bool set(const char *name, const char *value, void *handle)
{
    struct compress_state *state = handle;
    hc_compress_options *options = &state->options;
    if (strcmp(name, "output") == 0)
        state->output = value;
    else if (strcmp(name, "method") == 0)
        options->method = value;
    else if (strcmp(name, "only") == 0)
        return set_pattern(name, value, state->only, &options->only.count);
    else if (strcmp(name, "keep") == 0)
        return set_pattern(name, value, state->keep, &options->keep.count);
    else if (strcmp(name, "resume") == 0)
        options->resume = true;
    else if (strcmp(name, "force") == 0)
        options->force = true;
    else if (strcmp(name, "dry-run") == 0)
        options->dry_run = true;
    else
        return set_pair(name, value, state);
    return true;
}

/* Gathers what the run tells. A dry run has no files to ask afterwards. */
static void on_tensor(const hc_tensor_info *info, void *user)
{
    struct compress_state *state = user;
    hc_model_totals *totals = &state->totals;
    totals->tensors++;
    totals->weights += info->weights;
    totals->stored_bytes += info->stored_bytes;
    if (info->method) {
        totals->coded_tensors++;
        totals->coded_weights += info->weights;
        totals->coded_bytes += info->stored_bytes;
    }
    side_gain_add(&state->gain, info);
    if (state->table)
        print_table_row(info, 48);
    else if (state->options.dry_run)
        json_append(&state->tensors, tensor_json(info));
}

static void on_notice(const char *text, void *user)
{
    (void)user;
    end_progress();
    fputs("hyperc: note: ", stderr);
    print_text(stderr, text, 0);
    fputc('\n', stderr);
}

static int report_dry_run(struct compress_state *state, const struct common_options *common)
{
    const hc_model_totals *totals = &state->totals;
    double rate = totals->coded_weights ? 8 * (double)totals->coded_bytes / (double)totals->coded_weights : 0;
    if (common->json) {
        json_t *json = json_pack("{s:b, s:O, s:I, s:I, s:f}", "dry_run", 1, "tensors", state->tensors, "coded_weights",
                                 (json_int_t)totals->coded_weights, "coded_bytes", (json_int_t)totals->coded_bytes,
                                 "coded_bits_per_weight", rate);
        if (state->gain.weights > 0)
            json_put(&json, "side_auto", side_gain_json(&state->gain));
        return print_json(json);
    }
    char bytes[32];
    printf("dry run: %llu of %llu tensors would be coded, %llu weights in %s: %.4f bits per weight\n",
           (unsigned long long)totals->coded_tensors, (unsigned long long)totals->tensors,
           (unsigned long long)totals->coded_weights, human_bytes((double)totals->coded_bytes, bytes), rate);
    side_gain_print(&state->gain);
    return finish_output(EXIT_DONE);
}

static hc_status read_totals(hc_context *context, const char *path, hc_model_totals *totals)
{
    hc_model *model = NULL;
    hc_status status = hc_model_open(context, path, &model);
    if (status == HC_OK)
        hc_model_totals_get(model, totals);
    hc_model_close(model);
    return status;
}

/* The totals of what was written, read from the files themselves. */
static int report_result(struct compress_state *state, const struct common_options *common, hc_context *context,
                         const char *input)
{
    hc_model_totals totals, before;
    hc_status status = read_totals(context, input, &before);
    if (status == HC_OK)
        status = read_totals(context, state->output, &totals);
    if (status != HC_OK)
        return report_failure(common, status, hc_message(context));
    if (common->json) {
        json_t *json = json_pack("{s:o, s:I, s:o}", "output", json_text(state->output), "input_file_bytes",
                                 (json_int_t)before.file_bytes, "totals", totals_json(&totals));
        if (state->gain.weights > 0)
            json_put(&json, "side_auto", side_gain_json(&state->gain));
        return print_json(json);
    }
    char a[32], b[32];
    printf("%s\n%s, made of %s\n", state->output, human_bytes((double)totals.file_bytes, a),
           human_bytes((double)before.file_bytes, b));
    print_totals(&totals);
    side_gain_print(&state->gain);
    return finish_output(EXIT_DONE);
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct compress_state *state = handle;
    (void)count;
    if (!state->output && !state->options.dry_run)
        return report_failure(common, HC_ERR_ARGUMENT, "compress needs an output: -o DIR");

    hc_context *context = NULL;
    hc_status status = open_context(common, &context);
    int code;
    state->options.tensor_done = on_tensor;
    state->options.notice = on_notice;
    state->options.user = state;
    state->table = state->options.dry_run && !common->json;
    if (state->options.dry_run && common->json)
        state->tensors = json_array();
    if (state->table)
        print_table_head(48);
    if (status == HC_OK)
        status = hc_compress(context, operands[0], state->output ? state->output : "", &state->options);
    end_progress();
    if (status != HC_OK) {
        code = report_failure(common, status, hc_message(context));
        if (status == HC_ERR_CANCELLED && !state->options.dry_run)
            fputs("hyperc: what is done is kept; the same command with --resume finishes it\n", stderr);
    } else {
        code =
            state->options.dry_run ? report_dry_run(state, common) : report_result(state, common, context, operands[0]);
    }
    json_decref(state->tensors);
    hc_context_destroy(context);
    return code;
}

const struct command command_compress = {
    .name = "compress",
    .operands = "INPUT -o DIR",
    .summary = "Compress a model: a folder, a .safetensors or a .gguf file",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
};
