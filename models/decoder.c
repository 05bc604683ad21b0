/* A decoder-only transformer as a sequence of operations: RMSNorm, rotary positions, grouped-query attention, SwiGLU
 * (Touvron et al., arXiv 2302.13971; what its descendants add is marked).
 */
#include "decoder.h"

const struct hc_decoder_names hc_decoder_names = {
    .embedding = "model.embed_tokens",
    .norm = "model.norm",
    .head = "lm_head",
    .layer = "model.layers.",
    .matrices = {[HC_QUERY] = "self_attn.q_proj",
                 [HC_KEY] = "self_attn.k_proj",
                 [HC_VALUE] = "self_attn.v_proj",
                 [HC_OUTPUT] = "self_attn.o_proj",
                 [HC_GATE] = "mlp.gate_proj",
                 [HC_UP] = "mlp.up_proj",
                 [HC_DOWN] = "mlp.down_proj"},
    .norms = {[HC_NORM_ATTENTION] = "input_layernorm",
              [HC_NORM_INNER] = "post_attention_layernorm",
              [HC_NORM_QUERY] = "self_attn.q_norm",
              [HC_NORM_KEY] = "self_attn.k_norm"},
};

static struct hc_linear linear_of(const struct hc_network_layer *layer, enum hc_layer_matrix which, float *out)
{
    return (struct hc_linear){layer->matrices[which], layer->biases[which], out};
}

static struct hc_input norm_of(const struct hc_sequence *s, const float *x, const float *gain)
{
    const struct hc_decoder *d = &s->network->decoder;
    return (struct hc_input){.x = x, .gain = gain, .epsilon = d->norm_epsilon, .columns = d->width, .ready = s->normed};
}

/* Qwen3: queries and keys, head by head. */
static void norm_heads(struct hc_sequence *s, const struct hc_network_layer *layer, uint32_t count)
{
    const struct hc_decoder *d = &s->network->decoder;
    const struct hc_runtime_table *run = s->runtime.table;
    run->norm(&s->runtime, s->queries, layer->norms[HC_NORM_QUERY], count * d->heads, d->head_width, d->norm_epsilon,
              s->queries);
    run->norm(&s->runtime, s->keys, layer->norms[HC_NORM_KEY], count * d->key_value_heads, d->head_width,
              d->norm_epsilon, s->keys);
}

/* x += o(attention(norm(x))) */
static void attention(struct hc_sequence *s, const struct hc_network_layer *layer, const struct hc_attention *where)
{
    const struct hc_decoder *d = where->decoder;
    const struct hc_runtime_table *run = s->runtime.table;
    const uint32_t n = where->count;
    const struct hc_linear inputs[] = {linear_of(layer, HC_QUERY, s->queries), linear_of(layer, HC_KEY, s->keys),
                                       linear_of(layer, HC_VALUE, s->values)};
    const struct hc_linear output = linear_of(layer, HC_OUTPUT, s->normed);
    const struct hc_input normed = norm_of(s, s->x, layer->norms[HC_NORM_ATTENTION]);
    const struct hc_input attended = {.x = s->attended, .columns = d->heads * d->head_width};
    run->linear(&s->runtime, inputs, 3, &normed, n);
    if (d->head_norms)
        norm_heads(s, layer, n);
    run->rotate(&s->runtime, s->queries, n, d->heads, d->head_width, s->turns);
    run->rotate(&s->runtime, s->keys, n, d->key_value_heads, d->head_width, s->turns);
    run->remember(&s->runtime, where, s->keys, s->values);
    run->attend(&s->runtime, where, s->queries, s->attended);
    run->linear(&s->runtime, &output, 1, &attended, n);
    run->add(&s->runtime, s->x, s->normed, (size_t)n * d->width);
}

/* x += down(silu(gate(norm(x))) * up(norm(x))) */
static void inner(struct hc_sequence *s, const struct hc_network_layer *layer, uint32_t n)
{
    const struct hc_decoder *d = &s->network->decoder;
    const struct hc_runtime_table *run = s->runtime.table;
    const struct hc_linear inputs[] = {linear_of(layer, HC_GATE, s->gate), linear_of(layer, HC_UP, s->up)};
    const struct hc_linear output = linear_of(layer, HC_DOWN, s->normed);
    const struct hc_input normed = norm_of(s, s->x, layer->norms[HC_NORM_INNER]);
    const struct hc_input gated = {.x = s->gate, .up = s->up, .columns = d->inner_width, .ready = s->gate};
    run->linear(&s->runtime, inputs, 2, &normed, n);
    run->linear(&s->runtime, &output, 1, &gated, n);
    run->add(&s->runtime, s->x, s->normed, (size_t)n * d->width);
}

void hc_decoder_evaluate(struct hc_sequence *s, uint32_t first, const int32_t *tokens, uint32_t count, uint32_t wanted)
{
    const struct hc_network *network = s->network;
    const struct hc_decoder *d = &network->decoder;
    const struct hc_runtime_table *run = s->runtime.table;
    run->embed(&s->runtime, network->embedding, tokens, count, s->x);
    run->turns(&s->runtime, first, count, network->frequencies, d->head_width / 2, s->turns);
    for (uint32_t i = 0; i < d->layers; i++) {
        attention(s, &network->layers[i], &(struct hc_attention){d, &s->caches[i], first, count});
        inner(s, &network->layers[i], count);
    }
    if (wanted == 0)
        return;
    const struct hc_linear head = {network->head, NULL, s->logits};
    const struct hc_input normed = norm_of(s, s->x + (size_t)(count - wanted) * d->width, network->norm);
    run->linear(&s->runtime, &head, 1, &normed, wanted);
}
