/* The reference: a decoder-only transformer evaluated in float32, by plain C, one operation after the other. It shares
 * no code with the runtime that it judges: weights come through hc_model_read, the shape from config.json. No cache and
 * no batches; the weights of a matrix are read when they are needed, once for the whole text.
 *
 * Known are LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM, as `transformers` defines
 * them. Biases and norms of heads are applied where their tensors are there.
 */
#ifndef HC_TESTS_REFERENCE_DECODER_H
#define HC_TESTS_REFERENCE_DECODER_H

#include <hyperc/hyperc.h>

struct reference {
    hc_context *context;
    hc_model *model;
    size_t layers, width, inner, heads, key_heads, head, vocabulary; /* head: its width */
    size_t window; /* a position sees this many, itself included; 0: all before it */
    float epsilon;
    float *frequencies; /* head / 2: by how much a position turns each pair */
    bool tied;
    char fault[512]; /* why a function returned false */
};

/* Opens a model; `config` is the path of its config.json. `context` must outlive it. Whatever comes back,
 * reference_close is right. */
bool reference_open(struct reference *reference, hc_context *context, const char *model, const char *config);
void reference_close(struct reference *reference);

/* Logits behind each of `count` tokens of a text, all of them less than `vocabulary`: count x vocabulary. */
bool reference_evaluate(struct reference *reference, const int32_t *tokens, size_t count, float *logits);

#endif
