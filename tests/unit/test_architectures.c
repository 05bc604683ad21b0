/* What config.json says of a decoder, what is taken where it is silent, and what is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "architecture.h"

static const char *const bare =
    "{\"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 3, \"num_attention_heads\": 8,"
    " \"vocab_size\": 100, \"num_key_value_heads\": 4, \"max_position_embeddings\": 512}";

static const struct hc_architecture *find(const char *class_name)
{
    for (size_t i = 0; hc_architectures[i]; i++)
        if (strcmp(hc_architectures[i]->class_name, class_name) == 0)
            return hc_architectures[i];
    cr_assert(false, "%s is not known", class_name);
    return NULL;
}

/* The bare configuration with the members of `change` put in, without those that `change` has as "absent". */
static json_t *changed(const char *change)
{
    json_t *config = json_loads(bare, 0, NULL), *members = json_loads(change, 0, NULL), *value;
    const char *key;
    cr_assert(config && members, "%s", change);
    json_object_foreach(members, key, value)
    {
        bool absent = json_is_string(value) && strcmp(json_string_value(value), "absent") == 0;
        cr_assert_eq(absent ? json_object_del(config, key) : json_object_set(config, key, value), 0);
    }
    json_decref(members);
    return config;
}

static struct hc_decoder read_config(const char *class_name, const char *change)
{
    struct hc_error error = {""};
    struct hc_decoder decoder;
    json_t *config = changed(change);
    hc_status status = find(class_name)->configure(config, "config.json", &decoder, &error);
    cr_assert_eq(status, HC_OK, "%s: %s", change, error.text);
    json_decref(config);
    return decoder;
}

static void check_refused(const char *class_name, const char *change, hc_status expected, const char *fragment)
{
    struct hc_error error = {""};
    struct hc_decoder decoder;
    json_t *config = changed(change);
    hc_status status = find(class_name)->configure(config, "config.json", &decoder, &error);
    cr_assert_eq(status, expected, "%s %s: %d %s", class_name, change, (int)status, error.text);
    cr_assert(strstr(error.text, fragment) && strstr(error.text, "config.json"), "%s: %s", change, error.text);
    json_decref(config);
}

/* ---- What is there, and what is taken else --------------------------------------------------- */

Test(architectures, shape)
{
    static const char *const all[] = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct hc_decoder decoder = read_config(all[i], "{}");
        cr_assert_eq(decoder.width, 64);
        cr_assert_eq(decoder.inner_width, 96);
        cr_assert_eq(decoder.layers, 3);
        cr_assert_eq(decoder.heads, 8);
        cr_assert_eq(decoder.key_value_heads, 4);
        cr_assert_eq(decoder.head_width, 8);
        cr_assert_eq(decoder.vocabulary, 100);
        cr_assert_eq(decoder.context, 512);
        cr_assert_float_eq(decoder.norm_epsilon, 1e-6F, 0);
        cr_assert_eq(decoder.rotary.kind, HC_ROTARY_PLAIN);
        cr_assert_float_eq(decoder.rotary.theta, 10000, 0);
        cr_assert_not(decoder.tied);
        cr_assert_not(decoder.head_norms);
    }
}

Test(architectures, defaults_of_classes)
{
    struct hc_decoder llama = read_config("LlamaForCausalLM", "{\"num_key_value_heads\": \"absent\","
                                                              " \"max_position_embeddings\": \"absent\"}");
    cr_assert_eq(llama.key_value_heads, 8);
    cr_assert_eq(llama.context, 2048);
    cr_assert(!llama.query_bias && !llama.output_bias && !llama.inner_bias);
    struct hc_decoder mistral = read_config("MistralForCausalLM", "{\"num_key_value_heads\": \"absent\","
                                                                  " \"num_attention_heads\": 16,"
                                                                  " \"max_position_embeddings\": \"absent\"}");
    cr_assert_eq(mistral.key_value_heads, 8);
    cr_assert_eq(mistral.context, 131072);
    struct hc_decoder qwen2 = read_config("Qwen2ForCausalLM", "{\"max_position_embeddings\": \"absent\"}");
    cr_assert_eq(qwen2.context, 32768);
    cr_assert(qwen2.query_bias && !qwen2.output_bias && !qwen2.inner_bias);
    struct hc_decoder qwen3 = read_config("Qwen3ForCausalLM", "{}");
    cr_assert_eq(qwen3.head_width, 128);
    cr_assert(qwen3.head_norms && !qwen3.query_bias);
}

Test(architectures, settings)
{
    struct hc_decoder llama = read_config("LlamaForCausalLM", "{\"attention_bias\": true, \"mlp_bias\": true,"
                                                              " \"head_dim\": 10, \"tie_word_embeddings\": true,"
                                                              " \"rms_norm_eps\": 1e-5, \"rope_theta\": 500000,"
                                                              " \"num_key_value_heads\": null, \"hidden_act\": null}");
    cr_assert(llama.query_bias && llama.output_bias && llama.inner_bias && llama.tied);
    cr_assert_eq(llama.head_width, 10);
    cr_assert_eq(llama.key_value_heads, 8);
    cr_assert_float_eq(llama.norm_epsilon, 1e-5F, 0);
    cr_assert_float_eq(llama.rotary.theta, 500000, 0);
    struct hc_decoder qwen3 = read_config("Qwen3ForCausalLM", "{\"head_dim\": 16, \"attention_bias\": true}");
    cr_assert_eq(qwen3.head_width, 16);
    cr_assert(qwen3.query_bias && qwen3.output_bias);
}

/* What makes no difference, or is ours. */
Test(architectures, harmless)
{
    read_config("LlamaForCausalLM",
                "{\"attention_dropout\": 0.1, \"use_cache\": false, \"pretraining_tp\": 2,"
                " \"partial_rotary_factor\": 1.0, \"rope_scaling\": null, \"hidden_act\": \"swish\","
                " \"quantization_config\": {\"quant_method\": \"hyperc\", \"bits\": 4.0},"
                " \"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\"]}");
    read_config("LlamaForCausalLM", "{\"quantization_config\": null, \"sliding_window\": 16}");
}

Test(architectures, sliding_window)
{
    static const struct {
        const char *class_name, *change;
        uint32_t window;
    } cases[] = {
        {"MistralForCausalLM", "{\"sliding_window\": null}", 0},
        {"MistralForCausalLM", "{\"sliding_window\": 128}", 128},
        {"MistralForCausalLM", "{\"sliding_window\": 511}", 511},
        {"MistralForCausalLM", "{\"sliding_window\": 512}", 0}, /* as large as the context */
        {"MistralForCausalLM", "{}", 0},
        {"MistralForCausalLM", "{\"max_position_embeddings\": 32768}", 4096},
        {"LlamaForCausalLM", "{\"sliding_window\": 128}", 0},
        {"Qwen2ForCausalLM", "{\"use_sliding_window\": false, \"sliding_window\": 128, \"max_window_layers\": 0}", 0},
        {"Qwen2ForCausalLM", "{\"use_sliding_window\": true, \"sliding_window\": 128, \"max_window_layers\": 3}", 0},
        {"Qwen2ForCausalLM", "{\"use_sliding_window\": true, \"sliding_window\": 128}", 0}, /* 28 layers see all */
        {"Qwen3ForCausalLM", "{\"use_sliding_window\": true, \"sliding_window\": 512, \"max_window_layers\": 0}", 0},
        {"Qwen3ForCausalLM", "{\"use_sliding_window\": true, \"sliding_window\": null, \"max_window_layers\": 0}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(read_config(cases[i].class_name, cases[i].change).window, cases[i].window, "%s", cases[i].change);
    static const char *const classes[] = {"Qwen2ForCausalLM", "Qwen3ForCausalLM"};
    for (size_t i = 0; i < 2; i++) {
        check_refused(classes[i], "{\"use_sliding_window\": true, \"sliding_window\": 128, \"max_window_layers\": 2}",
                      HC_ERR_UNSUPPORTED, "use_sliding_window");
        check_refused(classes[i], "{\"use_sliding_window\": true, \"sliding_window\": 128, \"num_hidden_layers\": 29}",
                      HC_ERR_UNSUPPORTED, "use_sliding_window");
    }
}

Test(architectures, positions)
{
    struct hc_rotary linear =
        read_config("LlamaForCausalLM", "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}}").rotary;
    cr_assert_eq(linear.kind, HC_ROTARY_LINEAR);
    cr_assert_float_eq(linear.factor, 4, 0);
    static const char *const llama3[] = {
        "{\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 32.0,"
        " \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}}",
        "{\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 32, \"rope_theta\": 500000,"
        " \"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct hc_rotary rotary = read_config("LlamaForCausalLM", llama3[i]).rotary;
        cr_assert_eq(rotary.kind, HC_ROTARY_LLAMA3);
        cr_assert_float_eq(rotary.theta, 500000, 0);
        cr_assert_float_eq(rotary.factor, 32, 0);
        cr_assert_float_eq(rotary.low_factor, 1, 0);
        cr_assert_float_eq(rotary.high_factor, 4, 0);
        cr_assert_eq(rotary.original_context, 8192);
    }
    struct hc_rotary plain =
        read_config("Qwen3ForCausalLM", "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}}")
            .rotary;
    cr_assert_eq(plain.kind, HC_ROTARY_PLAIN);
    cr_assert_float_eq(plain.theta, 1e6, 0);
}

/* ---- What is refused -------------------------------------------------------------------------- */

Test(architectures, unsupported)
{
    static const char *const cases[][2] = {
        {"{\"hidden_act\": \"gelu\"}", "hidden_act \"gelu\""},
        {"{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}", "\"dynamic\""},
        {"{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2}}", "\"yarn\""},
        {"{\"rope_scaling\": {\"rope_type\": \"longrope\"}}", "\"longrope\""},
        {"{\"rope_scaling\": {\"rope_type\": 7}}", "rope_scaling"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"attention_factor\": 2}}", "attention_factor"},
        {"{\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}}", "full_attention"},
        {"{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor"},
        {"{\"rope_parameters\": {\"partial_rotary_factor\": 0.5}}", "partial_rotary_factor"},
        {"{\"quantization_config\": {\"quant_method\": \"gptq\"}}", "\"gptq\""},
        {"{\"quantization_config\": {}}", "unnamed"},
        {"{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}", "\"sliding_attention\""},
        {"{\"layer_types\": [7]}", "layer_types"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused("LlamaForCausalLM", cases[i][0], HC_ERR_UNSUPPORTED, cases[i][1]);
}

/* Settings of other families: what says that they are not used passes, all else is refused by name. */
Test(architectures, foreign_settings)
{
    static const struct {
        const char *key, *neutral, *felt;
    } cases[] = {
        {"hidden_activation", "\"silu\"", "\"gelu_pytorch_tanh\""},
        {"embedding_multiplier", "1", "12"},
        {"residual_multiplier", "1.0", "0.22"},
        {"lm_head_multiplier", "1.0", "0.0390625"},
        {"logits_scaling", "1", "8"},
        {"logit_scale", "1.0", "0.0625"},
        {"scale_emb", "1", "12"},
        {"attn_logit_softcapping", "null", "50.0"},
        {"final_logit_softcapping", "null", "30.0"},
        {"clip_qkv", "null", "8"},
        {"rotary_pct", "1.0", "0.25"},
        {"rope_interleaved", "false", "true"},
        {"rope_interleave", "false", "true"},
        {"alibi", "false", "true"},
        {"use_mrope", "false", "true"},
        {"no_rope_layers", "[1, 1, 1]", "[1, 1, 0]"},
        {"no_rope_layer_interval", "0", "4"},
        {"qk_layernorm", "false", "true"},
        {"attention_chunk_size", "null", "8192"},
        {"attn_temperature_tuning", "false", "true"},
        {"q_lora_rank", "null", "1536"},
        {"kv_lora_rank", "null", "512"},
        {"num_kv_shared_layers", "0", "10"},
        {"use_bidirectional_attention", "false", "true"},
        {"is_causal", "true", "false"},
        {"is_encoder_decoder", "false", "true"},
        {"add_cross_attention", "false", "true"},
        {"cross_attention_layers", "[]", "[1]"},
        {"use_parallel_residual", "false", "true"},
        {"num_experts", "0", "8"},
        {"num_local_experts", "0", "8"},
        {"n_routed_experts", "null", "64"},
        {"moe_num_experts", "0", "16"},
        {"quantization", "null", "{\"group_size\": 64, \"bits\": 4}"},
        {"compression_config", "null", "{\"format\": \"pack-quantized\"}"},
        {"use_qk_norm", "false", "true"},
        {"attention_multiplier", "0.35355339", "0.0078125"}, /* heads are 8 wide */
        {"query_pre_attn_scalar", "8", "256"},
        {"rope_local_base_freq", "10000.0", "1000000.0"},
        {"scale_depth", "1.7320508", "1.4"}, /* of 3 layers */
        {"dim_model_base", "64", "256"},
    };
    char change[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(change, sizeof change, "{\"%s\": %s}", cases[i].key, cases[i].neutral);
        read_config("LlamaForCausalLM", change);
        snprintf(change, sizeof change, "{\"%s\": %s}", cases[i].key, cases[i].felt);
        check_refused("LlamaForCausalLM", change, HC_ERR_UNSUPPORTED, cases[i].key);
    }
    check_refused("LlamaForCausalLM", "{\"logit_scale\": 0.0625}", HC_ERR_UNSUPPORTED, "logit_scale 0.0625 is not");
    check_refused("LlamaForCausalLM", "{\"logit_scale\": \"1\"}", HC_ERR_UNSUPPORTED, "logit_scale");
    check_refused("LlamaForCausalLM", "{\"no_rope_layers\": [1, [0]]}", HC_ERR_UNSUPPORTED, "no_rope_layers");
}

/* What one class honours another has not, or always has. */
Test(architectures, settings_of_classes)
{
    check_refused("MistralForCausalLM", "{\"attention_bias\": true}", HC_ERR_UNSUPPORTED, "attention_bias true");
    check_refused("MistralForCausalLM", "{\"mlp_bias\": true}", HC_ERR_UNSUPPORTED, "mlp_bias true");
    check_refused("Qwen2ForCausalLM", "{\"mlp_bias\": true}", HC_ERR_UNSUPPORTED, "mlp_bias true");
    check_refused("Qwen3ForCausalLM", "{\"mlp_bias\": true}", HC_ERR_UNSUPPORTED, "mlp_bias true");
    read_config("MistralForCausalLM", "{\"attention_bias\": false, \"mlp_bias\": false}");
    read_config("Qwen2ForCausalLM", "{\"attention_bias\": true}");
    read_config("Qwen3ForCausalLM", "{\"use_qk_norm\": true}");
    check_refused("Qwen3ForCausalLM", "{\"use_qk_norm\": false}", HC_ERR_UNSUPPORTED, "use_qk_norm");
}

Test(architectures, nonsense)
{
    static const char *const cases[][2] = {
        {"{\"hidden_size\": \"absent\"}", "hidden_size is missing"},
        {"{\"intermediate_size\": \"absent\"}", "intermediate_size is missing"},
        {"{\"num_hidden_layers\": null}", "num_hidden_layers is missing"},
        {"{\"num_attention_heads\": \"absent\"}", "num_attention_heads is missing"},
        {"{\"vocab_size\": \"absent\"}", "vocab_size is missing"},
        {"{\"hidden_size\": 0}", "hidden_size"},
        {"{\"hidden_size\": -64}", "hidden_size"},
        {"{\"hidden_size\": 64.0}", "hidden_size"},
        {"{\"hidden_size\": \"64\"}", "hidden_size"},
        {"{\"hidden_size\": [64]}", "hidden_size"},
        {"{\"hidden_size\": 9223372036854775807}", "hidden_size"},
        {"{\"hidden_size\": 4294967360}", "hidden_size"},
        {"{\"hidden_size\": 66}", "hidden_size is not a multiple"},
        {"{\"hidden_size\": 4}", "hidden_size is not a multiple"},
        {"{\"hidden_size\": 72}", "width of a head"},   /* 9, which is odd */
        {"{\"hidden_size\": 8192}", "width of a head"}, /* 1024 */
        {"{\"head_dim\": 7}", "width of a head"},
        {"{\"head_dim\": 1024}", "head_dim"},
        {"{\"num_attention_heads\": 4096, \"head_dim\": 512}", "all heads"},
        {"{\"intermediate_size\": 1099511627776}", "intermediate_size"},
        {"{\"num_hidden_layers\": 100000}", "num_hidden_layers"},
        {"{\"num_attention_heads\": 100000}", "num_attention_heads"},
        {"{\"num_key_value_heads\": 3}", "num_key_value_heads"},
        {"{\"num_key_value_heads\": 16}", "num_key_value_heads"},
        {"{\"num_key_value_heads\": true}", "num_key_value_heads"},
        {"{\"vocab_size\": 4294967296}", "vocab_size"},
        {"{\"max_position_embeddings\": 0}", "max_position_embeddings"},
        {"{\"rms_norm_eps\": 0}", "rms_norm_eps"},
        {"{\"rms_norm_eps\": -1e-5}", "rms_norm_eps"},
        {"{\"rms_norm_eps\": 1e-60}", "rms_norm_eps"}, /* 0 as a float */
        {"{\"rms_norm_eps\": \"1e-5\"}", "rms_norm_eps"},
        {"{\"tie_word_embeddings\": 1}", "tie_word_embeddings"},
        {"{\"attention_bias\": \"yes\"}", "attention_bias"},
        {"{\"mlp_bias\": []}", "mlp_bias"},
        {"{\"hidden_act\": 1}", "hidden_act"},
        {"{\"layer_types\": 1}", "layer_types"},
        {"{\"rope_theta\": 0}", "rope_theta"},
        {"{\"rope_theta\": -1e4}", "rope_theta"},
        {"{\"rope_theta\": \"1e4\"}", "rope_theta"},
        {"{\"rope_scaling\": 4}", "rope_scaling"},
        {"{\"rope_scaling\": {\"type\": \"linear\"}}", "factor"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}", "factor"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": \"2\"}}", "factor"},
        {"{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}}", "low_freq_factor"},
        {"{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4,"
         " \"original_max_position_embeddings\": 8192}}",
         "high_freq_factor"},
        {"{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4,"
         " \"original_max_position_embeddings\": 8192.5}}",
         "original_max_position_embeddings"},
        {"{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4,"
         " \"original_max_position_embeddings\": 1e30}}",
         "original_max_position_embeddings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused("LlamaForCausalLM", cases[i][0], HC_ERR_CORRUPT, cases[i][1]);
    check_refused("MistralForCausalLM", "{\"sliding_window\": 0}", HC_ERR_CORRUPT, "sliding_window");
    check_refused("Qwen2ForCausalLM", "{\"use_sliding_window\": 1}", HC_ERR_CORRUPT, "use_sliding_window");
}

/* ---- Configurations as they are published ------------------------------------------------------- */

static const struct {
    const char *model, *config;
    uint32_t width, key_value_heads, head_width, context, window;
    enum hc_rotary_kind positions;
} published[] = {
    {"LLaMA 7B",
     "{\"architectures\": [\"LlamaForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\","
     " \"hidden_size\": 4096, \"initializer_range\": 0.02, \"intermediate_size\": 11008,"
     " \"max_position_embeddings\": 2048, \"max_sequence_length\": 2048, \"model_type\": \"llama\","
     " \"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"pad_token_id\": 0, \"rms_norm_eps\": 1e-06,"
     " \"tie_word_embeddings\": false, \"torch_dtype\": \"float16\", \"transformers_version\": \"4.30.0.dev0\","
     " \"use_cache\": true, \"vocab_size\": 32000}",
     4096, 32, 128, 2048, 0, HC_ROTARY_PLAIN},
    {"LLaMA 2 7B chat",
     "{\"_name_or_path\": \"meta-llama/Llama-2-7b-chat-hf\", \"architectures\": [\"LlamaForCausalLM\"],"
     " \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\", \"hidden_size\": 4096,"
     " \"initializer_range\": 0.02, \"intermediate_size\": 11008, \"max_position_embeddings\": 4096,"
     " \"model_type\": \"llama\", \"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 32,"
     " \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, \"rope_scaling\": null, \"tie_word_embeddings\": false,"
     " \"torch_dtype\": \"float16\", \"transformers_version\": \"4.32.0.dev0\", \"use_cache\": true,"
     " \"vocab_size\": 32000}",
     4096, 32, 128, 4096, 0, HC_ROTARY_PLAIN},
    {"LLaMA 3.1 8B Instruct",
     "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0,"
     " \"bos_token_id\": 128000, \"eos_token_id\": [128001, 128008, 128009], \"hidden_act\": \"silu\","
     " \"hidden_size\": 4096, \"initializer_range\": 0.02, \"intermediate_size\": 14336,"
     " \"max_position_embeddings\": 131072, \"mlp_bias\": false, \"model_type\": \"llama\","
     " \"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"pretraining_tp\": 1,"
     " \"rms_norm_eps\": 1e-05, \"rope_scaling\": {\"factor\": 8.0, \"low_freq_factor\": 1.0,"
     " \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192, \"rope_type\": \"llama3\"},"
     " \"rope_theta\": 500000.0, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     " \"transformers_version\": \"4.42.3\", \"use_cache\": true, \"vocab_size\": 128256}",
     4096, 8, 128, 131072, 0, HC_ROTARY_LLAMA3},
    {"LLaMA 3.2 1B, as newer versions write it",
     "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0,"
     " \"bos_token_id\": 128000, \"dtype\": \"bfloat16\", \"eos_token_id\": 128001, \"head_dim\": 64,"
     " \"hidden_act\": \"silu\", \"hidden_size\": 2048, \"initializer_range\": 0.02, \"intermediate_size\": 8192,"
     " \"max_position_embeddings\": 131072, \"mlp_bias\": false, \"model_type\": \"llama\","
     " \"num_attention_heads\": 32, \"num_hidden_layers\": 16, \"num_key_value_heads\": 8, \"pad_token_id\": null,"
     " \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, \"rope_parameters\": {\"factor\": 32.0,"
     " \"high_freq_factor\": 4.0, \"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 8192,"
     " \"rope_theta\": 500000.0, \"rope_type\": \"llama3\"}, \"tie_word_embeddings\": true,"
     " \"transformers_version\": \"5.0.0\", \"use_cache\": true, \"vocab_size\": 128256}",
     2048, 8, 64, 131072, 0, HC_ROTARY_LLAMA3},
    {"TinyLlama 1.1B chat",
     "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"bos_token_id\": 1, \"eos_token_id\": 2,"
     " \"hidden_act\": \"silu\", \"hidden_size\": 2048, \"initializer_range\": 0.02, \"intermediate_size\": 5632,"
     " \"max_position_embeddings\": 2048, \"model_type\": \"llama\", \"num_attention_heads\": 32,"
     " \"num_hidden_layers\": 22, \"num_key_value_heads\": 4, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05,"
     " \"rope_scaling\": null, \"rope_theta\": 10000.0, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     " \"transformers_version\": \"4.35.2\", \"use_cache\": true, \"vocab_size\": 32000}",
     2048, 4, 64, 2048, 0, HC_ROTARY_PLAIN},
    {"SmolLM2 135M Instruct",
     "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0,"
     " \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\", \"hidden_size\": 576,"
     " \"initializer_range\": 0.041666666666666664, \"intermediate_size\": 1536, \"is_llama_config\": true,"
     " \"max_position_embeddings\": 8192, \"mlp_bias\": false, \"model_type\": \"llama\", \"num_attention_heads\": 9,"
     " \"num_hidden_layers\": 30, \"num_key_value_heads\": 3, \"pad_token_id\": 2, \"pretraining_tp\": 1,"
     " \"rms_norm_eps\": 1e-05, \"rope_interleaved\": false, \"rope_scaling\": null, \"rope_theta\": 100000,"
     " \"tie_word_embeddings\": true, \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.42.3\","
     " \"transformers.js_config\": {\"kv_cache_dtype\": {\"q4f16\": \"float16\", \"fp16\": \"float16\"}},"
     " \"use_cache\": true, \"vocab_size\": 49152}",
     576, 3, 64, 8192, 0, HC_ROTARY_PLAIN},
    {"Mistral 7B v0.1",
     "{\"architectures\": [\"MistralForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\","
     " \"hidden_size\": 4096, \"initializer_range\": 0.02, \"intermediate_size\": 14336,"
     " \"max_position_embeddings\": 32768, \"model_type\": \"mistral\", \"num_attention_heads\": 32,"
     " \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0,"
     " \"sliding_window\": 4096, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     " \"transformers_version\": \"4.34.0.dev0\", \"use_cache\": true, \"vocab_size\": 32000}",
     4096, 8, 128, 32768, 4096, HC_ROTARY_PLAIN},
    {"Mistral 7B Instruct v0.3",
     "{\"architectures\": [\"MistralForCausalLM\"], \"attention_dropout\": 0.0, \"bos_token_id\": 1,"
     " \"eos_token_id\": 2, \"hidden_act\": \"silu\", \"hidden_size\": 4096, \"initializer_range\": 0.02,"
     " \"intermediate_size\": 14336, \"max_position_embeddings\": 32768, \"model_type\": \"mistral\","
     " \"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-05,"
     " \"rope_theta\": 1000000.0, \"sliding_window\": null, \"tie_word_embeddings\": false,"
     " \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.42.0.dev0\", \"use_cache\": true,"
     " \"vocab_size\": 32768}",
     4096, 8, 128, 32768, 0, HC_ROTARY_PLAIN},
    {"Qwen2.5 7B",
     "{\"architectures\": [\"Qwen2ForCausalLM\"], \"attention_dropout\": 0.0, \"bos_token_id\": 151643,"
     " \"eos_token_id\": 151643, \"hidden_act\": \"silu\", \"hidden_size\": 3584, \"initializer_range\": 0.02,"
     " \"intermediate_size\": 18944, \"max_position_embeddings\": 131072, \"max_window_layers\": 28,"
     " \"model_type\": \"qwen2\", \"num_attention_heads\": 28, \"num_hidden_layers\": 28, \"num_key_value_heads\": 4,"
     " \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, \"sliding_window\": 131072,"
     " \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.40.1\","
     " \"use_cache\": true, \"use_mrope\": false, \"use_sliding_window\": false, \"vocab_size\": 152064}",
     3584, 4, 128, 131072, 0, HC_ROTARY_PLAIN},
    {"Qwen3 0.6B",
     "{\"architectures\": [\"Qwen3ForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0,"
     " \"bos_token_id\": 151643, \"eos_token_id\": 151645, \"head_dim\": 128, \"hidden_act\": \"silu\","
     " \"hidden_size\": 1024, \"initializer_range\": 0.02, \"intermediate_size\": 3072,"
     " \"max_position_embeddings\": 40960, \"max_window_layers\": 28, \"model_type\": \"qwen3\","
     " \"num_attention_heads\": 16, \"num_hidden_layers\": 28, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-06,"
     " \"rope_scaling\": null, \"rope_theta\": 1000000, \"sliding_window\": null, \"tie_word_embeddings\": true,"
     " \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.51.0\", \"use_cache\": true,"
     " \"use_sliding_window\": false, \"vocab_size\": 151936}",
     1024, 8, 128, 40960, 0, HC_ROTARY_PLAIN},
};

/* With all that stands in them, of which most makes no difference. */
Test(architectures, published_configurations)
{
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct hc_architecture *architecture;
        struct hc_decoder decoder;
        struct hc_error error = {""};
        json_t *config = json_loads(published[i].config, 0, NULL);
        cr_assert_not_null(config, "%s", published[i].model);
        hc_status status = hc_architecture_find(config, "config.json", &architecture, &error);
        if (status == HC_OK)
            status = architecture->configure(config, "config.json", &decoder, &error);
        cr_assert_eq(status, HC_OK, "%s: %s", published[i].model, error.text);
        cr_assert_eq(decoder.width, published[i].width, "%s", published[i].model);
        cr_assert_eq(decoder.key_value_heads, published[i].key_value_heads, "%s", published[i].model);
        cr_assert_eq(decoder.head_width, published[i].head_width, "%s", published[i].model);
        cr_assert_eq(decoder.context, published[i].context, "%s", published[i].model);
        cr_assert_eq(decoder.window, published[i].window, "%s", published[i].model);
        cr_assert_eq(decoder.rotary.kind, published[i].positions, "%s", published[i].model);
        json_decref(config);
    }
}
