/* The decoder, spelled out. Arrays of n positions are n rows, one behind the other. */
#include "decoder.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Configuration -------------------------------------------------------------------------- */

static bool fail(struct reference *reference, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!*reference->fault)
        vsnprintf(reference->fault, sizeof reference->fault, format, arguments);
    va_end(arguments);
    return false;
}

/* The number of that name, or `otherwise` if it is absent or null. */
static double number(const json_t *object, const char *name, double otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* Stretches the wave lengths as LLaMA 3.1 does: long ones by `factor`, short ones not at all, those between by a share.
 */
static double stretch_llama3(double frequency, const json_t *scaling)
{
    double factor = number(scaling, "factor", 1), original = number(scaling, "original_max_position_embeddings", 8192);
    double low = number(scaling, "low_freq_factor", 1), high = number(scaling, "high_freq_factor", 4);
    double turns = original * frequency / (2 * 3.14159265358979323846); /* over the original context */
    double share = fmin(fmax((turns - low) / (high - low), 0), 1);
    return (1 - share) * frequency / factor + share * frequency;
}

static bool set_frequencies(struct reference *reference, const json_t *config)
{
    const json_t *scaling = json_object_get(config, "rope_scaling");
    const char *kind = json_string_value(json_object_get(scaling, "rope_type"));
    double theta = number(config, "rope_theta", 10000), factor = number(scaling, "factor", 1);
    reference->frequencies = malloc(reference->head / 2 * sizeof *reference->frequencies);
    if (!reference->frequencies)
        return fail(reference, "out of memory");
    if (!kind)
        kind = json_string_value(json_object_get(scaling, "type"));
    for (size_t d = 0; d < reference->head / 2; d++) {
        double frequency = pow(theta, -2.0 * (double)d / (double)reference->head);
        if (kind && strcmp(kind, "linear") == 0)
            frequency /= factor;
        else if (kind && strcmp(kind, "llama3") == 0)
            frequency = stretch_llama3(frequency, scaling);
        else if (kind && strcmp(kind, "default") != 0)
            return fail(reference, "rope_scaling: \"%s\" is not known", kind);
        reference->frequencies[d] = (float)frequency;
    }
    return true;
}

static bool is_known(const char *kind)
{
    static const char *const known[] = {"llama", "mistral", "qwen2", "qwen3"};
    for (size_t i = 0; kind && i < sizeof known / sizeof *known; i++)
        if (strcmp(kind, known[i]) == 0)
            return true;
    return false;
}

static bool configure(struct reference *reference, const json_t *config)
{
    const char *kind = json_string_value(json_object_get(config, "model_type"));
    if (!is_known(kind))
        return fail(reference, "model_type: \"%s\" is not known", kind ? kind : "");
    reference->layers = (size_t)number(config, "num_hidden_layers", 0);
    reference->width = (size_t)number(config, "hidden_size", 0);
    reference->inner = (size_t)number(config, "intermediate_size", 0);
    reference->heads = (size_t)number(config, "num_attention_heads", 0);
    reference->vocabulary = (size_t)number(config, "vocab_size", 0);
    if (!reference->layers || !reference->width || !reference->inner || !reference->heads || !reference->vocabulary)
        return fail(reference, "sizes are missing in config.json");
    reference->key_heads = (size_t)number(config, "num_key_value_heads", (double)reference->heads);
    reference->head = (size_t)number(config, "head_dim", (double)(reference->width / reference->heads));
    reference->epsilon = (float)number(config, "rms_norm_eps", 1e-6);
    reference->tied = json_is_true(json_object_get(config, "tie_word_embeddings"));
    if (strcmp(kind, "mistral") == 0)
        reference->window = (size_t)number(config, "sliding_window", 0);
    return set_frequencies(reference, config);
}

bool reference_open(struct reference *reference, hc_context *context, const char *model, const char *config)
{
    *reference = (struct reference){.context = context};
    json_t *json = json_load_file(config, 0, NULL);
    if (!json)
        return fail(reference, "%s: cannot be read", config);
    bool good = configure(reference, json);
    json_decref(json);
    if (good && hc_model_open(context, model, &reference->model) != HC_OK)
        return fail(reference, "%s", hc_message(context));
    return good;
}

void reference_close(struct reference *reference)
{
    hc_model_close(reference->model);
    free(reference->frequencies);
}

/* ---- Operations ----------------------------------------------------------------------------- */

/* The weights of a tensor, the caller's. NULL if there is none of that name, and after a failure. */
static float *fetch(struct reference *reference, const char *name, size_t count)
{
    hc_tensor_info info;
    for (uint64_t i = 0; hc_model_tensor(reference->model, i, &info) == HC_OK; i++) {
        if (strcmp(info.name, name) != 0)
            continue;
        float *weights = malloc(count * sizeof *weights);
        if (!weights || info.weights != count) {
            fail(reference, "%s: %zu weights wanted, %llu there", name, count, (unsigned long long)info.weights);
        } else if (hc_model_read(reference->context, reference->model, i, 0, count, weights) != HC_OK) {
            fail(reference, "%s", hc_message(reference->context));
        } else {
            return weights;
        }
        free(weights);
        return NULL;
    }
    return NULL;
}

static float *fetch_needed(struct reference *reference, const char *name, size_t count)
{
    float *weights = fetch(reference, name, count);
    if (!weights)
        fail(reference, "%s is missing", name);
    return weights;
}

/* Eight sums side by side: rounding errors grow more slowly than in one. */
static float dot(const float *a, const float *b, size_t n)
{
    float sums[8] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i % 8] += a[i] * b[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* out = x W^T + bias: n x columns to n x rows. */
static void linear(struct reference *reference, const char *place, const char *layer, const float *x, size_t n,
                   size_t rows, size_t columns, float *out)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s.weight", place, layer);
    float *weights = fetch_needed(reference, name, rows * columns);
    snprintf(name, sizeof name, "%s%s.bias", place, layer);
    float *bias = fetch(reference, name, rows);
    for (size_t r = 0; weights && r < rows; r++)
        for (size_t i = 0; i < n; i++)
            out[i * rows + r] = dot(weights + r * columns, x + i * columns, columns) + (bias ? bias[r] : 0);
    free(weights);
    free(bias);
}

/* Row by row: out = x / sqrt(mean(x^2) + epsilon) * gain; in place if out == x. Without a gain of that name, and not
 * `needed`: out is not touched. */
static void norm(struct reference *reference, const char *place, const char *layer, bool needed, const float *x,
                 size_t rows, size_t width, float *out)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s.weight", place, layer);
    float *gain = needed ? fetch_needed(reference, name, width) : fetch(reference, name, width);
    for (size_t r = 0; gain && r < rows; r++, x += width, out += width) {
        float scale = 1 / sqrtf(dot(x, x, width) / (float)width + reference->epsilon);
        for (size_t j = 0; j < width; j++)
            out[j] = x[j] * scale * gain[j];
    }
    free(gain);
}

/* Turns the pair (d, d + head / 2) of every head of position i by i * frequencies[d]. */
static void rotate(const struct reference *reference, float *x, size_t n, size_t heads)
{
    size_t half = reference->head / 2;
    for (size_t row = 0; row < n * heads; row++, x += 2 * half) {
        for (size_t d = 0; d < half; d++) {
            double angle = (double)(row / heads) * (double)reference->frequencies[d];
            float c = (float)cos(angle), s = (float)sin(angle), a = x[d], b = x[d + half];
            x[d] = a * c - b * s;
            x[d + half] = b * c + a * s;
        }
    }
}

/* What the query at position i sees of `count` keys of one head, `stride` apart, the last of them its own. */
static void attend_one(const struct reference *reference, const float *query, const float *keys, const float *values,
                       size_t count, size_t stride, float *shares, float *out)
{
    size_t head = reference->head;
    float most = -INFINITY, sum = 0;
    for (size_t j = 0; j < count; j++) {
        shares[j] = dot(query, keys + j * stride, head) / sqrtf((float)head);
        most = fmaxf(most, shares[j]);
    }
    for (size_t j = 0; j < count; j++)
        sum += shares[j] = expf(shares[j] - most);
    memset(out, 0, head * sizeof *out);
    for (size_t j = 0; j < count; j++)
        for (size_t d = 0; d < head; d++)
            out[d] += shares[j] / sum * values[j * stride + d];
}

/* queries, out: n x heads x head; keys, values: n x key_heads x head. Neighbouring heads share keys and values. */
static void attend(const struct reference *reference, const float *queries, const float *keys, const float *values,
                   size_t n, float *shares, float *out)
{
    size_t head = reference->head, heads = reference->heads, stride = reference->key_heads * head;
    for (size_t i = 0; i < n; i++) {
        size_t seen = reference->window && reference->window < i + 1 ? reference->window : i + 1;
        size_t first = (i + 1 - seen) * stride;
        for (size_t h = 0; h < heads; h++) {
            size_t shared = first + h / (heads / reference->key_heads) * head;
            attend_one(reference, queries + (i * heads + h) * head, keys + shared, values + shared, seen, stride,
                       shares, out + (i * heads + h) * head);
        }
    }
}

/* ---- The network ---------------------------------------------------------------------------- */

/* Working memory for n positions. */
struct scratch {
    float *x;              /* the residual stream: n x width */
    float *normed, *added; /* n x width */
    float *queries, *seen; /* n x heads x head */
    float *keys, *values;  /* n x key_heads x head */
    float *gate, *up;      /* n x inner */
    float *shares;         /* n */
};

static void attention_block(struct reference *reference, const char *place, size_t n, const struct scratch *s)
{
    size_t width = reference->width, head = reference->head;
    size_t heads = reference->heads, key_heads = reference->key_heads;
    norm(reference, place, "input_layernorm", true, s->x, n, width, s->normed);
    linear(reference, place, "self_attn.q_proj", s->normed, n, heads * head, width, s->queries);
    linear(reference, place, "self_attn.k_proj", s->normed, n, key_heads * head, width, s->keys);
    linear(reference, place, "self_attn.v_proj", s->normed, n, key_heads * head, width, s->values);
    norm(reference, place, "self_attn.q_norm", false, s->queries, n * heads, head, s->queries);
    norm(reference, place, "self_attn.k_norm", false, s->keys, n * key_heads, head, s->keys);
    rotate(reference, s->queries, n, heads);
    rotate(reference, s->keys, n, key_heads);
    attend(reference, s->queries, s->keys, s->values, n, s->shares, s->seen);
    linear(reference, place, "self_attn.o_proj", s->seen, n, width, heads * head, s->added);
    for (size_t i = 0; i < n * width; i++)
        s->x[i] += s->added[i];
}

static void inner_block(struct reference *reference, const char *place, size_t n, const struct scratch *s)
{
    size_t width = reference->width, inner = reference->inner;
    norm(reference, place, "post_attention_layernorm", true, s->x, n, width, s->normed);
    linear(reference, place, "mlp.gate_proj", s->normed, n, inner, width, s->gate);
    linear(reference, place, "mlp.up_proj", s->normed, n, inner, width, s->up);
    for (size_t i = 0; i < n * inner; i++)
        s->gate[i] = s->gate[i] / (1 + expf(-s->gate[i])) * s->up[i];
    linear(reference, place, "mlp.down_proj", s->gate, n, width, inner, s->added);
    for (size_t i = 0; i < n * width; i++)
        s->x[i] += s->added[i];
}

static void embed(struct reference *reference, const int32_t *tokens, size_t n, float *x)
{
    size_t width = reference->width;
    float *embedding = fetch_needed(reference, "model.embed_tokens.weight", reference->vocabulary * width);
    for (size_t i = 0; embedding && i < n; i++)
        memcpy(x + i * width, embedding + (size_t)tokens[i] * width, width * sizeof *x);
    free(embedding);
}

static bool scratch_allocate(const struct reference *reference, size_t n, struct scratch *s)
{
    size_t width = n * reference->width, heads = n * reference->heads * reference->head, inner = n * reference->inner;
    size_t key_heads = n * reference->key_heads * reference->head;
    float *all = calloc(3 * width + 2 * heads + 2 * key_heads + 2 * inner + n, sizeof *all);
    *s = (struct scratch){.x = all};
    if (!all)
        return false;
    s->normed = s->x + width;
    s->added = s->normed + width;
    s->queries = s->added + width;
    s->seen = s->queries + heads;
    s->keys = s->seen + heads;
    s->values = s->keys + key_heads;
    s->gate = s->values + key_heads;
    s->up = s->gate + inner;
    s->shares = s->up + inner;
    return true;
}

bool reference_evaluate(struct reference *reference, const int32_t *tokens, size_t count, float *logits)
{
    struct scratch s;
    char place[64];
    *reference->fault = 0;
    if (!scratch_allocate(reference, count, &s))
        return fail(reference, "out of memory");
    embed(reference, tokens, count, s.x);
    for (size_t layer = 0; layer < reference->layers && !*reference->fault; layer++) {
        snprintf(place, sizeof place, "model.layers.%zu.", layer);
        attention_block(reference, place, count, &s);
        inner_block(reference, place, count, &s);
    }
    norm(reference, "model.", "norm", true, s.x, count, reference->width, s.normed);
    linear(reference, reference->tied ? "model." : "", reference->tied ? "embed_tokens" : "lm_head", s.normed, count,
           reference->vocabulary, reference->width, logits);
    free(s.x);
    return !*reference->fault;
}
