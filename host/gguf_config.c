/* A config.json out of GGUF's metadata. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family.h"
#include "gguf.h"
#include "positions.h"

/* "architecture.name", the way keys of GGUF are made. */
struct key {
    char text[160];
};

static struct key key_of(const struct hc_gguf *gguf, const char *name)
{
    struct key key;
    snprintf(key.text, sizeof key.text, "%.60s.%.90s", gguf->architecture, name);
    return key;
}

/* The shortest decimal that is the same float: people wrote 1e-05, and a float of it was stored. */
static double tidy(double value)
{
    char text[40];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value)
            return strtod(text, NULL);
    }
    return value;
}

/* The value of a key as JSON; NULL if it is not there or no such number. */
static json_t *number_of(const struct hc_gguf *gguf, const char *key, bool is_float)
{
    uint64_t whole;
    double real;
    if (!is_float && hc_gguf_uint(gguf, key, &whole) && whole <= INT64_MAX)
        return json_integer((json_int_t)whole);
    if (is_float && hc_gguf_float(gguf, key, &real))
        return json_real(tidy(real)); /* NULL if it is not finite */
    return NULL;
}

/* Adds what there is; a missing number is not an error, a failing allocation is. */
static bool add_numbers(json_t *config, const struct hc_gguf *gguf)
{
    const struct hc_family *family = gguf->family;
    for (size_t i = 0; i < HC_FAMILY_TABLES && family->fields[i]; i++) {
        for (const struct hc_family_field *field = family->fields[i]; field->gguf; field++) {
            json_t *value = number_of(gguf, key_of(gguf, field->gguf).text, field->kind == HC_FIELD_FLOAT);
            if (value && json_object_set_new(config, field->hf, value) != 0)
                return false;
        }
    }
    static const char *const tokens[] = {"bos_token_id", "eos_token_id"};
    for (size_t i = 0; i < 2; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s", tokens[i]);
        json_t *value = number_of(gguf, key, false);
        if (value && json_object_set_new(config, tokens[i], value) != 0)
            return false;
    }
    return true;
}

/* What the tensors tell. */
static bool add_facts(json_t *config, const struct hc_source *source)
{
    int64_t embedding = hc_source_find(source, "model.embed_tokens.weight");
    bool tied = hc_source_find(source, "lm_head.weight") < 0;
    bool bias = hc_source_find(source, "model.layers.0.self_attn.q_proj.bias") >= 0;
    json_t *vocabulary = embedding >= 0 ? json_integer((json_int_t)source->tensors[embedding].shape[0]) : NULL;
    return vocabulary && json_object_set_new(config, "vocab_size", vocabulary) == 0 &&
           json_object_set_new(config, "tie_word_embeddings", json_boolean(tied)) == 0 &&
           json_object_set_new(config, "attention_bias", json_boolean(bias)) == 0 &&
           json_object_set_new(config, "hidden_act", json_string("silu")) == 0;
}

/* What Llama 3.1 and its successors share; the factor is told by their tensor of divisors. */
static const struct hc_rotary llama3 = {
    .kind = HC_ROTARY_LLAMA3, .low_factor = 1, .high_factor = 4, .original_context = 8192};

/* Whether a tensor of divisors, one for every pair of a head, is that of a model like Llama 3.1. */
static bool is_llama3(const struct hc_tensor *divisors, double theta, struct hc_rotary *rotary)
{
    const uint32_t pairs = divisors->rank == 1 && divisors->shape[0] <= 1024 ? (uint32_t)divisors->shape[0] : 0;
    const struct hc_rotary plain = {.theta = theta};
    float values[1024];
    if (divisors->type != HC_TYPE_F32 || pairs == 0 || !(theta > 1))
        return false;
    memcpy(values, divisors->data, pairs * sizeof *values);
    *rotary = llama3;
    rotary->theta = theta;
    rotary->factor = (double)values[pairs - 1];
    for (uint32_t i = 0; rotary->factor >= 1 && i < pairs; i++) {
        double divisor = hc_rotary_frequency(&plain, i, 2 * pairs) / hc_rotary_frequency(rotary, i, 2 * pairs);
        if (!(fabs(divisor - (double)values[i]) <= 1e-4 * divisor))
            return false;
    }
    return rotary->factor >= 1;
}

static bool has_text(const struct hc_gguf_entry *entry, const char *text)
{
    return entry && entry->type == HC_GGUF_STRING && entry->count == strlen(text) &&
           memcmp(entry->data, text, entry->count) == 0;
}

/* Whether positions are stretched by a factor: a file that names no type means this one. The second key is from before
 * there were types. */
static bool is_linear(const struct hc_gguf *gguf, const struct hc_gguf_entry *type, double *factor)
{
    bool known = hc_gguf_float(gguf, key_of(gguf, "rope.scaling.factor").text, factor) ||
                 hc_gguf_float(gguf, key_of(gguf, "rope.scale_linear").text, factor);
    return known && (type ? has_text(type, "linear") : *factor != 0 && *factor != 1);
}

/* How positions are stretched, as config.json tells it; JSON null if they are not, NULL if that cannot be told. */
static json_t *scaling_of(const struct hc_source *source)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct hc_gguf_entry *type = hc_gguf_find(gguf, key_of(gguf, "rope.scaling.type").text);
    const int64_t divisors = hc_source_find(source, "rope_freqs.weight");
    double factor, theta = 10000;
    struct hc_rotary rotary;
    hc_gguf_float(gguf, key_of(gguf, "rope.freq_base").text, &theta);
    bool linear = is_linear(gguf, type, &factor);
    if (linear && divisors < 0)
        return json_pack("{s:s, s:f}", "rope_type", "linear", "factor", tidy(factor));
    if (linear || (type && !has_text(type, "none")))
        return NULL;
    if (divisors < 0)
        return json_null();
    if (!is_llama3(&source->tensors[divisors], theta, &rotary))
        return NULL;
    return json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor", tidy(rotary.factor),
                     "low_freq_factor", rotary.low_factor, "high_freq_factor", rotary.high_factor,
                     "original_max_position_embeddings", (int)rotary.original_context);
}

/* Whether positions turn whole heads: a config.json of ours cannot tell of anything else. */
static bool turns_whole_heads(const struct hc_gguf *gguf)
{
    uint64_t turned, width, heads;
    if (!hc_gguf_uint(gguf, key_of(gguf, "rope.dimension_count").text, &turned))
        return true;
    if (hc_gguf_uint(gguf, key_of(gguf, "attention.key_length").text, &width))
        return turned == width;
    return !hc_gguf_uint(gguf, key_of(gguf, "embedding_length").text, &width) ||
           !hc_gguf_uint(gguf, key_of(gguf, "attention.head_count").text, &heads) || heads == 0 ||
           turned == width / heads;
}

static bool has_needed(const json_t *config)
{
    static const char *const needed[] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!json_object_get(config, needed[i]))
            return false;
    return true;
}

hc_status hc_gguf_config(const struct hc_source *source, json_t **config, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct hc_family *family = gguf->family;
    uint64_t experts = 0;
    *config = NULL;
    if (!family || hc_source_find(source, "model.embed_tokens.weight") < 0)
        return HC_OK;
    hc_gguf_uint(gguf, key_of(gguf, "expert_count").text, &experts);
    const char *class_name = experts > 0 ? family->expert_class_name : family->class_name;
    const char *model_type = experts > 0 ? family->expert_model_type : family->model_type;
    if (!class_name || !turns_whole_heads(gguf))
        return HC_OK;

    json_t *scaling = scaling_of(source);
    if (!scaling)
        return HC_OK;
    json_t *object =
        json_pack("{s:[s], s:s, s:o}", "architectures", class_name, "model_type", model_type, "rope_scaling", scaling);
    if (!object || !add_numbers(object, gguf) || !add_facts(object, source)) {
        json_decref(object);
        return hc_fail(error, HC_ERR_MEMORY, "out of memory while making a config.json");
    }
    if (has_needed(object))
        *config = object;
    else
        json_decref(object);
    return HC_OK;
}
