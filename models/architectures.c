/* All architectures that models/ can evaluate. A new one needs an entry here and a file of its own. */
#include "config_decoder.h"
#include "decoder.h"
#include "decoder_moments.h"

static const struct hc_architecture llama = {
    .class_name = "LlamaForCausalLM",
    .configure = hc_configure_llama,
    .names = &hc_decoder_names,
    .evaluate = hc_decoder_evaluate,
    .propagate = hc_decoder_propagate,
};

static const struct hc_architecture mistral = {
    .class_name = "MistralForCausalLM",
    .configure = hc_configure_mistral,
    .names = &hc_decoder_names,
    .evaluate = hc_decoder_evaluate,
    .propagate = hc_decoder_propagate,
};

static const struct hc_architecture qwen2 = {
    .class_name = "Qwen2ForCausalLM",
    .configure = hc_configure_qwen2,
    .names = &hc_decoder_names,
    .evaluate = hc_decoder_evaluate,
    .propagate = hc_decoder_propagate,
};

static const struct hc_architecture qwen3 = {
    .class_name = "Qwen3ForCausalLM",
    .configure = hc_configure_qwen3,
    .names = &hc_decoder_names,
    .evaluate = hc_decoder_evaluate,
    .propagate = hc_decoder_propagate,
};

const struct hc_architecture *const hc_architectures[] = {&llama, &mistral, &qwen2, &qwen3, NULL};
