#include "report.h"
#include "running.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct bench_state {
    hc_sequence_options sequence;
    uint32_t prompt, predict, repeats;
    struct sharing sharing;
    struct running model;
    hc_rank_use *uses; /* of every rank */
    int32_t *tokens;
    float *logits;
};

/* Tokens per second. */
struct speed {
    uint32_t tokens;
    double mean, deviation;
};

static const struct option_spec specs[] = {
    {"prompt", "N", "tokens of a prompt (512); 0: none", 'p'},
    {"predict", "N", "tokens that are evaluated one by one (128); 0: none", 'n'},
    {"repeats", "N", "how often (3), after one time that does not count", 'r'},
    CACHE_SPEC,
    SPLIT_SPEC,
    LAYERS_SPEC,
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct bench_state *state = calloc(1, sizeof *state);
    if (state) {
        hc_sequence_options_init(&state->sequence);
        state->sequence.logits = 1;
        state->prompt = 512;
        state->predict = 128;
        state->repeats = 3;
    }
    return state;
}

static bool set(const char *name, const char *value, void *handle)
{
    struct bench_state *state = handle;
    if (strcmp(name, "prompt") == 0)
        return take_count(name, value, 0, &state->prompt);
    if (strcmp(name, "predict") == 0)
        return take_count(name, value, 0, &state->predict);
    if (strcmp(name, "repeats") == 0)
        return take_count(name, value, 1, &state->repeats);
    if (strcmp(name, "split") == 0)
        return take_split(name, value, &state->sharing);
    if (strcmp(name, "gpu-layers") == 0)
        return take_layers(name, value, &state->sharing);
    return take_cache(name, value, &state->sequence.cache_type);
}

/* ---- Measuring ------------------------------------------------------------------------------ */

/* Any tokens do, if they are not always the same. */
static void fill_tokens(struct bench_state *state, uint32_t count)
{
    uint64_t number = 1;
    for (uint32_t i = 0; i < count; i++) {
        number = number * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        state->tokens[i] = (int32_t)((number >> 33) % state->model.info.vocabulary);
    }
}

/* Evaluates so many tokens from an empty sequence, `piece` at a time. */
static hc_status time_once(struct bench_state *state, uint32_t count, uint32_t piece, double *seconds)
{
    hc_sequence *sequence = state->model.sequence;
    hc_status status = hc_sequence_cut(sequence, 0);
    double start = seconds_now();
    for (uint32_t at = 0; at < count && status == HC_OK; at += piece)
        status = hc_evaluate(sequence, state->tokens + at, piece, HC_LOGITS_LAST, state->logits);
    *seconds = seconds_now() - start;
    return status;
}

static hc_status time_often(struct bench_state *state, uint32_t count, uint32_t piece, struct speed *speed)
{
    double seconds, sum = 0, squares = 0, repeats = state->repeats;
    *speed = (struct speed){.tokens = count};
    if (count == 0)
        return HC_OK;
    hc_status status = time_once(state, count, piece, &seconds);
    for (uint32_t i = 0; i < state->repeats && status == HC_OK; i++) {
        status = time_once(state, count, piece, &seconds);
        double rate = count / seconds;
        sum += rate;
        squares += rate * rate;
    }
    double variance = repeats > 1 ? (squares - sum * sum / repeats) / (repeats - 1) : 0;
    speed->mean = sum / repeats;
    speed->deviation = variance > 0 ? sqrt(variance) : 0;
    return status;
}

/* ---- Telling -------------------------------------------------------------------------------- */

/* Of the whole process so far, mapped files included. */
static double peak_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return 1024 * (double)usage.ru_maxrss;
}

static json_t *speed_json(const struct speed *speed)
{
    return json_pack("{s:I, s:o, s:o}", "tokens", (json_int_t)speed->tokens, "tokens_per_second",
                     json_figure(speed->mean), "deviation", json_figure(speed->deviation));
}

static json_t *uses_json(const struct bench_state *state)
{
    json_t *list = json_array();
    for (int r = 0; r < hc_network_ranks(state->model.network); r++)
        json_append(&list, json_pack("{s:s, s:I, s:I}", "device", state->uses[r].device, "weight_bytes",
                                     (json_int_t)state->uses[r].weight_bytes, "sequence_bytes",
                                     (json_int_t)state->uses[r].sequence_bytes));
    return list;
}

static int print_speeds_json(const struct bench_state *state, const char *path, const struct speed *prompt,
                             const struct speed *predict)
{
    const hc_network_info *info = &state->model.info;
    return print_json(json_pack(
        "{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o, s:o}", "model", json_text(path), "architecture",
        json_text(info->architecture), "weights", (json_int_t)info->weights, "stored_bytes",
        (json_int_t)info->stored_bytes, "sequence_bytes", (json_int_t)hc_sequence_bytes(state->model.sequence),
        "context", (json_int_t)state->sequence.context, "batch", (json_int_t)hc_sequence_batch(state->model.sequence),
        "peak_resident_bytes", json_figure(peak_memory()), "repeats", (json_int_t)state->repeats, "prompt",
        speed_json(prompt), "predict", speed_json(predict), "ranks", uses_json(state)));
}

/* Of several ranks what each holds. */
static void print_uses(const struct bench_state *state)
{
    const int ranks = hc_network_ranks(state->model.network);
    char weights[32], sequence[32];
    for (int r = 0; ranks > 1 && r < ranks; r++)
        printf("rank %d, %s: weights %s, sequence %s\n", r, state->uses[r].device,
               human_bytes((double)state->uses[r].weight_bytes, weights),
               human_bytes((double)state->uses[r].sequence_bytes, sequence));
}

static void print_speed(const char *what, const struct speed *speed)
{
    if (speed->tokens)
        printf("%-8s %6u tokens: %10.2f +- %.2f tokens/s\n", what, speed->tokens, speed->mean, speed->deviation);
}

static int print_speeds(const struct bench_state *state, const char *path, const struct speed *prompt,
                        const struct speed *predict)
{
    const hc_network_info *info = &state->model.info;
    char stored[32], sequence[32], peak[32], rate[32];
    print_text(stdout, path, 0);
    printf(": %s, %llu weights, stored in %s\n", info->architecture, (unsigned long long)info->weights,
           human_bytes((double)info->stored_bytes, stored));
    printf("sequence of %u tokens: %s; resident at the peak, mapped files included: %s\n", state->sequence.context,
           human_bytes((double)hc_sequence_bytes(state->model.sequence), sequence), human_bytes(peak_memory(), peak));
    print_uses(state);
    print_speed("prompt", prompt);
    print_speed("predict", predict);
    if (predict->tokens)
        printf("stored bytes times predicted tokens: %s/s\n",
               human_bytes((double)info->stored_bytes * predict->mean, rate));
    return finish_output(EXIT_DONE);
}

/* ---- The command ---------------------------------------------------------------------------- */

static hc_status measure(struct bench_state *state, struct speed *prompt, struct speed *predict)
{
    uint32_t most = state->prompt > state->predict ? state->prompt : state->predict;
    state->sequence.context = most;
    const uint32_t batch = hc_network_batch(state->model.network);
    state->sequence.batch = state->prompt < 1 ? 1 : state->prompt < batch ? state->prompt : batch;
    hc_status status = running_begin(&state->model, &state->sequence);
    if (status != HC_OK)
        return status;
    state->tokens = calloc(most, sizeof *state->tokens);
    state->logits = calloc(state->model.info.vocabulary, sizeof *state->logits);
    state->uses = calloc((size_t)hc_network_ranks(state->model.network), sizeof *state->uses);
    if (!state->tokens || !state->logits || !state->uses)
        return HC_ERR_MEMORY;
    fill_tokens(state, most);
    status = time_often(state, state->prompt, state->prompt, prompt);
    if (status == HC_OK)
        status = time_often(state, state->predict, 1, predict);
    return status == HC_OK ? hc_sequence_use(state->model.sequence, state->uses) : status;
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct bench_state *state = handle;
    struct speed prompt, predict;
    (void)count;
    if (state->prompt == 0 && state->predict == 0)
        return report_failure(common, HC_ERR_ARGUMENT, "bench needs something to do: -p N or -n N");
    hc_status status = running_open(&state->model, common, &state->sharing, operands[0]);
    if (status == HC_OK)
        status = measure(state, &prompt, &predict);
    int code = status != HC_OK      ? running_failure(&state->model, common, status)
               : program_rank() > 0 ? EXIT_DONE
               : common->json       ? print_speeds_json(state, operands[0], &prompt, &predict)
                                    : print_speeds(state, operands[0], &prompt, &predict);
    free(state->tokens);
    free(state->logits);
    free(state->uses);
    running_close(&state->model);
    return code;
}

const struct command command_bench = {
    .name = "bench",
    .operands = "DIR",
    .summary = "How fast a model reads a prompt and writes, and what memory it takes",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
    .over_ranks = true,
};
