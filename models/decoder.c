/* A decoder-only transformer as a sequence of operations: RMSNorm, rotary positions, grouped-query attention, SwiGLU
 * (Touvron et al., arXiv 2302.13971; what its descendants add is marked).
 *
 * Every rank runs it with what it has of the network (share.h). Where tensors are split, activations are the same on
 * all of them but between the rows of one matrix and the columns of the next; or, where that is cut by rows, until they
 * are gathered.
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

static bool splits_tensors(const struct hc_share *share)
{
    return share->ranks > 1 && share->split == HC_SPLIT_TENSORS;
}

static bool splits_layers(const struct hc_share *share)
{
    return share->ranks > 1 && share->split == HC_SPLIT_LAYERS;
}

/* x += what a matrix gives, of which every rank may have some columns, or none. */
static void add_product(struct hc_sequence *s, const struct hc_linear *layer, const struct hc_input *input, uint32_t n)
{
    const uint32_t width = s->network->decoder.width;
    const struct hc_runtime_table *run = s->runtime.table;
    if (layer->matrix)
        run->linear(&s->runtime, layer, 1, input, n);
    else
        run->clear(&s->runtime, s->normed, (size_t)n * width);
    if (splits_tensors(&s->network->share))
        run->all_reduce(&s->runtime, s->normed, (size_t)n * width);
    run->add(&s->runtime, s->x, s->normed, (size_t)n * width);
}

/* x += o or down(what all ranks have for it), of which every rank may have some rows, or none. mine: what this one has.
 */
static void add_rows(struct hc_sequence *s, const struct hc_network_layer *layer, enum hc_layer_matrix which,
                     const float *mine, uint32_t n)
{
    const struct hc_network *network = s->network;
    const struct hc_runtime_table *run = s->runtime.table;
    const struct hc_linear rows = linear_of(layer, which, s->part);
    const struct hc_input gathered = {.x = s->gathered,
                                      .columns = hc_layer_matrix_shape(&network->whole, which).columns};
    run->gather(&s->runtime, mine, n, which == HC_OUTPUT ? network->heads_of : network->inner_of, s->gathered);
    if (rows.matrix)
        run->linear(&s->runtime, &rows, 1, &gathered, n);
    run->gather(&s->runtime, s->part, n, network->rows_of, s->normed);
    run->add(&s->runtime, s->x, s->normed, (size_t)n * network->decoder.width);
}

/* attended = attention(norm(x)), of the heads that are here. */
static void attend(struct hc_sequence *s, const struct hc_network_layer *layer, const struct hc_attention *where)
{
    const struct hc_decoder *d = where->decoder;
    const struct hc_runtime_table *run = s->runtime.table;
    const uint32_t n = where->count;
    const struct hc_linear inputs[] = {linear_of(layer, HC_QUERY, s->queries), linear_of(layer, HC_KEY, s->keys),
                                       linear_of(layer, HC_VALUE, s->values)};
    const struct hc_input normed = norm_of(s, s->x, layer->norms[HC_NORM_ATTENTION]);
    run->linear(&s->runtime, inputs, 3, &normed, n);
    if (d->head_norms)
        norm_heads(s, layer, n);
    run->rotate(&s->runtime, s->queries, n, d->heads, d->head_width, s->turns);
    run->rotate(&s->runtime, s->keys, n, d->key_value_heads, d->head_width, s->turns);
    run->remember(&s->runtime, where, s->keys, s->values);
    run->attend(&s->runtime, where, s->queries, s->attended);
}

/* x += o(attention(norm(x))) */
static void attention(struct hc_sequence *s, const struct hc_network_layer *layer, const struct hc_attention *where)
{
    const struct hc_decoder *d = where->decoder;
    const struct hc_linear output = linear_of(layer, HC_OUTPUT, s->normed);
    const struct hc_input attended = {.x = s->attended, .columns = d->heads * d->head_width};
    if (d->heads > 0)
        attend(s, layer, where);
    if (s->network->share.output_by_rows)
        add_rows(s, layer, HC_OUTPUT, s->attended, where->count);
    else
        add_product(s, &output, &attended, where->count);
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
    if (d->inner_width > 0)
        run->linear(&s->runtime, inputs, 2, &normed, n);
    if (!s->network->share.down_by_rows) {
        add_product(s, &output, &gated, n);
        return;
    }
    if (d->inner_width > 0)
        run->gate(&s->runtime, s->gate, s->up, (size_t)n * d->inner_width);
    add_rows(s, layer, HC_DOWN, s->gate, n);
}

/* x = the embeddings of tokens, or what the layers before have made of them. */
static void begin(struct hc_sequence *s, const int32_t *tokens, uint32_t n)
{
    const struct hc_network *network = s->network;
    const struct hc_share *share = &network->share;
    const uint32_t width = network->decoder.width;
    const struct hc_runtime_table *run = s->runtime.table;
    if (share->embeds)
        run->embed(&s->runtime, network->embedding, tokens, n, s->x);
    else if (splits_tensors(share))
        run->clear(&s->runtime, s->x, (size_t)n * width);
    else
        run->receive(&s->runtime, share->rank - 1, s->x, (size_t)n * width);
    if (splits_tensors(share))
        run->all_reduce(&s->runtime, s->x, (size_t)n * width);
}

void hc_decoder_evaluate(struct hc_sequence *s, uint32_t first, const int32_t *tokens, uint32_t count, uint32_t wanted)
{
    const struct hc_network *network = s->network;
    const struct hc_share *share = &network->share;
    const struct hc_decoder *d = &network->decoder;
    const struct hc_runtime_table *run = s->runtime.table;
    begin(s, tokens, count);
    run->turns(&s->runtime, first, count, network->frequencies, d->head_width / 2, s->turns);
    for (uint32_t i = 0; i < d->layers; i++) {
        attention(s, &network->layers[i], &(struct hc_attention){d, &s->caches[i], first, count});
        inner(s, &network->layers[i], count);
    }
    if (splits_layers(share) && share->rank < share->ranks - 1)
        run->send(&s->runtime, share->rank + 1, s->x, (size_t)count * d->width);
    if (wanted == 0 || !share->decides)
        return;
    const struct hc_linear head = {network->head, NULL, s->logits};
    const struct hc_input normed = norm_of(s, s->x + (size_t)(count - wanted) * d->width, network->norm);
    run->linear(&s->runtime, &head, 1, &normed, wanted);
}
