/* A config.json out of GGUF's metadata. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family.h"
#include "gguf.h"
#include "positions.h"

static const char QUERY_BIAS[] = "model.layers.0.self_attn.q_proj.bias";

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

/* Whether the value of a key is a number that JSON can tell; *whole or *real is it. */
static bool read_number(const struct hc_gguf *gguf, const char *key, bool is_float, uint64_t *whole, double *real)
{
    return is_float ? hc_gguf_float(gguf, key, real) && isfinite(*real)
                    : hc_gguf_uint(gguf, key, whole) && *whole <= INT64_MAX;
}

/* The value of a key as JSON; NULL if it is not there or no such number. */
static json_t *number_of(const struct hc_gguf *gguf, const char *key, bool is_float)
{
    uint64_t whole;
    double real;
    if (!read_number(gguf, key, is_float, &whole, &real))
        return NULL;
    return is_float ? json_real(tidy(real)) : json_integer((json_int_t)whole);
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
    bool bias = hc_source_find(source, QUERY_BIAS) >= 0;
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

static hc_status refuse_divisors(const struct hc_source *source, struct hc_error *error)
{
    return hc_fail(error, HC_ERR_UNSUPPORTED,
                   "%s: divisors of positions other than those of Llama 3.1 are not known (rope_freqs.weight)",
                   source->path);
}

static hc_status refuse_scaling(const struct hc_source *source, const struct hc_gguf_entry *type,
                                struct hc_error *error)
{
    const struct key key = key_of(source->gguf, "rope.scaling.type");
    if (has_text(type, "linear"))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the RoPE scaling of this GGUF has no factor (%s)", source->path,
                       key_of(source->gguf, "rope.scaling.factor").text);
    if (type->type != HC_GGUF_STRING)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: %s is not a string", source->path, key.text);
    return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the RoPE scaling '%.*s' of this GGUF is not known (%s)",
                   source->path, (int)(type->count < 60 ? type->count : 60), (const char *)type->data, key.text);
}

/* How positions are stretched, as config.json tells it; JSON null if they are not. */
static hc_status scaling_of(const struct hc_source *source, json_t **scaling, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct hc_gguf_entry *type = hc_gguf_find(gguf, key_of(gguf, "rope.scaling.type").text);
    const int64_t divisors = hc_source_find(source, "rope_freqs.weight");
    double factor, theta = 10000;
    struct hc_rotary rotary;
    hc_gguf_float(gguf, key_of(gguf, "rope.freq_base").text, &theta);
    bool linear = is_linear(gguf, type, &factor);
    if (!linear && type && !has_text(type, "none"))
        return refuse_scaling(source, type, error);
    if (divisors >= 0 && (linear || !is_llama3(&source->tensors[divisors], theta, &rotary)))
        return refuse_divisors(source, error);
    if (linear)
        *scaling = json_pack("{s:s, s:f}", "rope_type", "linear", "factor", tidy(factor));
    else if (divisors < 0)
        *scaling = json_null();
    else
        *scaling = json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor", tidy(rotary.factor),
                             "low_freq_factor", rotary.low_factor, "high_freq_factor", rotary.high_factor,
                             "original_max_position_embeddings", (int)rotary.original_context);
    return *scaling ? HC_OK : hc_no_memory(error);
}

/* Positions turn whole heads: a config.json of ours cannot tell of anything else. */
static hc_status check_turned(const struct hc_source *source, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct key key = key_of(gguf, "rope.dimension_count");
    uint64_t turned, width, heads;
    if (!hc_gguf_uint(gguf, key.text, &turned))
        return HC_OK;
    if (!hc_gguf_uint(gguf, key_of(gguf, "attention.key_length").text, &width)) {
        if (!hc_gguf_uint(gguf, key_of(gguf, "embedding_length").text, &width) ||
            !hc_gguf_uint(gguf, key_of(gguf, "attention.head_count").text, &heads) || heads == 0)
            return HC_OK;
        width /= heads;
    }
    return turned == width ? HC_OK
                           : hc_fail(error, HC_ERR_UNSUPPORTED,
                                     "%s: RoPE of %llu of the %llu numbers of a head is not supported (%s)",
                                     source->path, (unsigned long long)turned, (unsigned long long)width, key.text);
}

/* Settings that change what a model computes, none of them known to a decoder of ours, and the values that mean that
 * they are not used. */
static const struct {
    const char *name;
    double neutral[2];
} unknown_settings[] = {
    {"attention.scale", {0, 0}}, /* 0: by the width of a head */
    {"attention.clamp_kqv", {0, 0}},
    {"attention.max_alibi_bias", {0, 0}},
    {"attention.logit_softcapping", {0, 0}},
    {"attn_logit_softcapping", {0, 0}}, /* llama.cpp's name for it */
    {"final_logit_softcapping", {0, 0}},
    {"logit_scale", {0, 1}},
    {"embedding_scale", {0, 1}},
    {"residual_scale", {0, 1}},
    {"rope.scaling.attn_factor", {1, 1}},
};

static hc_status check_settings(const struct hc_source *source, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    for (size_t i = 0; i < sizeof unknown_settings / sizeof *unknown_settings; i++) {
        const struct key key = key_of(gguf, unknown_settings[i].name);
        const double *neutral = unknown_settings[i].neutral;
        double value;
        if (!hc_gguf_find(gguf, key.text))
            continue;
        if (!hc_gguf_float(gguf, key.text, &value))
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: %s is not a number of at least 0", source->path, key.text);
        if (value != neutral[0] && value != neutral[1])
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: %s is %g, which is not supported", source->path, key.text,
                           tidy(value));
    }
    return HC_OK;
}

/* A number of the family that is there and cannot be read, as where every layer has its own, must not count as absent.
 */
static hc_status check_numbers(const struct hc_source *source, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct hc_family *family = gguf->family;
    for (size_t i = 0; i < HC_FAMILY_TABLES && family->fields[i]; i++) {
        for (const struct hc_family_field *field = family->fields[i]; field->gguf; field++) {
            const struct key key = key_of(gguf, field->gguf);
            const struct hc_gguf_entry *entry = hc_gguf_find(gguf, key.text);
            uint64_t whole;
            double real;
            if (entry && !read_number(gguf, key.text, field->kind == HC_FIELD_FLOAT, &whole, &real))
                return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: %s is %s, which is not supported", source->path,
                               key.text, entry->type == HC_GGUF_ARRAY ? "a list" : "no such number");
        }
    }
    return HC_OK;
}

static hc_status check_causal(const struct hc_source *source, struct hc_error *error)
{
    const struct key key = key_of(source->gguf, "attention.causal");
    const struct hc_gguf_entry *entry = hc_gguf_find(source->gguf, key.text);
    return !entry || (entry->type == HC_GGUF_BOOL && *entry->data)
               ? HC_OK
               : hc_fail(error, HC_ERR_UNSUPPORTED, "%s: attention to positions that follow is not supported (%s)",
                         source->path, key.text);
}

/* What decides on the class of a network. */
struct kind {
    const char *class_name, *model_type;
    uint64_t window; /* 0: every position sees all before it */
};

/* A window as long as the context is none. */
static hc_status find_window(const struct hc_source *source, uint64_t *window, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct key key = key_of(gguf, "attention.sliding_window");
    uint64_t context;
    *window = 0;
    if (hc_gguf_find(gguf, key.text) && !hc_gguf_uint(gguf, key.text, window))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: %s is not a whole number of at least 0", source->path, key.text);
    if (hc_gguf_uint(gguf, key_of(gguf, "context_length").text, &context) && *window >= context)
        *window = 0;
    return HC_OK;
}

static hc_status find_kind(const struct hc_source *source, struct kind *kind, struct hc_error *error)
{
    const struct hc_gguf *gguf = source->gguf;
    const struct hc_family *family = gguf->family;
    uint64_t experts = 0;
    if (!family)
        return hc_fail(error, HC_ERR_UNSUPPORTED,
                       "%s: the architecture '%s' of this GGUF is not known (general.architecture)", source->path,
                       gguf->architecture);
    hc_status status = find_window(source, &kind->window, error);
    if (status != HC_OK)
        return status;
    hc_gguf_uint(gguf, key_of(gguf, "expert_count").text, &experts);
    const bool biased = hc_source_find(source, QUERY_BIAS) >= 0; /* no class has these and a window */
    if (kind->window > 0 && (experts > 0 || biased || !family->window_class_name))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: a sliding window is not supported here (%s)", source->path,
                       key_of(gguf, "attention.sliding_window").text);
    kind->class_name = experts > 0        ? family->expert_class_name
                       : kind->window > 0 ? family->window_class_name
                                          : family->class_name;
    kind->model_type = experts > 0        ? family->expert_model_type
                       : kind->window > 0 ? family->window_model_type
                                          : family->model_type;
    return kind->class_name
               ? HC_OK
               : hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the architecture '%s' %s experts is not known (%s)",
                         source->path, gguf->architecture, experts > 0 ? "with" : "without",
                         key_of(gguf, "expert_count").text);
}

/* Mistral's class takes other numbers for granted than a GGUF does. */
static bool add_window(json_t *config, const struct kind *kind)
{
    json_t *heads = json_object_get(config, "num_attention_heads");
    if (kind->window == 0)
        return true;
    if (heads && !json_object_get(config, "num_key_value_heads") &&
        json_object_set(config, "num_key_value_heads", heads) != 0)
        return false;
    return json_object_set_new(config, "sliding_window", json_integer((json_int_t)kind->window)) == 0;
}

static hc_status check_needed(const struct hc_source *source, const json_t *config, struct hc_error *error)
{
    static const struct {
        const char *hf, *gguf;
    } needed[] = {{"hidden_size", "embedding_length"},
                  {"num_hidden_layers", "block_count"},
                  {"num_attention_heads", "attention.head_count"},
                  {"rms_norm_eps", "attention.layer_norm_rms_epsilon"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!json_object_get(config, needed[i].hf))
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: %s is missing, or no such number", source->path,
                           key_of(source->gguf, needed[i].gguf).text);
    return HC_OK;
}

static hc_status check_all(const struct hc_source *source, struct kind *kind, json_t **scaling, struct hc_error *error)
{
    hc_status status;
    HC_TRY(find_kind(source, kind, error));
    if (hc_source_find(source, "model.embed_tokens.weight") < 0)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: there is no tensor token_embd.weight", source->path);
    HC_TRY(check_turned(source, error));
    HC_TRY(check_numbers(source, error));
    HC_TRY(check_settings(source, error));
    HC_TRY(check_causal(source, error));
    HC_TRY(scaling_of(source, scaling, error));
done:
    return status;
}

hc_status hc_gguf_config(const struct hc_source *source, json_t **config, struct hc_error *error)
{
    struct kind kind;
    json_t *scaling, *object;
    *config = NULL;
    hc_status status = check_all(source, &kind, &scaling, error);
    if (status != HC_OK)
        return status;
    object = json_pack("{s:[s], s:s, s:o}", "architectures", kind.class_name, "model_type", kind.model_type,
                       "rope_scaling", scaling);
    if (!object || !add_numbers(object, source->gguf) || !add_facts(object, source) || !add_window(object, &kind)) {
        json_decref(object);
        return hc_fail(error, HC_ERR_MEMORY, "out of memory while making a config.json");
    }
    status = check_needed(source, object, error);
    if (status == HC_OK)
        *config = object;
    else
        json_decref(object);
    return status;
}
