/* Opening a network: its configuration, its tensors, its tokenizer. */
#include "network.h"

#include "backend.h"

#include "directory.h"
#include "files.h"
#include "gguf.h"
#include "json.h"
#include "positions.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 16 << 20, CONFIG_DEPTH = 32 };

/* ---- Configuration -------------------------------------------------------------------------- */

/* config.json of a directory. */
static hc_status read_config(const struct hc_source *source, json_t **config, struct hc_error *error)
{
    char *path = hc_path_join(source->path, HC_CONFIG_NAME), *text = NULL;
    size_t bytes;
    hc_status status = path ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        status = hc_read_file(path, MAX_CONFIG_BYTES, &text, &bytes, error);
    if (status == HC_OK)
        status = hc_json_parse(text, bytes, CONFIG_DEPTH, path, config, error);
    free(path);
    free(text);
    return status;
}

static hc_status find_config(const struct hc_source *source, json_t **config, struct hc_error *error)
{
    if (source->kind == HC_SOURCE_DIRECTORY)
        return read_config(source, config, error);
    if (source->kind == HC_SOURCE_FILE)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: a network is a directory with a " HC_CONFIG_NAME ", or a GGUF",
                       source->path);
    hc_status status = hc_gguf_config(source, config, error);
    if (status == HC_OK && !*config)
        status = hc_fail(error, HC_ERR_UNSUPPORTED,
                         "%s: the architecture '%s' of this GGUF, or a setting of it, is not known", source->path,
                         ((const struct hc_gguf *)source->gguf)->architecture);
    return status;
}

static hc_status configure(struct hc_network *network, struct hc_error *error)
{
    const struct hc_source *source = network->model->source;
    json_t *config = NULL;
    hc_status status;
    HC_TRY(find_config(source, &config, error));
    HC_TRY(hc_architecture_find(config, source->path, &network->architecture, error));
    HC_TRY(network->architecture->configure(config, source->path, &network->decoder, error));
done:
    json_decref(config);
    return status;
}

/* ---- Tensors -------------------------------------------------------------------------------- */

static struct hc_tensor_name top_name(const char *what)
{
    struct hc_tensor_name name;
    snprintf(name.text, sizeof name.text, "%s.weight", what);
    return name;
}

static hc_status find_tensor(const struct hc_network *network, const char *name, int rank, uint64_t rows,
                             uint64_t columns, const struct hc_model_tensor **tensor, struct hc_error *error)
{
    const char *path = network->model->source->path;
    *tensor = hc_model_find(network->model, name);
    if (!*tensor)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: there is no tensor %s", path, name);
    const hc_tensor_info *info = &(*tensor)->info;
    if (info->rank != rank || info->shape[0] != rows || (rank == 2 && info->shape[1] != columns))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the tensor %s has not the shape that the configuration says", path,
                       name);
    if (!info->method && !hc_type_is_float(info->type))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the tensor %s is not of floating point numbers", path, name);
    if (json_array_size((*tensor)->description.pieces) > 1) /* the decoder of one knows nothing of the others */
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the tensor %s is coded in several pieces", path, name);
    return HC_OK;
}

static hc_status open_matrix(struct hc_network *network, const char *name, struct hc_matrix_shape shape, bool embedding,
                             struct hc_matrix **matrix, struct hc_error *error)
{
    const struct hc_model_tensor *tensor;
    hc_status status = find_tensor(network, name, 2, shape.rows, shape.columns, &tensor, error);
    if (status != HC_OK)
        return status;
    network->info.weights += tensor->info.weights;
    network->info.stored_bytes += tensor->info.stored_bytes;
    return network->owner.table->open_matrix(&network->owner, tensor, embedding, matrix, error);
}

/* A vector is small: it is stored as it is, and becomes floats on the device. */
static hc_status open_vector(struct hc_network *network, const char *name, uint32_t width, float **vector,
                             struct hc_error *error)
{
    const struct hc_model_tensor *tensor;
    void *memory;
    hc_status status = find_tensor(network, name, 1, width, 0, &tensor, error);
    if (status == HC_OK && tensor->description.method)
        status = hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the vector %s is coded", network->model->source->path, name);
    if (status != HC_OK)
        return status;
    network->info.weights += tensor->info.weights;
    network->info.stored_bytes += tensor->info.stored_bytes;
    float *floats = malloc(width * sizeof *floats);
    if (!floats)
        return hc_no_memory(error);
    hc_tensor_read(tensor->parts[0], &network->kernels, 0, width, floats);
    status = network->owner.table->allocate(&network->owner, width * sizeof *floats, &memory, error);
    if (status == HC_OK) {
        *vector = memory;
        network->owner.table->write(&network->owner, memory, floats, width * sizeof *floats);
    }
    free(floats);
    return status;
}

static hc_status open_layer(struct hc_network *network, uint32_t i, struct hc_error *error)
{
    const struct hc_decoder *decoder = &network->decoder;
    const struct hc_decoder_names *names = network->architecture->names;
    struct hc_network_layer *layer = &network->layers[i];
    hc_status status = HC_OK;
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        struct hc_matrix_shape shape = hc_layer_matrix_shape(decoder, m);
        struct hc_tensor_name bias = hc_layer_name(names, i, names->matrices[m], ".bias");
        HC_TRY(open_matrix(network, hc_layer_name(names, i, names->matrices[m], ".weight").text, shape, false,
                           &layer->matrices[m], error));
        if (hc_layer_has_bias(decoder, m))
            HC_TRY(open_vector(network, bias.text, shape.rows, &layer->biases[m], error));
        else if (hc_model_find(network->model, bias.text))
            return hc_fail(error, HC_ERR_CORRUPT, "%s: there is a tensor %s, and the configuration says there is none",
                           network->model->source->path, bias.text);
    }
    for (unsigned n = 0; n < HC_LAYER_NORMS; n++)
        if (n < HC_NORM_QUERY || decoder->head_norms)
            HC_TRY(open_vector(network, hc_layer_name(names, i, names->norms[n], ".weight").text,
                               n < HC_NORM_QUERY ? decoder->width : decoder->head_width, &layer->norms[n], error));
done:
    return status;
}

static hc_status make_frequencies(struct hc_network *network, struct hc_error *error)
{
    const struct hc_decoder *decoder = &network->decoder;
    const uint32_t pairs = decoder->head_width / 2;
    float *floats = malloc(pairs * sizeof *floats);
    void *memory;
    if (!floats)
        return hc_no_memory(error);
    for (uint32_t i = 0; i < pairs; i++)
        floats[i] = (float)hc_rotary_frequency(&decoder->rotary, i, decoder->head_width);
    hc_status status = network->owner.table->allocate(&network->owner, pairs * sizeof *floats, &memory, error);
    if (status == HC_OK) {
        network->frequencies = memory;
        network->owner.table->write(&network->owner, memory, floats, pairs * sizeof *floats);
    }
    free(floats);
    return status;
}

static hc_status open_tensors(struct hc_network *network, struct hc_error *error)
{
    const struct hc_decoder *decoder = &network->decoder;
    const struct hc_decoder_names *names = network->architecture->names;
    const struct hc_matrix_shape shape = {decoder->vocabulary, decoder->width};
    hc_status status = HC_OK;
    network->layers = calloc(decoder->layers, sizeof *network->layers);
    if (!network->layers)
        return hc_no_memory(error);
    HC_TRY(make_frequencies(network, error));
    HC_TRY(open_matrix(network, top_name(names->embedding).text, shape, true, &network->embedding, error));
    if (decoder->tied)
        network->head = network->embedding;
    else
        HC_TRY(open_matrix(network, top_name(names->head).text, shape, false, &network->head, error));
    HC_TRY(open_vector(network, top_name(names->norm).text, decoder->width, &network->norm, error));
    for (uint32_t i = 0; i < decoder->layers; i++)
        HC_TRY(open_layer(network, i, error));
done:
    return status;
}

static void fill_info(struct hc_network *network)
{
    const struct hc_decoder *decoder = &network->decoder;
    hc_network_info *info = &network->info;
    info->architecture = network->architecture->class_name;
    info->layers = decoder->layers;
    info->width = decoder->width;
    info->heads = decoder->heads;
    info->key_value_heads = decoder->key_value_heads;
    info->head_width = decoder->head_width;
    info->inner_width = decoder->inner_width;
    info->vocabulary = decoder->vocabulary;
    info->context = decoder->context;
    info->has_tokenizer = network->tokenizer != NULL;
    info->chat_template = network->tokenizer ? hc_tokenizer_template(network->tokenizer) : NULL;
}

/* What the tokenizer's JSON took, and nobody needs any more: as much as a small model. */
static void give_back_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

hc_status hc_network_load(const hc_context *context, const char *path, struct hc_network **out, struct hc_error *error)
{
    struct hc_network *network = calloc(1, sizeof *network);
    hc_status status = network ? HC_OK : hc_no_memory(error);
    *out = NULL;
    if (!network)
        return status;
    network->kernels = context->kernels;
    if (context->device && !(network->device = strdup(context->device)))
        HC_TRY(hc_no_memory(error));
    HC_TRY(hc_model_load(path, &network->model, error));
    HC_TRY(configure(network, error));
    HC_TRY(hc_tokenizer_load(network->model->source, &network->tokenizer, error));
    HC_TRY(hc_backend_runtime(network->device, &network->owner, &network->kernels, 1, error));
    HC_TRY(open_tensors(network, error));
    HC_TRY(network->owner.table->finish(&network->owner, error));
    fill_info(network);
    give_back_memory();
    *out = network;
    network = NULL;
done:
    hc_network_close(network);
    return status;
}

static void close_layer(struct hc_network *network, struct hc_network_layer *layer)
{
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        network->owner.table->close_matrix(layer->matrices[m]);
        network->owner.table->release(&network->owner, layer->biases[m]);
    }
    for (unsigned n = 0; n < HC_LAYER_NORMS; n++)
        network->owner.table->release(&network->owner, layer->norms[n]);
}

void hc_network_close(hc_network *network)
{
    if (!network)
        return;
    for (uint32_t i = 0; network->layers && i < network->decoder.layers; i++)
        close_layer(network, &network->layers[i]);
    free(network->layers);
    if (network->owner.table) {
        network->owner.table->release(&network->owner, network->norm);
        network->owner.table->release(&network->owner, network->frequencies);
        if (network->head != network->embedding)
            network->owner.table->close_matrix(network->head);
        network->owner.table->close_matrix(network->embedding);
        network->owner.table->destroy(&network->owner);
    }
    hc_tokenizer_close(network->tokenizer);
    hc_model_close(network->model);
    free(network->device);
    free(network);
}

/* ---- The public interface ------------------------------------------------------------------- */

hc_status hc_network_open(hc_context *context, const char *path, hc_network **network)
{
    return hc_network_load(context, path, network, &context->error);
}

void hc_network_info_get(const hc_network *network, hc_network_info *info)
{
    *info = network->info;
}

/* HC_ERR_UNSUPPORTED if there is no tokenizer. */
static hc_status check_tokenizer(hc_context *context, const hc_network *network)
{
    return network->tokenizer ? HC_OK
                              : hc_fail(&context->error, HC_ERR_UNSUPPORTED,
                                        "%s: there is no tokenizer with this model", network->model->source->path);
}

/* A tokenizer of another model may have tokens that the network has no embedding and no logit of. */
static hc_status check_tokens(hc_context *context, const hc_network *network, hc_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++)
        if ((uint32_t)tokens->ids[i] >= network->info.vocabulary) {
            hc_fail(&context->error, HC_ERR_CORRUPT, "%s: the tokenizer has a token number %d, the model %u tokens",
                    network->model->source->path, (int)tokens->ids[i], network->info.vocabulary);
            hc_tokens_free(tokens);
            return HC_ERR_CORRUPT;
        }
    return HC_OK;
}

hc_status hc_tokenize(hc_context *context, const hc_network *network, const char *text, size_t bytes,
                      const hc_text_options *options, hc_tokens *tokens)
{
    *tokens = (hc_tokens){0};
    hc_status status = check_tokenizer(context, network);
    if (status == HC_OK)
        status = hc_tokenizer_encode(network->tokenizer, text, bytes, options, tokens, &context->error);
    return status == HC_OK ? check_tokens(context, network, tokens) : status;
}

void hc_tokens_free(hc_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (hc_tokens){0};
}

hc_status hc_token_text(const hc_network *network, int32_t token, bool first, bool special, const char **text,
                        size_t *bytes)
{
    if (!network->tokenizer)
        return HC_ERR_UNSUPPORTED;
    if (token < 0 || (uint32_t)token >= network->info.vocabulary)
        return HC_ERR_ARGUMENT;
    if ((uint32_t)token >= hc_tokenizer_size(network->tokenizer)) { /* the vocabulary is padded */
        *text = "";
        *bytes = 0;
        return HC_OK;
    }
    return hc_tokenizer_text(network->tokenizer, token, first, special, text, bytes, NULL);
}

bool hc_token_ends(const hc_network *network, int32_t token)
{
    return network->tokenizer && hc_tokenizer_ends(network->tokenizer, token);
}

hc_status hc_chat_tokens(hc_context *context, const hc_network *network, const hc_turn *turns, size_t count,
                         hc_tokens *tokens)
{
    *tokens = (hc_tokens){0};
    hc_status status = check_tokenizer(context, network);
    if (status == HC_OK)
        status = hc_tokenizer_chat(network->tokenizer, turns, count, tokens, &context->error);
    return status == HC_OK ? check_tokens(context, network, tokens) : status;
}
