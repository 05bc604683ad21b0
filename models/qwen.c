#include "config_decoder.h"
#include "config_settings.h"
#include "names.h"

const struct hc_family hc_family_qwen2 = {
    .architecture = "qwen2",
    .names = hc_names_decoder,
    .layer_names = {hc_names_qk, hc_names_layer},
    .fields = {hc_fields_decoder},
    .model_type = "qwen2",
    .class_name = "Qwen2ForCausalLM",
};

const struct hc_family hc_family_qwen2moe = {
    .architecture = "qwen2moe",
    .names = hc_names_decoder,
    .layer_names = {hc_names_qk, hc_names_layer, hc_names_qwen_experts},
    .fields = {hc_fields_decoder, hc_fields_qwen_experts},
    .expert_model_type = "qwen2_moe",
    .expert_class_name = "Qwen2MoeForCausalLM",
};

const struct hc_family hc_family_qwen3 = {
    .architecture = "qwen3",
    .names = hc_names_decoder,
    .layer_names = {hc_names_qk, hc_names_layer},
    .fields = {hc_fields_decoder},
    .model_type = "qwen3",
    .class_name = "Qwen3ForCausalLM",
};

const struct hc_family hc_family_qwen3moe = {
    .architecture = "qwen3moe",
    .names = hc_names_decoder,
    .layer_names = {hc_names_qk, hc_names_layer, hc_names_qwen_experts},
    .fields = {hc_fields_decoder, hc_fields_qwen_experts},
    .expert_model_type = "qwen3_moe",
    .expert_class_name = "Qwen3MoeForCausalLM",
};

/* A sliding window of the layers from max_window_layers on is refused where it would be felt. */
static void check_window(struct hc_config *config, const struct hc_decoder *decoder)
{
    if (!hc_config_flag(config, "use_sliding_window", false) ||
        json_is_null(json_object_get(config->json, "sliding_window")))
        return;
    uint32_t window = hc_config_count(config, "sliding_window", HC_CONFIG_MAX_CONTEXT, 4096);
    const json_t *value = json_object_get(config->json, "max_window_layers");
    json_int_t full = json_is_integer(value) ? json_integer_value(value) : value ? 0 : 28;
    if (window < decoder->context && full < decoder->layers)
        hc_config_refuse(config, "use_sliding_window");
}

hc_status hc_configure_qwen2(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error)
{
    struct hc_config config = {json, path, HC_OK, error};
    const struct hc_config_defaults defaults = {.key_value_heads = 32, .context = 32768};
    hc_config_decoder(&config, &defaults, decoder);
    decoder->query_bias = true;
    check_window(&config, decoder);
    hc_config_settings(&config, decoder);
    return config.status;
}

hc_status hc_configure_qwen3(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error)
{
    struct hc_config config = {json, path, HC_OK, error};
    const struct hc_config_defaults defaults = {.key_value_heads = 32, .head_width = 128, .context = 32768};
    hc_config_decoder(&config, &defaults, decoder);
    decoder->query_bias = decoder->output_bias = hc_config_flag(&config, "attention_bias", false);
    decoder->head_norms = true;
    check_window(&config, decoder);
    hc_config_settings(&config, decoder);
    return config.status;
}
