#include "names.h"

const struct hc_family_name hc_names_decoder[] = {
    {"token_embd", "model.embed_tokens", HC_ROWS_SAME},
    {"output_norm", "model.norm", HC_ROWS_SAME},
    {"output", "lm_head", HC_ROWS_SAME},
    {NULL, NULL, HC_ROWS_SAME},
};

const struct hc_family_name hc_names_layer[] = {
    {"attn_norm", "input_layernorm", HC_ROWS_SAME},    {"attn_v", "self_attn.v_proj", HC_ROWS_SAME},
    {"attn_output", "self_attn.o_proj", HC_ROWS_SAME}, {"attn_q_norm", "self_attn.q_norm", HC_ROWS_SAME},
    {"attn_k_norm", "self_attn.k_norm", HC_ROWS_SAME}, {"ffn_norm", "post_attention_layernorm", HC_ROWS_SAME},
    {"ffn_gate", "mlp.gate_proj", HC_ROWS_SAME},       {"ffn_up", "mlp.up_proj", HC_ROWS_SAME},
    {"ffn_down", "mlp.down_proj", HC_ROWS_SAME},       {NULL, NULL, HC_ROWS_SAME},
};

const struct hc_family_name hc_names_qk[] = {
    {"attn_q", "self_attn.q_proj", HC_ROWS_SAME},
    {"attn_k", "self_attn.k_proj", HC_ROWS_SAME},
    {NULL, NULL, HC_ROWS_SAME},
};

const struct hc_family_name hc_names_qwen_experts[] = {
    {"ffn_gate_inp", "mlp.gate", HC_ROWS_SAME},
    {"ffn_gate_exps", "mlp.experts.*.gate_proj", HC_ROWS_SAME},
    {"ffn_up_exps", "mlp.experts.*.up_proj", HC_ROWS_SAME},
    {"ffn_down_exps", "mlp.experts.*.down_proj", HC_ROWS_SAME},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate", HC_ROWS_SAME},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj", HC_ROWS_SAME},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj", HC_ROWS_SAME},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj", HC_ROWS_SAME},
    {NULL, NULL, HC_ROWS_SAME},
};

const struct hc_family_field hc_fields_decoder[] = {
    {"embedding_length", "hidden_size", HC_FIELD_UINT},
    {"feed_forward_length", "intermediate_size", HC_FIELD_UINT},
    {"block_count", "num_hidden_layers", HC_FIELD_UINT},
    {"attention.head_count", "num_attention_heads", HC_FIELD_UINT},
    {"attention.head_count_kv", "num_key_value_heads", HC_FIELD_UINT},
    {"attention.key_length", "head_dim", HC_FIELD_UINT},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", HC_FIELD_FLOAT},
    {"rope.freq_base", "rope_theta", HC_FIELD_FLOAT},
    {"context_length", "max_position_embeddings", HC_FIELD_UINT},
    {"expert_used_count", "num_experts_per_tok", HC_FIELD_UINT},
    {NULL, NULL, HC_FIELD_UINT},
};

const struct hc_family_field hc_fields_qwen_experts[] = {
    {"expert_count", "num_experts", HC_FIELD_UINT},
    {"expert_feed_forward_length", "moe_intermediate_size", HC_FIELD_UINT},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size", HC_FIELD_UINT},
    {NULL, NULL, HC_FIELD_UINT},
};
