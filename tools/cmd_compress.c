#include "compress_options.h"
#include "devices.h"
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The tensors that share a fractional rate, and what they take. */
struct shared_rate {
    uint64_t tensors, weights, bytes;
};

struct compress_state {
    struct compress_request request;
    /* what the run tells, tensor by tensor */
    hc_model_totals totals;
    struct side_gain gain;
    struct shared_rate shared;
    json_t *tensors;
    bool table;
};

static void *begin(void)
{
    struct compress_state *state = calloc(1, sizeof *state);
    if (state)
        compress_request_init(&state->request);
    return state;
}

static bool set(const char *name, const char *value, void *handle)
{
    return compress_request_set(&((struct compress_state *)handle)->request, name, value);
}

static void shared_rate_add(struct shared_rate *shared, const hc_tensor_info *info, const hc_compress_options *options)
{
    if (!info->method || strcmp(options->method, "window") != 0 || hc_window_bits(info->name, &options->window) >= 0)
        return;
    shared->tensors++;
    shared->weights += info->weights;
    shared->bytes += info->stored_bytes;
}

/* What was asked, what those have that share it, and how far the others move the whole. */
static void shared_rate_print(const struct shared_rate *shared, double asked, double whole)
{
    if (shared->weights)
        printf("--bits %g: %.4f bits per weight over the %" PRIu64 " tensors that share this rate, %.4f over all coded "
               "ones\n",
               asked, 8 * (double)shared->bytes / (double)shared->weights, shared->tensors, whole);
}

static void shared_rate_json(json_t **json, const struct shared_rate *shared, double asked)
{
    if (shared->weights)
        json_put(json, "shared_rate",
                 json_pack("{s:f, s:f, s:I, s:I}", "asked", asked, "reached",
                           8 * (double)shared->bytes / (double)shared->weights, "tensors", (json_int_t)shared->tensors,
                           "weights", (json_int_t)shared->weights));
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
    shared_rate_add(&state->shared, info, &state->request.options);
    if (state->table)
        print_table_row(info, 48);
    else if (state->request.options.dry_run)
        json_append(&state->tensors, tensor_json(info));
}

static void on_notice(const char *text, void *user)
{
    (void)user;
    end_progress();
    fputs("hyperc: note: ", stderr);
    if (program_rank() > 0)
        fprintf(stderr, "rank %d: ", program_rank());
    print_text(stderr, text, 0);
    fputc('\n', stderr);
}

/* What a run tells with files and without. */
static void add_json(json_t **json, const struct compress_state *state, const hc_context *context)
{
    if (state->gain.weights > 0)
        json_put(json, "side_auto", side_gain_json(&state->gain));
    shared_rate_json(json, &state->shared, state->request.options.window.bits);
    if (state->request.options.device_reports)
        json_put(json, "devices", devices_json(context));
}

static int report_dry_run(struct compress_state *state, const struct common_options *common, const hc_context *context)
{
    const hc_model_totals *totals = &state->totals;
    double rate = totals->coded_weights ? 8 * (double)totals->coded_bytes / (double)totals->coded_weights : 0;
    if (common->json) {
        json_t *json = json_pack("{s:b, s:O, s:I, s:I, s:f}", "dry_run", 1, "tensors", state->tensors, "coded_weights",
                                 (json_int_t)totals->coded_weights, "coded_bytes", (json_int_t)totals->coded_bytes,
                                 "coded_bits_per_weight", rate);
        add_json(&json, state, context);
        return print_json(json);
    }
    char bytes[32];
    printf("dry run: %llu of %llu tensors would be coded, %llu weights in %s: %.4f bits per weight\n",
           (unsigned long long)totals->coded_tensors, (unsigned long long)totals->tensors,
           (unsigned long long)totals->coded_weights, human_bytes((double)totals->coded_bytes, bytes), rate);
    shared_rate_print(&state->shared, state->request.options.window.bits, rate);
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
        status = read_totals(context, state->request.output, &totals);
    if (status != HC_OK)
        return report_failure(common, status, hc_message(context));
    if (common->json) {
        json_t *json = json_pack("{s:o, s:I, s:o}", "output", json_text(state->request.output), "input_file_bytes",
                                 (json_int_t)before.file_bytes, "totals", totals_json(&totals));
        add_json(&json, state, context);
        return print_json(json);
    }
    char a[32], b[32];
    printf("%s\n%s, made of %s\n", state->request.output, human_bytes((double)totals.file_bytes, a),
           human_bytes((double)before.file_bytes, b));
    print_totals(&totals);
    shared_rate_print(&state->shared, state->request.options.window.bits, totals.coded_bits_per_weight);
    side_gain_print(&state->gain);
    return finish_output(EXIT_DONE);
}

static hc_status compress(struct compress_state *state, const struct common_options *common, hc_context *context,
                          const char *input)
{
    const hc_compress_options *options = &state->request.options;
    bool devices = options->device_reports && !common->quiet && program_rank() == 0;
    if (devices)
        watch_devices(context);
    hc_status status = hc_compress(context, input, state->request.output ? state->request.output : "", options);
    if (devices && status == HC_OK) {
        end_progress();
        print_devices(stderr, context);
    }
    return status;
}

static bool check(struct compress_state *state, const struct common_options *common, char *text, size_t size)
{
    return is_one_each("speeds", state->request.speeds.count, count_devices(common->device), text, size) &&
           compress_request_check(&state->request, text, size);
}

/* Whether --resume would find something: only where the work in progress has a journal. */
static bool is_begun(const char *output)
{
    static const char journal[] = ".partial/journal";
    size_t length = strlen(output);
    while (length > 1 && output[length - 1] == '/')
        length--;
    char *path = malloc(length + sizeof journal);
    if (!path)
        return false;
    memcpy(path, output, length);
    memcpy(path + length, journal, sizeof journal);
    bool begun = access(path, F_OK) == 0;
    free(path);
    return begun;
}

static hc_status open_with_speeds(const struct common_options *common, const struct device_speeds *speeds,
                                  hc_context **context)
{
    struct common_options with = *common;
    with.speeds = speeds->items;
    with.speed_count = speeds->count;
    return open_context(&with, context);
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct compress_state *state = handle;
    (void)count;
    if (!state->request.output && !state->request.options.dry_run)
        return report_failure(common, HC_ERR_ARGUMENT, "compress needs an output: -o DIR");
    char text[128];
    if (!check(state, common, text, sizeof text))
        return report_failure(common, HC_ERR_ARGUMENT, text);

    hc_context *context = NULL;
    hc_status status = open_with_speeds(common, &state->request.speeds, &context);
    int code;
    state->request.options.tensor_done = on_tensor;
    state->request.options.notice = on_notice;
    state->request.options.user = state;
    state->table = state->request.options.dry_run && !common->json && program_rank() == 0;
    if (state->request.options.dry_run && common->json)
        state->tensors = json_array();
    if (state->table)
        print_table_head(48);
    if (status == HC_OK)
        status = compress(state, common, context, operands[0]);
    end_progress();
    if (status != HC_OK) {
        code = report_failure(common, status, hc_message(context));
        bool ended = status == HC_ERR_CANCELLED || status == HC_ERR_RANKS; /* from outside, in the middle */
        if (ended && !state->request.options.dry_run && program_rank() == 0 && is_begun(state->request.output))
            fputs("hyperc: what is done is kept; the same command with --resume finishes it\n", stderr);
    } else if (program_rank() == 0) {
        code = state->request.options.dry_run ? report_dry_run(state, common, context)
                                              : report_result(state, common, context, operands[0]);
    } else {
        code = EXIT_DONE;
    }
    json_decref(state->tensors);
    hc_context_destroy(context);
    return code;
}

const struct command command_compress = {
    .name = "compress",
    .operands = "INPUT -o DIR",
    .summary = "Compress a model: a folder, a .safetensors or a .gguf file",
    .options = compress_specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
    .over_ranks = true,
};
