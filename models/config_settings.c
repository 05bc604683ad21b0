#include "config_settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct setting {
    const char *key;
    double neutral[2];
};

/* What other families have, by the names that their configurations use. */
static const struct setting foreign[] = {
    /* Factors: Granite, Cohere, MiniCPM, Falcon-H1 */
    {"embedding_multiplier", {1, 1}},
    {"residual_multiplier", {1, 1}},
    {"lm_head_multiplier", {1, 1}},
    {"logits_scaling", {1, 1}},
    {"logit_scale", {1, 1}},
    {"scale_emb", {1, 1}},
    /* Limits: Gemma, DBRX, OLMo */
    {"attn_logit_softcapping", {0, 0}},
    {"final_logit_softcapping", {0, 0}},
    {"clip_qkv", {0, 0}},
    /* Positions: Phi, GPT-NeoX, DeepSeek, MPT, Qwen-VL, SmolLM3, Llama 4 */
    {"rotary_pct", {1, 1}},
    {"rope_interleaved", {0, 0}},
    {"rope_interleave", {0, 0}},
    {"alibi", {0, 0}},
    {"use_mrope", {0, 0}},
    {"no_rope_layers", {1, 1}}, /* of every layer whether it has positions */
    {"no_rope_layer_interval", {0, 0}},
    /* Attention: Phi, StableLM, Llama 4, DeepSeek, Gemma 3, Mllama */
    {"qk_layernorm", {0, 0}},
    {"attention_chunk_size", {0, 0}},
    {"attn_temperature_tuning", {0, 0}},
    {"q_lora_rank", {0, 0}},
    {"kv_lora_rank", {0, 0}},
    {"num_kv_shared_layers", {0, 0}},
    {"use_bidirectional_attention", {0, 0}},
    {"is_causal", {1, 1}},
    {"is_encoder_decoder", {0, 0}},
    {"add_cross_attention", {0, 0}},
    {"cross_attention_layers", {0, 0}}, /* a list of them */
    /* Layers: GPT-NeoX, and mixtures of experts */
    {"use_parallel_residual", {0, 0}},
    {"num_experts", {0, 0}},
    {"num_local_experts", {0, 0}},
    {"n_routed_experts", {0, 0}},
    {"moe_num_experts", {0, 0}},
    /* Weights that are coded by others, whatever is said of it */
    {"quantization", {NAN, NAN}},
    {"compression_config", {NAN, NAN}},
};

/* Rounded numbers are neutral too: nobody writes all digits of a root. */
static bool is_close(double number, double neutral)
{
    return fabs(number - neutral) <= 1e-6 * fabs(neutral);
}

/* Absent, null, or one of the two numbers; true and false are 1 and 0. A list is if all in it are. */
static bool is_neutral(const json_t *value, const double *neutral)
{
    bool all = json_is_array(value);
    const double number = json_is_true(value) ? 1 : json_number_value(value);
    if (!value || json_is_null(value))
        return true;
    for (size_t i = 0; i < json_array_size(value); i++)
        all = all && is_neutral(json_array_get(value, i), neutral);
    return all || ((json_is_number(value) || json_is_boolean(value)) &&
                   (is_close(number, neutral[0]) || is_close(number, neutral[1])));
}

static void check(struct hc_config *config, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count && config->status == HC_OK; i++) {
        const json_t *value = json_object_get(config->json, settings[i].key);
        char text[96];
        if (is_neutral(value, settings[i].neutral))
            continue;
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        snprintf(text, sizeof text, "%s %.40s", settings[i].key, shown ? shown : "");
        free(shown);
        hc_config_refuse(config, text);
    }
}

void hc_config_settings(struct hc_config *config, const struct hc_decoder *decoder)
{
    const double width = decoder->head_width, theta = decoder->rotary.theta;
    const struct setting own[] = {
        {"attention_bias", {0, decoder->query_bias}},
        {"mlp_bias", {0, decoder->inner_bias}},
        {"use_qk_norm", {decoder->head_norms, decoder->head_norms}},
        {"attention_multiplier", {1 / sqrt(width), 1 / sqrt(width)}},    /* Granite, of what is otherwise this */
        {"query_pre_attn_scalar", {width, width}},                       /* Gemma, the same, squared and inverse */
        {"rope_local_base_freq", {theta, theta}},                        /* Gemma 3, of layers with a window */
        {"scale_depth", {sqrt(decoder->layers), sqrt(decoder->layers)}}, /* MiniCPM, divided by this */
        {"dim_model_base", {decoder->width, decoder->width}},            /* MiniCPM, of the logits: width / this */
    };
    check(config, own, sizeof own / sizeof *own);
    check(config, foreign, sizeof foreign / sizeof *foreign);
}
