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
