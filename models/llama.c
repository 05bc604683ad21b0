/* LLaMA and what shares its architecture in GGUF: Mistral, Mixtral, SmolLM and others. */
#include "config_decoder.h"
#include "config_settings.h"
#include "names.h"

static const struct hc_family_name layer[] = {
    {"attn_q", "self_attn.q_proj", HC_ROWS_QUERY},
    {"attn_k", "self_attn.k_proj", HC_ROWS_KEY},
    {NULL, NULL, HC_ROWS_SAME},
};

/* Mixtral's */
static const struct hc_family_name experts[] = {
    {"ffn_gate_inp", "block_sparse_moe.gate", HC_ROWS_SAME},
    {"ffn_gate_exps", "block_sparse_moe.experts.*.w1", HC_ROWS_SAME},
    {"ffn_down_exps", "block_sparse_moe.experts.*.w2", HC_ROWS_SAME},
    {"ffn_up_exps", "block_sparse_moe.experts.*.w3", HC_ROWS_SAME},
    {NULL, NULL, HC_ROWS_SAME},
};

static const struct hc_family_field expert_fields[] = {
    {"expert_count", "num_local_experts", HC_FIELD_UINT},
    {NULL, NULL, HC_FIELD_UINT},
};

const struct hc_family hc_family_llama = {
    .architecture = "llama",
    .names = hc_names_decoder,
    .layer_names = {layer, hc_names_layer, experts},
    .fields = {hc_fields_decoder, expert_fields},
    .model_type = "llama",
    .class_name = "LlamaForCausalLM",
    .expert_model_type = "mixtral",
    .expert_class_name = "MixtralForCausalLM",
    .window_model_type = "mistral",
    .window_class_name = "MistralForCausalLM",
};

hc_status hc_configure_llama(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error)
{
    struct hc_config config = {json, path, HC_OK, error};
    const struct hc_config_defaults defaults = {.context = 2048};
    hc_config_decoder(&config, &defaults, decoder);
    decoder->query_bias = decoder->output_bias = hc_config_flag(&config, "attention_bias", false);
    decoder->inner_bias = hc_config_flag(&config, "mlp_bias", false);
    hc_config_settings(&config, decoder);
    return config.status;
}
