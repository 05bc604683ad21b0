/* Second moments: the file, propagation through weights, measuring, and what they do to column scales. */
#include "../../models/decoder_moments.h"
#include "../golden/golden.h"

#include <hyperc/run.h>

#include "moments_choice.h"
#include "selection.h"
#include "watch.h"
#include "window.h"

static void check_relative(double value, double expected, double tolerance, const char *what)
{
    cr_assert(fabs(value - expected) <= tolerance * fabs(expected), "%s: %.9g, not %.9g", what, value, expected);
}

/* ---- SwiGLU --------------------------------------------------------------------------------- */

/* Simpson's rule over 12 standard deviations on either side. */
static double silu_moment(double deviation)
{
    enum { STEPS = 200000 };
    const double step = 24.0 / STEPS;
    double sum = 0;
    for (int i = 0; i <= STEPS; i++) {
        double z = -12 + step * i, x = deviation * z, silu = x / (1 + exp(-x));
        sum += silu * silu * exp(-z * z / 2) * (i == 0 || i == STEPS ? 1 : i % 2 ? 4 : 2);
    }
    return sum * step / 3 / sqrt(2 * acos(-1));
}

Test(moments, silu)
{
    for (double deviation = 1e-3; deviation < 2000; deviation *= 1.37)
        check_relative(hc_silu_moment(deviation * deviation), silu_moment(deviation), 1e-4, "E[silu^2]");
    check_relative(hc_silu_moment(1e-20), 0.25e-20, 1e-4, "small");
    check_relative(hc_silu_moment(1e30), 0.5e30, 1e-4, "large");
    cr_assert_eq(hc_silu_moment(0), 0);
}

/* ---- The set -------------------------------------------------------------------------------- */

static struct hc_moments *new_moments(void)
{
    struct hc_moments *moments;
    cr_assert_eq(hc_moments_create("weights", &moments, NULL), HC_OK);
    return moments;
}

Test(moments, set)
{
    static const char *const names[] = {"m", "a", "z", "b", "y", "c", "x"};
    struct hc_moments *moments = new_moments();
    struct hc_error error = {""};
    for (size_t i = 0; i < 7; i++) {
        double values[2] = {(double)i, 1};
        cr_assert_eq(hc_moments_add(moments, names[i], values, 2, HC_MOMENTS_MEASURED, &error), HC_OK, "%s",
                     error.text);
    }
    cr_assert_eq(moments->count, 7);
    for (size_t i = 0; i < 7; i++) {
        const struct hc_moments_vector *vector = hc_moments_find(moments, names[i]);
        cr_assert(vector && vector->count == 2 && vector->values[0] == (float)i, "%s", names[i]);
        cr_assert_eq(strncmp(vector->label, "weights:", 8), 0);
        cr_assert_eq(strlen(vector->label), 8 + HC_CHECKSUM_DIGITS);
        cr_assert(i == 0 || strcmp(moments->vectors[i - 1].name, moments->vectors[i].name) < 0);
    }
    cr_assert_null(hc_moments_find(moments, "aa"));
    cr_assert_null(hc_moments_find(moments, "zz"));
    cr_assert_null(hc_moments_find(NULL, "a"));
    cr_assert_eq(hc_moments_add(moments, "c", (double[]){1}, 1, HC_MOMENTS_MEASURED, &error), HC_ERR_CORRUPT);
    hc_moments_destroy(moments);
}

Test(moments, what_says_nothing_is_left_out)
{
    static const double vectors[][2] = {{1, NAN}, {INFINITY, 1}, {1, -1e-30}, {0, 0}, {1, 1e39}, {1e-60, 0}};
    struct hc_moments *moments = new_moments();
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        cr_assert_eq(hc_moments_add(moments, "a", vectors[i], 2, HC_MOMENTS_MEASURED, NULL), HC_OK);
        cr_assert_eq(moments->count, 0, "%zu", i);
    }
    hc_moments_destroy(moments);
}

/* ---- The file ------------------------------------------------------------------------------- */

Test(moments, file)
{
    struct scratch scratch;
    struct hc_error error = {""};
    struct hc_moments *moments = new_moments(), *read;
    char checksums[2][HC_CHECKSUM_DIGITS + 1];
    scratch_make(&scratch);
    cr_assert_eq(hc_moments_add(moments, "b.weight", (double[]){0, 3e-38, 1e38}, 3, HC_MOMENTS_MEASURED, &error),
                 HC_OK);
    cr_assert_eq(hc_moments_add(moments, "a.weight", (double[]){0.1}, 1, HC_MOMENTS_MEASURED, &error), HC_OK);
    cr_assert_eq(hc_moments_write(moments, scratch_at(&scratch, "m"), &error), HC_OK, "%s", error.text);
    cr_assert_eq(hc_moments_write(moments, scratch_at(&scratch, "m"), &error), HC_ERR_EXISTS);
    cr_assert_eq(hc_moments_read(scratch_at(&scratch, "m"), &read, &error), HC_OK, "%s", error.text);
    cr_assert_eq(read->count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct hc_moments_vector *a = &moments->vectors[i], *b = &read->vectors[i];
        cr_assert_str_eq(a->name, b->name);
        cr_assert_eq(a->count, b->count);
        cr_assert_eq(memcmp(a->values, b->values, a->count * sizeof *a->values), 0);
    }
    cr_assert_eq(hc_moments_checksum(moments, checksums[0], &error), HC_OK);
    cr_assert_eq(hc_moments_checksum(read, checksums[1], &error), HC_OK);
    cr_assert_str_eq(checksums[0], checksums[1]);
    hc_moments_destroy(moments);
    hc_moments_destroy(read);
    scratch_remove(&scratch);
}

/* Bytes 0, 1, 2 ...: as floats, small positive numbers. */
Test(moments, hostile_files)
{
    static const struct {
        const char *header;
        size_t bytes;
        const char *fragment;
    } cases[] = {
        {"{}", 0, "no moments"},
        {"{\"a.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "a.weight"},
        {"{\".moments\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ".moments"},
        {"{\"a.moments\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "vector of F32"},
        {"{\"a.moments\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}", 8, "vector of F32"},
        {"{\"a.moments\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "vector of F32"},
        {"{\"a.moments\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "1 to 1048576"},
        {"{\"a.moments\":{\"dtype\":\"F32\",\"shape\":[60],\"data_offsets\":[0,240]}}", 240, "negative or not finite"},
        {"{\"a.moments\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}", 9, "a.moments"},
        {"not JSON", 0, ""},
    };
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hc_error error = {""};
        struct hc_moments *moments;
        scratch_safetensors(&scratch, "m", cases[i].header, cases[i].bytes);
        cr_assert_eq(hc_moments_read(scratch_at(&scratch, "m"), &moments, &error), HC_ERR_CORRUPT, "%zu: %s", i,
                     error.text);
        cr_assert_null(moments);
        cr_assert(strstr(error.text, cases[i].fragment), "%zu: %s", i, error.text);
    }
    scratch_remove(&scratch);
}

/* ---- Propagation ---------------------------------------------------------------------------- */

/* A source, and the shape that its configuration says. */
struct model {
    struct scratch scratch;
    struct golden golden;
    struct hc_source *source;
    char *config;
    struct hc_kernels kernels;
    struct hc_moments_choice choice;
};

static void model_open(struct model *model, const char *name)
{
    struct hc_error error = {""}, why_not = {""};
    size_t bytes;
    *model = (struct model){0};
    scratch_make(&model->scratch);
    golden_open_small(&model->golden, &model->scratch, name);
    hc_kernels_init(&model->kernels, HC_TIER_BEST);
    cr_assert_eq(hc_source_open(model->golden.model, &model->source, &error), HC_OK, "%s", error.text);
    cr_assert_eq(hc_read_file(model->golden.config, 1 << 20, &model->config, &bytes, &error), HC_OK);
    cr_assert_eq(hc_moments_choose(&model->choice, NULL, model->config, NULL, model->source, &why_not, &error), HC_OK);
    cr_assert_eq(model->choice.kind, HC_MOMENTS_WEIGHTS, "%s", why_not.text);
    cr_assert_str_eq(model->choice.identity, "weights");
}

static void model_close(struct model *model)
{
    hc_moments_choice_clear(&model->choice);
    hc_source_close(model->source);
    free(model->config);
    golden_close(&model->golden);
    scratch_remove(&model->scratch);
}

struct name {
    char text[160];
};

/* "#" is the number of the layer. */
static struct name name_of(const char *pattern, unsigned layer)
{
    struct name name;
    size_t before = strcspn(pattern, "#");
    if (pattern[before])
        snprintf(name.text, sizeof name.text, "%.*s%u%s", (int)before, pattern, layer, pattern + before + 1);
    else
        snprintf(name.text, sizeof name.text, "%s", pattern);
    return name;
}

static const struct hc_tensor *tensor_of(const struct model *model, const char *pattern, unsigned layer)
{
    struct name name = name_of(pattern, layer);
    int64_t found = hc_source_find(model->source, name.text);
    return found < 0 ? NULL : &model->source->tensors[found];
}

/* The squares of a tensor's elements. */
static double *squares_of(const struct model *model, const struct hc_tensor *tensor)
{
    float *weights = malloc(tensor->weights * sizeof *weights);
    double *squares = malloc(tensor->weights * sizeof *squares);
    hc_tensor_read(tensor, &model->kernels, 0, tensor->weights, weights);
    for (uint64_t i = 0; i < tensor->weights; i++)
        squares[i] = (double)weights[i] * (double)weights[i];
    free(weights);
    return squares;
}

/* out = W^2 in + bias^2, for the matrix "model.layers.#.NAME.weight". */
static void product(const struct model *model, const char *name, unsigned layer, const double *in, double *out)
{
    char pattern[160];
    snprintf(pattern, sizeof pattern, "model.layers.#.%s.weight", name);
    const struct hc_tensor *matrix = tensor_of(model, pattern, layer);
    snprintf(pattern, sizeof pattern, "model.layers.#.%s.bias", name);
    const struct hc_tensor *bias = tensor_of(model, pattern, layer);
    double *squares = squares_of(model, matrix), *added = bias ? squares_of(model, bias) : NULL;
    for (uint64_t i = 0; i < matrix->shape[0]; i++) {
        out[i] = added ? added[i] : 0;
        for (uint64_t j = 0; j < matrix->shape[1]; j++)
            out[i] += squares[i * matrix->shape[1] + j] * in[j];
    }
    free(squares);
    free(added);
}

static void normed(const struct model *model, const char *pattern, unsigned layer, const double *stream, double *out)
{
    const struct hc_tensor *gain = tensor_of(model, pattern, layer);
    double *squares = squares_of(model, gain), mean = 0;
    for (uint64_t j = 0; j < gain->weights; j++)
        mean += stream[j] / (double)gain->weights;
    for (uint64_t j = 0; j < gain->weights; j++)
        out[j] = squares[j] * stream[j] / mean;
    free(squares);
}

static void check_vector(const struct model *model, const char *pattern, unsigned layer, const double *expected,
                         uint64_t count)
{
    struct name name = name_of(pattern, layer);
    const struct hc_moments_vector *vector = hc_moments_find(model->choice.moments, name.text);
    cr_assert(vector && vector->count == count, "%s", name.text);
    for (uint64_t j = 0; j < count; j++)
        check_relative((double)vector->values[j], expected[j], 2e-7, name.text);
}

enum { MOST = 512 };

static void check_layer(const struct model *model, unsigned layer, double *stream)
{
    const struct hc_decoder *d = &model->choice.decoder;
    double h[MOST], values[MOST], attended[MOST], gate[MOST], up[MOST], written[MOST];
    normed(model, "model.layers.#.input_layernorm.weight", layer, stream, h);
    check_vector(model, "model.layers.#.self_attn.q_proj.weight", layer, h, d->width);
    check_vector(model, "model.layers.#.self_attn.k_proj.weight", layer, h, d->width);
    check_vector(model, "model.layers.#.self_attn.v_proj.weight", layer, h, d->width);
    product(model, "self_attn.v_proj", layer, h, values);
    for (uint32_t i = 0; i < d->heads * d->head_width; i++) {
        uint32_t head = i / d->head_width * d->key_value_heads / d->heads;
        attended[i] = 0.3 * values[head * d->head_width + i % d->head_width];
    }
    check_vector(model, "model.layers.#.self_attn.o_proj.weight", layer, attended, d->heads * d->head_width);
    product(model, "self_attn.o_proj", layer, attended, written);
    for (uint32_t j = 0; j < d->width; j++)
        stream[j] += written[j];
    normed(model, "model.layers.#.post_attention_layernorm.weight", layer, stream, h);
    check_vector(model, "model.layers.#.mlp.gate_proj.weight", layer, h, d->width);
    check_vector(model, "model.layers.#.mlp.up_proj.weight", layer, h, d->width);
    product(model, "mlp.gate_proj", layer, h, gate);
    product(model, "mlp.up_proj", layer, h, up);
    for (uint32_t i = 0; i < d->inner_width; i++)
        up[i] *= hc_silu_moment(gate[i]);
    check_vector(model, "model.layers.#.mlp.down_proj.weight", layer, up, d->inner_width);
    product(model, "mlp.down_proj", layer, up, written);
    for (uint32_t j = 0; j < d->width; j++)
        stream[j] += written[j];
}

static hc_context *open_context(hc_tier tier, int threads)
{
    hc_context_options options;
    hc_context *context;
    hc_context_options_init(&options);
    options.tier = tier;
    options.threads = threads;
    cr_assert_eq(hc_context_create(&context, &options), HC_OK);
    return context;
}

static void check_propagation(const char *name)
{
    struct model model;
    struct hc_error error = {""};
    double stream[MOST] = {0}, h[MOST];
    model_open(&model, name);
    hc_context *context = open_context(HC_TIER_BEST, 2);
    cr_assert_eq(hc_moments_make(&model.choice, context, model.source, NULL, &error), HC_OK, "%s", error.text);
    const struct hc_decoder *d = &model.choice.decoder;
    cr_assert(d->width <= MOST && d->inner_width <= MOST && d->heads * d->head_width <= MOST);
    const struct hc_tensor *embedding = tensor_of(&model, "model.embed_tokens.weight", 0);
    double *squares = squares_of(&model, embedding);
    for (uint64_t i = 0; i < embedding->weights; i++)
        stream[i % d->width] += squares[i] / d->vocabulary;
    for (unsigned layer = 0; layer < d->layers; layer++)
        check_layer(&model, layer, stream);
    normed(&model, "model.norm.weight", 0, stream, h);
    if (d->tied)
        cr_assert_null(hc_moments_find(model.choice.moments, "lm_head.weight"));
    else
        check_vector(&model, "lm_head.weight", 0, h, d->width);
    cr_assert_eq(model.choice.moments->count, d->layers * HC_LAYER_MATRICES + !d->tied);
    free(squares);
    hc_context_destroy(context);
    model_close(&model);
}

Test(moments, propagation_llama)
{
    check_propagation("llama-odd"); /* heads that share values, and are wider than their share */
}

Test(moments, propagation_biases)
{
    check_propagation("llama-biases");
}

Test(moments, propagation_tied)
{
    check_propagation("qwen2"); /* with biases of q, k and v alone */
}

Test(moments, propagation_qwen3)
{
    check_propagation("qwen3");
}

Test(moments, propagation_is_the_same_everywhere)
{
    char checksums[2][HC_CHECKSUM_DIGITS + 1];
    struct hc_error error = {""};
    for (int i = 0; i < 2; i++) {
        struct model model;
        model_open(&model, "llama3"); /* bf16 */
        hc_context *context = open_context(i ? HC_TIER_BEST : HC_TIER_C, i ? 5 : 1);
        cr_assert_eq(hc_moments_make(&model.choice, context, model.source, NULL, &error), HC_OK);
        cr_assert_eq(hc_moments_checksum(model.choice.moments, checksums[i], &error), HC_OK);
        hc_context_destroy(context);
        model_close(&model);
    }
    cr_assert_str_eq(checksums[0], checksums[1]);
}

/* ---- Choices -------------------------------------------------------------------------------- */

static void check_choice(struct model *model, const char *asked, const char *config, enum hc_moments_kind kind,
                         const char *why)
{
    struct hc_moments_choice choice;
    struct hc_error error = {""}, why_not = {""};
    hc_status status = hc_moments_choose(&choice, asked, config, NULL, model->source, &why_not, &error);
    cr_assert_eq(status, HC_OK, "%s", error.text);
    cr_assert_eq(choice.kind, kind, "%s", why_not.text);
    cr_assert(strstr(why_not.text, why) && (*why || !why_not.text[0]), "%s", why_not.text);
    hc_moments_choice_clear(&choice);
}

Test(moments, choice)
{
    static const char *const bert = "{\"architectures\": [\"BertModel\"]}";
    struct model model;
    struct hc_moments_choice choice;
    struct hc_error error = {""};
    model_open(&model, "llama");
    check_choice(&model, "none", model.config, HC_MOMENTS_NONE, "");
    check_choice(&model, "self", model.config, HC_MOMENTS_SELF, "");
    check_choice(&model, "weights", model.config, HC_MOMENTS_WEIGHTS, "");
    check_choice(&model, "weights", bert, HC_MOMENTS_NONE, "BertModel");
    check_choice(&model, NULL, bert, HC_MOMENTS_NONE, "BertModel");
    check_choice(&model, NULL, NULL, HC_MOMENTS_NONE, "no config.json");
    check_choice(&model, NULL, "{", HC_MOMENTS_NONE, "JSON");
    cr_assert_eq(hc_moments_choose(&choice, "self", bert, NULL, model.source, NULL, &error), HC_ERR_UNSUPPORTED);
    cr_assert(strstr(error.text, "BertModel"), "%s", error.text);
    cr_assert_eq(hc_moments_choose(&choice, "self", NULL, "a reason", model.source, NULL, &error), HC_ERR_UNSUPPORTED);
    cr_assert_str_eq(error.text, "a reason");
    cr_assert_eq(hc_moments_choose(&choice, "/nowhere", bert, NULL, model.source, NULL, &error), HC_ERR_IO);
    /* A tensor that is not as the configuration says. */
    struct hc_tensor *tensor = &model.source->tensors[hc_source_find(model.source, "model.norm.weight")];
    tensor->shape[0]--;
    check_choice(&model, NULL, model.config, HC_MOMENTS_NONE, "model.norm.weight has not the shape");
    tensor->shape[0]++;
    model_close(&model);
}

Test(moments, choice_of_a_file)
{
    struct model model;
    struct hc_moments_choice choice;
    struct hc_error error = {""};
    struct hc_moments *moments = new_moments();
    char path[600];
    double values[64] = {1};
    model_open(&model, "llama");
    snprintf(path, sizeof path, "%s/m", model.scratch.root);
    cr_assert_eq(
        hc_moments_add(moments, "model.layers.0.self_attn.q_proj.weight", values, 64, HC_MOMENTS_MEASURED, &error),
        HC_OK);
    cr_assert_eq(hc_moments_add(moments, "unknown.weight", values, 7, HC_MOMENTS_MEASURED, &error), HC_OK);
    cr_assert_eq(hc_moments_write(moments, path, &error), HC_OK);
    cr_assert_eq(hc_moments_choose(&choice, path, NULL, NULL, model.source, NULL, &error), HC_OK, "%s", error.text);
    cr_assert_eq(choice.kind, HC_MOMENTS_FILE);
    cr_assert_eq(strncmp(choice.identity, "file:", 5), 0);
    hc_moments_attach(&choice, model.source);
    const struct hc_tensor *q = tensor_of(&model, "model.layers.#.self_attn.q_proj.weight", 0);
    cr_assert(q->moments && strncmp(q->moments->label, "file:", 5) == 0);
    cr_assert_null(tensor_of(&model, "model.layers.#.self_attn.k_proj.weight", 0)->moments);
    hc_moments_choice_clear(&choice);

    cr_assert_eq(hc_moments_add(moments, "lm_head.weight", values, 63, HC_MOMENTS_MEASURED, &error), HC_OK);
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    cr_assert_eq(hc_moments_write(moments, path, &error), HC_OK);
    cr_assert_eq(hc_moments_choose(&choice, path, NULL, NULL, model.source, NULL, &error), HC_ERR_CORRUPT);
    cr_assert(strstr(error.text, "lm_head.weight: 63, but it has 64"), "%s", error.text);
    hc_moments_choice_clear(&choice);
    hc_moments_destroy(moments);
    model_close(&model);
}

/* Experts of which there are none have no columns either. */
Test(moments, choice_of_a_file_for_what_is_empty)
{
    struct scratch scratch;
    struct hc_source *source;
    struct hc_moments_choice choice;
    struct hc_error error = {""};
    struct hc_moments *moments = new_moments();
    char path[600];
    scratch_make(&scratch);
    snprintf(path, sizeof path, "%s/m", scratch.root);
    scratch_safetensors(&scratch, "model.safetensors",
                        "{\"experts\":{\"dtype\":\"F32\",\"shape\":[0,2,2],\"data_offsets\":[0,0]}}", 0);
    cr_assert_eq(hc_source_open(scratch_at(&scratch, "model.safetensors"), &source, &error), HC_OK, "%s", error.text);
    cr_assert_eq(hc_moments_add(moments, "experts", (double[]){1, 2}, 2, HC_MOMENTS_MEASURED, &error), HC_OK);
    cr_assert_eq(hc_moments_write(moments, path, &error), HC_OK, "%s", error.text);
    cr_assert_eq(hc_moments_choose(&choice, path, NULL, NULL, source, NULL, &error), HC_OK, "%s", error.text);
    hc_moments_choice_clear(&choice);
    hc_source_close(source);
    hc_moments_destroy(moments);
    scratch_remove(&scratch);
}

/* ---- Measuring ------------------------------------------------------------------------------ */

static hc_sequence *open_sequence(hc_context *context, hc_network *network, uint32_t batch)
{
    hc_sequence_options options;
    hc_sequence *sequence;
    hc_sequence_options_init(&options);
    options.context = 64;
    options.batch = batch;
    cr_assert_eq(hc_sequence_create(context, network, &options, &sequence), HC_OK, "%s", hc_message(context));
    return sequence;
}

static void check_alike(const struct hc_moments *a, const struct hc_moments *b)
{
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        cr_assert_str_eq(a->vectors[i].name, b->vectors[i].name);
        cr_assert_eq(a->vectors[i].count, b->vectors[i].count);
        for (uint64_t j = 0; j < a->vectors[i].count; j++)
            check_relative((double)a->vectors[i].values[j], (double)b->vectors[i].values[j], 1e-6, a->vectors[i].name);
    }
}

/* Texts side by side have the logits, and the sums, of the same texts one after the other. */
static void check_side_by_side(const char *name)
{
    enum { TEXTS = 5, LENGTH = 20 };
    struct model model;
    struct hc_error error = {""};
    struct hc_watch watches[2];
    struct hc_moments *moments[2] = {new_moments(), new_moments()};
    hc_network *network;
    model_open(&model, name);
    hc_context *context = open_context(HC_TIER_BEST, 2);
    cr_assert_eq(hc_network_open(context, model.golden.model, &network), HC_OK, "%s", hc_message(context));
    const size_t vocabulary = network->decoder.vocabulary;
    hc_sequence *sequences[] = {open_sequence(context, network, 7), open_sequence(context, network, TEXTS)};
    float *one = malloc(LENGTH * vocabulary * sizeof *one), *all = malloc(LENGTH * TEXTS * vocabulary * sizeof *all);
    cr_assert_eq(hc_watch_begin(&watches[0], sequences[0], 0, &error), HC_OK);
    cr_assert_eq(hc_watch_begin(&watches[1], sequences[1], TEXTS, &error), HC_OK);
    for (int i = 0; i < LENGTH; i++) {
        int32_t tokens[TEXTS];
        for (int t = 0; t < TEXTS; t++)
            tokens[t] = (7 * t + 3 * i + t * i) % (int32_t)vocabulary;
        cr_assert_eq(hc_watch_step(&watches[1], tokens, all + (size_t)i * TEXTS * vocabulary), HC_OK);
    }
    for (int t = 0; t < TEXTS; t++) {
        int32_t tokens[LENGTH];
        for (int i = 0; i < LENGTH; i++)
            tokens[i] = (7 * t + 3 * i + t * i) % (int32_t)vocabulary;
        cr_assert_eq(hc_sequence_cut(sequences[0], 0), HC_OK);
        cr_assert_eq(hc_evaluate(sequences[0], tokens, LENGTH, HC_LOGITS_ALL, one), HC_OK);
        for (int i = 0; i < LENGTH; i++)
            cr_assert_eq(memcmp(one + (size_t)i * vocabulary, all + ((size_t)i * TEXTS + (size_t)t) * vocabulary,
                                vocabulary * sizeof *one),
                         0, "text %d, position %d", t, i);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(hc_watch_add(&watches[i], TEXTS * LENGTH, moments[i], &error), HC_OK);
        hc_watch_end(&watches[i]);
        hc_sequence_destroy(sequences[i]);
    }
    cr_assert_eq(moments[0]->count, network->decoder.layers * HC_LAYER_MATRICES + !network->decoder.tied);
    check_alike(moments[0], moments[1]);
    free(one);
    free(all);
    hc_moments_destroy(moments[0]);
    hc_moments_destroy(moments[1]);
    hc_network_close(network);
    hc_context_destroy(context);
    model_close(&model);
}

Test(moments, side_by_side)
{
    check_side_by_side("llama");
}

Test(moments, side_by_side_in_windows)
{
    check_side_by_side("mistral");
}

Test(moments, side_by_side_tied)
{
    check_side_by_side("qwen2");
}

/* A norm leaves a mean square of 1 (nearly, for its epsilon), which its gains then change: whatever the text. */
Test(moments, measured_behind_norms)
{
    struct model model;
    struct hc_error error = {""};
    struct hc_moments *moments;
    char path[600];
    model_open(&model, "llama");
    snprintf(path, sizeof path, "%s/m", model.scratch.root);
    hc_context *context = open_context(HC_TIER_BEST, 2);
    hc_calibrate_options options;
    hc_calibrate_options_init(&options);
    options.windows = 6;
    options.window = 40;
    cr_assert_eq(hc_calibrate(context, model.golden.model, path, &options), HC_OK, "%s", hc_message(context));
    cr_assert_eq(hc_calibrate(context, model.golden.model, path, &options), HC_ERR_EXISTS);
    cr_assert_eq(hc_moments_read(path, &moments, &error), HC_OK, "%s", error.text);
    static const char *const behind[][2] = {
        {"model.layers.#.input_layernorm.weight", "model.layers.#.self_attn.k_proj.weight"},
        {"model.layers.#.post_attention_layernorm.weight", "model.layers.#.mlp.up_proj.weight"},
        {"model.norm.weight", "lm_head.weight"}};
    for (unsigned i = 0; i < 6; i++) {
        struct name name = name_of(behind[i / 2][1], i % 2);
        const struct hc_moments_vector *vector = hc_moments_find(moments, name.text);
        double *gains = squares_of(&model, tensor_of(&model, behind[i / 2][0], i % 2)), mean = 0;
        cr_assert(vector && vector->count == 64, "%s", name.text);
        for (int j = 0; j < 64; j++)
            mean += (double)vector->values[j] / gains[j] / 64;
        check_relative(mean, 1, 1e-3, name.text);
        free(gains);
    }
    hc_moments_destroy(moments);
    hc_context_destroy(context);
    model_close(&model);
}

/* What it writes depends on the seed alone. */
Test(moments, own_text_is_the_same_everywhere)
{
    struct model model;
    char paths[3][600], *bytes[3];
    size_t counts[3];
    struct hc_error error = {""};
    model_open(&model, "qwen3");
    for (int i = 0; i < 3; i++) {
        hc_context *context = open_context(i == 1 ? HC_TIER_C : HC_TIER_BEST, i == 1 ? 1 : 3);
        hc_calibrate_options options;
        hc_calibrate_options_init(&options);
        options.windows = 4;
        options.window = 24;
        options.seed = i == 2;
        snprintf(paths[i], sizeof paths[i], "%s/m%d", model.scratch.root, i);
        cr_assert_eq(hc_calibrate(context, model.golden.model, paths[i], &options), HC_OK, "%s", hc_message(context));
        cr_assert_eq(hc_read_file(paths[i], 1 << 20, &bytes[i], &counts[i], &error), HC_OK);
        hc_context_destroy(context);
    }
    cr_assert(counts[0] == counts[1] && memcmp(bytes[0], bytes[1], counts[0]) == 0);
    cr_assert(counts[0] == counts[2] && memcmp(bytes[0], bytes[2], counts[0]) != 0);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
    model_close(&model);
}

Test(moments, windows_that_are_refused)
{
    struct model model;
    char path[600];
    static const uint32_t windows[] = {1, 513};
    model_open(&model, "llama");
    snprintf(path, sizeof path, "%s/m", model.scratch.root);
    hc_context *context = open_context(HC_TIER_BEST, 1);
    for (size_t i = 0; i < 2; i++) {
        hc_calibrate_options options;
        hc_calibrate_options_init(&options);
        options.window = windows[i];
        cr_assert_eq(hc_calibrate(context, model.golden.model, path, &options), HC_ERR_ARGUMENT);
        cr_assert(strstr(hc_message(context), "2 to 512"), "%s", hc_message(context));
        cr_assert_not(hc_path_exists(path));
    }
    hc_context_destroy(context);
    model_close(&model);
}

/* ---- Column scales -------------------------------------------------------------------------- */

/* A matrix whose columns have the root mean squares c, of random signs. */
struct matrix {
    struct hc_tensor tensor;
    struct hc_piece piece;
    struct hc_moments_vector moments;
    float *weights;
};

static void matrix_make(struct matrix *m, uint64_t rows, uint64_t columns, const double *c, const double *h)
{
    uint64_t state = 1;
    *m = (struct matrix){.weights = malloc(rows * columns * sizeof(float))};
    m->moments = (struct hc_moments_vector){"m.weight", columns, malloc(columns * sizeof(float)), HC_MOMENTS_MEASURED,
                                            "weights:"};
    for (uint64_t i = 0; i < rows * columns; i++) {
        double sum = -6;
        for (int n = 0; n < 12; n++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            sum += (double)(state >> 40) / (1 << 24);
        }
        m->weights[i] = (float)(c[i % columns] * sum);
    }
    for (uint64_t j = 0; j < columns; j++)
        m->moments.values[j] = (float)h[j];
    m->tensor = (struct hc_tensor){.name = "m.weight",
                                   .type = HC_TYPE_F32,
                                   .rank = 2,
                                   .shape = {rows, columns},
                                   .weights = rows * columns,
                                   .bytes = rows * columns * sizeof *m->weights,
                                   .data = (const uint8_t *)m->weights,
                                   .moments = &m->moments};
    m->piece = hc_piece_at(&m->tensor, 0);
}

static void matrix_free(struct matrix *m)
{
    free(m->weights);
    free(m->moments.values);
}

static struct hc_engine engine_of(struct hc_kernels *kernels, int threads)
{
    struct hc_engine engine;
    hc_kernels_init(kernels, HC_TIER_BEST);
    cr_assert_eq(hc_engine_cpu(&engine, kernels, threads, NULL), HC_OK);
    return engine;
}

static struct hc_window_frame fit(struct hc_engine *engine, const struct matrix *m, double *norms2)
{
    struct hc_window_frame frame;
    struct hc_error error = {""};
    const char *because;
    cr_assert_eq(hc_window_frame_fit(&frame, engine, &m->piece, HC_COLUMNS_NORM, 1, norms2, &because, &error), HC_OK);
    cr_assert_null(because);
    return frame;
}

/* Every scale is what the formula says, to half a step; an input below 2^-24 of the mean counts as that. */
static void check_scales(const struct matrix *m, const struct hc_window_frame *frame, const double *norms2)
{
    const float *moments = m->moments.values;
    const uint64_t columns = m->piece.columns;
    double mean = 0, energy = 0;
    for (uint64_t j = 0; j < columns; j++)
        mean += (double)moments[j] / (double)columns;
    for (uint64_t j = 0; j < columns; j++)
        energy += sqrt(norms2[j] * fmax((double)moments[j], mean * 0x1p-24)) / (double)columns;
    for (uint64_t j = 0; j < columns; j++) {
        double scale = sqrt(sqrt(norms2[j] / fmax((double)moments[j], mean * 0x1p-24)) * energy);
        double steps = 8 * log2(fabs((double)frame->from_code[j]) / scale);
        if (norms2[j] > 0)
            cr_assert(fabs(steps) <= 0.5001, "column %llu: %g steps away", (unsigned long long)j, steps);
        else
            cr_assert(frame->bytes[j] == 0 && frame->from_code[j] == 0 && frame->to_code[j] == 0);
        cr_assert(isfinite(frame->to_code[j]) && isfinite(frame->from_code[j]));
    }
}

Test(moments, column_scales)
{
    enum { ROWS = 256, COLUMNS = 64 };
    double c[COLUMNS], h[COLUMNS], norms2[COLUMNS];
    struct hc_kernels kernels;
    struct hc_engine engine = engine_of(&kernels, 2);
    struct matrix m;
    for (int j = 0; j < COLUMNS; j++) {
        c[j] = 0.02 * pow(2, 0.11 * (j % 9));
        h[j] = 5 * pow(2, 0.37 * (j % 23) - 4);
    }
    matrix_make(&m, ROWS, COLUMNS, c, h);
    struct hc_window_frame frame = fit(&engine, &m, norms2);
    check_scales(&m, &frame, norms2);
    hc_window_frame_free(&frame);
    matrix_free(&m);
    engine.table->destroy(&engine);
}

/* Columns of zeros, inputs of zero, and both at once; numbers at the rims of float32. */
Test(moments, column_scales_at_the_rims)
{
    enum { ROWS = 32, COLUMNS = 32 };
    static const double sizes[] = {1, 1e-30, 1e30}, inputs[] = {1, 1e-37, 1e37};
    struct hc_kernels kernels;
    struct hc_engine engine = engine_of(&kernels, 1);
    for (int n = 0; n < 9; n++) {
        double c[COLUMNS], h[COLUMNS], norms2[COLUMNS];
        for (int j = 0; j < COLUMNS; j++) {
            c[j] = j == 3 || j == 5 ? 0 : sizes[n / 3];
            h[j] = j == 4 || j == 5 ? 0 : j == 6 ? 1e-45 : inputs[n % 3];
        }
        struct matrix m;
        matrix_make(&m, ROWS, COLUMNS, c, h);
        struct hc_window_frame frame = fit(&engine, &m, norms2);
        check_scales(&m, &frame, norms2);
        hc_window_frame_free(&frame);
        matrix_free(&m);
    }
    engine.table->destroy(&engine);
}

/* So many that errors are nearly independent of what is coded. */
enum { BITS = 6 };

/* What outputs err by: the sum over all weights of h_j e_ij^2. */
static double harm(struct hc_engine *engine, const struct matrix *m, const struct hc_window_frame *frame)
{
    struct hc_window_coder coder;
    struct hc_error error = {""};
    cr_assert_eq(hc_window_coder_init(&coder, hc_window_code_find(BITS, 12), engine->kernels, &error), HC_OK);
    uint64_t weights = m->piece.weights;
    struct hc_window_result result = {.codes = malloc(frame->tile_rows * frame->tile_columns * 32 * BITS),
                                      .scales = malloc(m->piece.rows * sizeof(uint16_t))};
    float *decoded = malloc(weights * sizeof *decoded);
    cr_assert_eq(engine->table->window_encode(engine, &m->piece, frame, &coder, 0, frame->tile_rows, &result, &error),
                 HC_OK);
    cr_assert_eq(engine->table->window_decode(engine, frame, &coder, result.codes, result.scales, 0, m->piece.rows,
                                              HC_TYPE_F32, decoded, &error),
                 HC_OK);
    double sum = 0;
    for (uint64_t i = 0; i < weights; i++) {
        double e = (double)decoded[i] - (double)m->weights[i];
        sum += (double)m->moments.values[i % m->piece.columns] * e * e;
    }
    free(result.codes);
    free(result.scales);
    free(decoded);
    hc_window_coder_free(&coder);
    return sum;
}

Test(moments, they_lessen_the_harm)
{
    enum { ROWS = 512, COLUMNS = 128 };
    double c[COLUMNS], h[COLUMNS];
    struct hc_kernels kernels;
    struct hc_engine engine = engine_of(&kernels, 2);
    struct matrix m;
    double flat = 0, mean = 0;
    for (int j = 0; j < COLUMNS; j++) {
        c[j] = 0.02;
        h[j] = pow(2, j % 16 - 8);
        mean += h[j] / COLUMNS;
        flat += sqrt(h[j]) / COLUMNS;
    }
    matrix_make(&m, ROWS, COLUMNS, c, h);
    struct hc_window_frame with = fit(&engine, &m, NULL);
    m.tensor.moments = NULL;
    struct hc_window_frame without = fit(&engine, &m, NULL);
    m.tensor.moments = &m.moments;
    /* By the formula, errors are in the ratio of (mean sqrt h)^2 to mean h, where the columns are alike. */
    check_relative(harm(&engine, &m, &with) / harm(&engine, &m, &without), flat * flat / mean, 0.04, "the ratio");
    hc_window_frame_free(&with);
    hc_window_frame_free(&without);
    matrix_free(&m);
    engine.table->destroy(&engine);
}

/* Of two matrices alike, the one with the larger inputs gets the bits. */
Test(moments, they_share_out_the_rate)
{
    enum { SIDE = 96, MATRICES = 4 };
    double c[SIDE], h[SIDE];
    struct hc_kernels kernels;
    struct hc_engine engine = engine_of(&kernels, 2);
    struct matrix matrices[MATRICES];
    struct hc_tensor tensors[MATRICES];
    uint8_t rates[MATRICES] = {0};
    for (int i = 0; i < MATRICES; i++) {
        for (int j = 0; j < SIDE; j++) {
            c[j] = 0.02;
            h[j] = i == 2 ? 64 : 1;
        }
        matrix_make(&matrices[i], SIDE, SIDE, c, h);
        tensors[i] = matrices[i].tensor;
    }
    struct hc_source source = {.tensors = tensors, .tensor_count = MATRICES};
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.window.bits = 3.75;
    cr_assert_eq(hc_method_window.share(&engine, &source, &options, NULL, rates, NULL), HC_OK);
    for (int i = 0; i < MATRICES; i++)
        if (i != 2)
            cr_assert_gt(rates[2], rates[i] + 1, "%u and %u bits", rates[2], rates[i]);
    for (int i = 0; i < MATRICES; i++)
        matrix_free(&matrices[i]);
    engine.table->destroy(&engine);
}

/* Nothing else than the matrix and the moments decides. */
Test(moments, coded_the_same_by_any_number_of_threads)
{
    enum { SIDE = 160 };
    double c[SIDE], h[SIDE];
    char checksums[2][HC_CHECKSUM_DIGITS + 1];
    struct matrix m;
    for (int j = 0; j < SIDE; j++) {
        c[j] = 0.01 + 0.001 * j;
        h[j] = 1.0 / (1 + j);
    }
    matrix_make(&m, SIDE, SIDE, c, h);
    for (int i = 0; i < 2; i++) {
        struct hc_kernels kernels;
        struct hc_engine engine = engine_of(&kernels, i ? 3 : 1);
        struct hc_window_frame frame = fit(&engine, &m, NULL);
        hc_checksum(frame.bytes, SIDE, checksums[i]);
        hc_window_frame_free(&frame);
        engine.table->destroy(&engine);
    }
    cr_assert_str_eq(checksums[0], checksums[1]);
    matrix_free(&m);
}

/* By half: the geometric mean of what is told and of 1 / c^2, so scaled that the outputs' energy stays; columns of
 * zeros say nothing of their inputs. */
Test(moments, believed_by_quarters)
{
    float told[] = {4, 9, 1, 25};
    const double norms2[] = {1.0 / 16, 1, 4, 0};
    double inputs[4], energy = 0, expected = 0;
    for (unsigned trust = 0; trust <= HC_MOMENTS_MEASURED; trust++) {
        const struct hc_moments_vector vector = {"m.weight", 4, told, trust, "weights:"};
        hc_window_inputs(inputs, norms2, &vector);
        energy = expected = 0;
        for (int j = 0; j < 3; j++) {
            double mixed = pow((double)told[j], trust / 4.0) * pow(1 / norms2[j], 1 - trust / 4.0);
            double first = pow((double)told[0], trust / 4.0) * pow(1 / norms2[0], 1 - trust / 4.0);
            cr_assert_float_eq(inputs[j] / inputs[0], mixed / first, 1e-12 * mixed / first);
            energy += norms2[j] * inputs[j];
            expected += norms2[j] * (double)told[j];
        }
        cr_assert_float_eq(energy, expected, 1e-12 * expected);
    }
}
