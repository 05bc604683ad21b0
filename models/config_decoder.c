#include "config_decoder.h"

#include "config_rotary.h"

#include <stdio.h>
#include <string.h>

/* Far beyond what there is, and small enough that the bytes of any matrix, and of all caches together, fit 64 bits. */
enum {
    MAX_LAYERS = 1 << 12,
    MAX_WIDTH = 1 << 20, /* also of all heads together */
    MAX_HEADS = 1 << 12,
    MAX_HEAD_WIDTH = 512, /* kernels/attention */
    MAX_INNER_WIDTH = 1 << 22,
    MAX_VOCABULARY = 1 << 24
};

static const json_t *member(const struct hc_config *config, const char *key)
{
    const json_t *value = json_object_get(config->json, key);
    return json_is_null(value) ? NULL : value;
}

static void nonsense(struct hc_config *config, const char *key, const char *expected)
{
    if (config->status == HC_OK)
        config->status = hc_fail(config->error, HC_ERR_CORRUPT, "%s: %s is not %s", config->path, key, expected);
}

void hc_config_refuse(struct hc_config *config, const char *what)
{
    if (config->status == HC_OK)
        config->status = hc_fail(config->error, HC_ERR_UNSUPPORTED, "%s: %s is not supported", config->path, what);
}

uint32_t hc_config_count(struct hc_config *config, const char *key, uint32_t most, uint32_t fallback)
{
    const json_t *value = member(config, key);
    json_int_t number = json_integer_value(value);
    if (config->status != HC_OK || (!value && fallback > 0))
        return fallback > 0 ? fallback : 1;
    if (!value) {
        config->status = hc_fail(config->error, HC_ERR_CORRUPT, "%s: %s is missing", config->path, key);
        return 1;
    }
    if (!json_is_integer(value) || number < 1 || number > most) {
        config->status =
            hc_fail(config->error, HC_ERR_CORRUPT, "%s: %s is not a whole number of 1 to %u", config->path, key, most);
        return 1;
    }
    return (uint32_t)number;
}

bool hc_config_flag(struct hc_config *config, const char *key, bool fallback)
{
    const json_t *value = member(config, key);
    if (value && !json_is_boolean(value))
        nonsense(config, key, "true or false");
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

static void read_heads(struct hc_config *config, const struct hc_config_defaults *defaults, struct hc_decoder *decoder)
{
    uint32_t heads = hc_config_count(config, "num_attention_heads", MAX_HEADS, 0);
    /* Absent is the default of the class, null is as many as heads. */
    bool absent = !json_object_get(config->json, "num_key_value_heads");
    uint32_t groups = absent && defaults->key_value_heads ? defaults->key_value_heads : heads;
    groups = hc_config_count(config, "num_key_value_heads", MAX_HEADS, groups);
    if (heads % groups != 0)
        nonsense(config, "num_attention_heads", "a multiple of num_key_value_heads");
    if (!member(config, "head_dim") && defaults->head_width == 0 && decoder->width % heads != 0)
        nonsense(config, "hidden_size", "a multiple of num_attention_heads");
    uint32_t width = defaults->head_width ? defaults->head_width : decoder->width / heads;
    width = hc_config_count(config, "head_dim", MAX_HEAD_WIDTH, width);
    if (width == 0 || width % 2 != 0 || width > MAX_HEAD_WIDTH)
        nonsense(config, "the width of a head", "an even number of 2 to 512");
    if ((uint64_t)heads * width > MAX_WIDTH)
        nonsense(config, "the width of all heads", "a number of 2 to 1048576");
    decoder->heads = heads;
    decoder->key_value_heads = groups;
    decoder->head_width = width;
}

static float read_epsilon(struct hc_config *config)
{
    const json_t *value = member(config, "rms_norm_eps");
    float epsilon = value ? (float)json_number_value(value) : 1e-6F;
    if ((value && !json_is_number(value)) || !(epsilon > 0 && epsilon < 1))
        nonsense(config, "rms_norm_eps", "a number between 0 and 1");
    return epsilon;
}

static void check_activation(struct hc_config *config, const char *key)
{
    const json_t *value = member(config, key);
    const char *name = json_string_value(value);
    char text[80];
    if (value && !name) {
        nonsense(config, key, "a name");
    } else if (name && strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0) {
        snprintf(text, sizeof text, "%s \"%.40s\"", key, name);
        hc_config_refuse(config, text);
    }
}

/* Weights of another method are no weights to us. */
static void check_quantization(struct hc_config *config)
{
    const json_t *value = member(config, "quantization_config");
    const char *method = json_string_value(json_object_get(value, "quant_method"));
    char text[80];
    if (!value || (method && strcmp(method, "hyperc") == 0))
        return;
    snprintf(text, sizeof text, "quantization by \"%.40s\"", method ? method : "an unnamed method");
    hc_config_refuse(config, text);
}

static void check_layer_types(struct hc_config *config)
{
    const json_t *types = member(config, "layer_types");
    char text[80];
    if (types && !json_is_array(types))
        nonsense(config, "layer_types", "a list");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *name = json_string_value(json_array_get(types, i));
        if (name && strcmp(name, "full_attention") == 0)
            continue;
        snprintf(text, sizeof text, "layer_types \"%.40s\"", name ? name : "?");
        hc_config_refuse(config, text);
    }
}

void hc_config_decoder(struct hc_config *config, const struct hc_config_defaults *defaults, struct hc_decoder *decoder)
{
    *decoder = (struct hc_decoder){
        .layers = hc_config_count(config, "num_hidden_layers", MAX_LAYERS, 0),
        .width = hc_config_count(config, "hidden_size", MAX_WIDTH, 0),
        .inner_width = hc_config_count(config, "intermediate_size", MAX_INNER_WIDTH, 0),
        .vocabulary = hc_config_count(config, "vocab_size", MAX_VOCABULARY, 0),
        .context = hc_config_count(config, "max_position_embeddings", HC_CONFIG_MAX_CONTEXT, defaults->context),
        .norm_epsilon = read_epsilon(config),
        .tied = hc_config_flag(config, "tie_word_embeddings", false),
    };
    read_heads(config, defaults, decoder);
    hc_config_rotary(config, &decoder->rotary);
    check_activation(config, "hidden_act");
    check_activation(config, "hidden_activation"); /* as Gemma calls it */
    check_quantization(config);
    check_layer_types(config);
}
