/* What models/ tells about an architecture: how to read its configuration, and how its tokens are evaluated.
 *
 * All known ones are decoders of one kind (struct hc_decoder); models/decoder.c evaluates them, over the operations of
 * runtime.h. A model's config.json names its architecture.
 */
#ifndef HC_HOST_ARCHITECTURE_H
#define HC_HOST_ARCHITECTURE_H

#include <jansson.h>

#include "error.h"

#include <stdint.h>

enum hc_rotary_kind { HC_ROTARY_PLAIN, HC_ROTARY_LINEAR, HC_ROTARY_LLAMA3 };

struct hc_rotary {
    enum hc_rotary_kind kind;
    double theta;
    double factor;                  /* linear, llama3 */
    double low_factor, high_factor; /* llama3 */
    uint32_t original_context;      /* llama3 */
};

/* The shape of a decoder-only transformer: RMSNorm, rotary positions, grouped-query attention, SwiGLU. */
struct hc_decoder {
    uint32_t layers, width, heads, key_value_heads, head_width, inner_width, vocabulary;
    uint32_t context; /* most positions */
    uint32_t window;  /* a position sees this many, itself included; 0: all before it */
    float norm_epsilon;
    struct hc_rotary rotary;
    bool query_bias;  /* q, k and v have biases */
    bool output_bias; /* o has one */
    bool inner_bias;  /* gate, up and down have */
    bool head_norms;  /* queries and keys are normed head by head, before the rotation */
    bool tied;        /* the embedding is the output matrix */
};

/* Numbers that a position takes while a layer is evaluated: the sum of all layers, its norm, and what is between a
 * layer's matrices; attention and the inner layer share the place. */
static inline uint64_t hc_decoder_activations(const struct hc_decoder *decoder)
{
    const uint64_t heads = ((uint64_t)decoder->heads + decoder->key_value_heads) * decoder->head_width;
    return 2 * (decoder->width + (heads > decoder->inner_width ? heads : decoder->inner_width));
}

/* The matrices of a layer, in the order of their use. */
enum hc_layer_matrix { HC_QUERY, HC_KEY, HC_VALUE, HC_OUTPUT, HC_GATE, HC_UP, HC_DOWN, HC_LAYER_MATRICES };
enum hc_layer_norm { HC_NORM_ATTENTION, HC_NORM_INNER, HC_NORM_QUERY, HC_NORM_KEY, HC_LAYER_NORMS };

/* What the tensors are called; ".weight" and ".bias" come behind it. */
struct hc_decoder_names {
    const char *embedding, *norm, *head;
    const char *layer; /* before its number; the following come behind that and a dot */
    const char *matrices[HC_LAYER_MATRICES];
    const char *norms[HC_LAYER_NORMS];
};

/* Outputs and inputs of a matrix of a layer. */
struct hc_matrix_shape {
    uint32_t rows, columns;
};
static inline struct hc_matrix_shape hc_layer_matrix_shape(const struct hc_decoder *decoder, enum hc_layer_matrix which)
{
    const uint32_t queries = decoder->heads * decoder->head_width,
                   keys = decoder->key_value_heads * decoder->head_width;
    const struct hc_matrix_shape shapes[HC_LAYER_MATRICES] = {
        [HC_QUERY] = {queries, decoder->width},
        [HC_KEY] = {keys, decoder->width},
        [HC_VALUE] = {keys, decoder->width},
        [HC_OUTPUT] = {decoder->width, queries},
        [HC_GATE] = {decoder->inner_width, decoder->width},
        [HC_UP] = {decoder->inner_width, decoder->width},
        [HC_DOWN] = {decoder->width, decoder->inner_width},
    };
    return shapes[which];
}

static inline bool hc_layer_has_bias(const struct hc_decoder *decoder, enum hc_layer_matrix which)
{
    return which <= HC_VALUE ? decoder->query_bias : which == HC_OUTPUT ? decoder->output_bias : decoder->inner_bias;
}

struct hc_network;     /* network.h */
struct hc_propagation; /* moments.h */
struct hc_source;
struct hc_sequence;
struct hc_tensor;

struct hc_architecture {
    const char *class_name; /* in config.json: "LlamaForCausalLM" */
    /* Reads config.json. HC_ERR_UNSUPPORTED names a setting that is not known, HC_ERR_CORRUPT one that is missing or
     * makes no sense; `path` is for messages. */
    hc_status (*configure)(const json_t *config, const char *path, struct hc_decoder *decoder, struct hc_error *error);
    const struct hc_decoder_names *names;
    /* Queues the operations that append `count` tokens (at most a batch of the sequence) to a sequence of `first`. The
     * logits of the last `wanted` of them go to sequence->logits. */
    void (*evaluate)(struct hc_sequence *sequence, uint32_t first, const int32_t *tokens, uint32_t count,
                     uint32_t wanted);
    /* Adds the second moments of the inputs of all matrices, as far as the weights alone tell them (models/moments.c);
     * the source has passed hc_decoder_check. */
    hc_status (*propagate)(const struct hc_decoder *decoder, const struct hc_propagation *propagation,
                           struct hc_error *error);
};

/* All of them; ends with NULL. Defined in models/architectures.c. */
extern const struct hc_architecture *const hc_architectures[];

/* The one that config.json names. HC_ERR_UNSUPPORTED if there is none, or it is not known; `path` is for messages. */
hc_status hc_architecture_find(const json_t *config, const char *path, const struct hc_architecture **architecture,
                               struct hc_error *error);

/* "model.layers.3." + "mlp.up_proj" + ".weight" */
struct hc_tensor_name {
    char text[192];
};
struct hc_tensor_name hc_layer_name(const struct hc_decoder_names *names, uint32_t layer, const char *what,
                                    const char *suffix);

/* HC_ERR_CORRUPT if a tensor is of a layer, and the decoder would not read it: a layer too many, a bias or a norm that
 * the configuration does not tell of. The frequencies that old checkpoints keep are known and not needed. `path` is for
 * messages. */
hc_status hc_decoder_expects(const struct hc_decoder *decoder, const struct hc_decoder_names *names, const char *path,
                             const char *tensor, struct hc_error *error);

/* HC_ERR_CORRUPT if a head that the configuration ties to the embedding is no copy of it. */
hc_status hc_decoder_check_tied(const struct hc_tensor *embedding, const struct hc_tensor *head, const char *path,
                                struct hc_error *error);

/* Whether an uncompressed source has all tensors of the decoder, of the shapes that its configuration says, and no
 * others in its layers, and whether a head beside a tied embedding is a copy of it. HC_ERR_CORRUPT names one that it
 * has not, or should not have, HC_ERR_UNSUPPORTED one of integers. */
hc_status hc_decoder_check(const struct hc_decoder *decoder, const struct hc_decoder_names *names,
                           const struct hc_source *source, struct hc_error *error);

/* All of it, by the text of a config.json: what an uncompressed source can be run, or looked at, as. */
hc_status hc_architecture_recognise(const char *config, const struct hc_source *source,
                                    const struct hc_architecture **architecture, struct hc_decoder *decoder,
                                    struct hc_error *error);

#endif
