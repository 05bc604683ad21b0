/* Opening a network: its configuration, its tensors, its tokenizer. */
#include "network.h"

#include "backend.h"
#include "checksum.h"
#include "directory.h"
#include "files.h"
#include "gguf.h"
#include "json.h"
#include "matrix_cut.h"
#include "placement.h"
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
    return hc_gguf_config(source, config, error);
}

static hc_status configure(struct hc_network *network, struct hc_error *error)
{
    const struct hc_source *source = network->model->source;
    json_t *config = NULL;
    hc_status status;
    HC_TRY(find_config(source, &config, error));
    HC_TRY(hc_architecture_find(config, source->path, &network->architecture, error));
    HC_TRY(network->architecture->configure(config, source->path, &network->whole, error));
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

static void count_tensor(struct hc_network *network, const struct hc_model_tensor *tensor)
{
    network->info.weights += tensor->info.weights;
    network->info.stored_bytes += tensor->info.stored_bytes;
}

/* Checks a matrix and opens what the cut says of it, if that is anything, and `matrix` is not NULL. */
static hc_status open_matrix(struct hc_network *network, const char *name, struct hc_matrix_shape shape,
                             struct hc_cut cut, bool embedding, struct hc_matrix **matrix, struct hc_error *error)
{
    const struct hc_model_tensor *tensor;
    const bool all = cut.rows == shape.rows && cut.columns == shape.columns;
    hc_status status = find_tensor(network, name, 2, shape.rows, shape.columns, &tensor, error);
    if (status != HC_OK)
        return status;
    count_tensor(network, tensor);
    if (!matrix || cut.rows == 0 || cut.columns == 0)
        return HC_OK;
    network->held_bytes += hc_cut_bytes(tensor, &cut);
    return network->owner.table->open_matrix(&network->owner, tensor, all ? NULL : &cut, embedding, matrix, error);
}

/* Numbers of the host become some of the device. */
static hc_status make_vector(struct hc_network *network, const float *floats, uint32_t count, float **vector,
                             struct hc_error *error)
{
    void *memory;
    hc_status status = network->owner.table->allocate(&network->owner, count * sizeof *floats, &memory, error);
    if (status == HC_OK) {
        *vector = memory;
        network->owner.table->write(&network->owner, memory, floats, count * sizeof *floats);
    }
    return status;
}

/* The same for some of a vector. It is small: it is stored as it is, and becomes floats on the device. */
static hc_status open_vector(struct hc_network *network, const char *name, uint32_t width, struct hc_range range,
                             float **vector, struct hc_error *error)
{
    const struct hc_model_tensor *tensor;
    hc_status status = find_tensor(network, name, 1, width, 0, &tensor, error);
    if (status == HC_OK && tensor->description.method)
        status = hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the vector %s is coded", network->model->source->path, name);
    if (status != HC_OK)
        return status;
    count_tensor(network, tensor);
    if (!vector || range.count == 0)
        return HC_OK;
    network->held_bytes += tensor->info.stored_bytes * range.count / width;
    float *floats = malloc(width * sizeof *floats);
    if (!floats)
        return hc_no_memory(error);
    hc_tensor_read(tensor->parts[0], &network->kernels, 0, width, floats);
    status = make_vector(network, floats + range.first, range.count, vector, error);
    free(floats);
    return status;
}

/* What columns give is added up over ranks, and their bias once. */
static struct hc_range bias_range(const struct hc_cut *cut)
{
    return cut->first_column == 0 && cut->columns > 0 ? (struct hc_range){cut->first_row, cut->rows}
                                                      : (struct hc_range){0, 0};
}

/* layer: NULL: another rank's. */
static hc_status open_layer_matrix(struct hc_network *network, uint32_t i, enum hc_layer_matrix m,
                                   struct hc_network_layer *layer, struct hc_error *error)
{
    const struct hc_decoder *whole = &network->whole;
    const struct hc_decoder_names *names = network->architecture->names;
    const struct hc_matrix_shape shape = hc_layer_matrix_shape(whole, m);
    const struct hc_cut cut = hc_share_cut(&network->share, whole, m);
    const struct hc_tensor_name weight = hc_layer_name(names, i, names->matrices[m], ".weight");
    const struct hc_tensor_name bias = hc_layer_name(names, i, names->matrices[m], ".bias");
    hc_status status = open_matrix(network, weight.text, shape, cut, false, layer ? &layer->matrices[m] : NULL, error);
    if (status == HC_OK && hc_layer_has_bias(whole, m))
        return open_vector(network, bias.text, shape.rows, bias_range(&cut), layer ? &layer->biases[m] : NULL, error);
    return status;
}

static hc_status open_layer(struct hc_network *network, uint32_t i, struct hc_error *error)
{
    const struct hc_decoder *whole = &network->whole;
    const struct hc_decoder_names *names = network->architecture->names;
    const struct hc_range *mine = &network->share.layers;
    struct hc_network_layer *layer =
        i >= mine->first && i - mine->first < mine->count ? &network->layers[i - mine->first] : NULL;
    hc_status status = HC_OK;
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++)
        HC_TRY(open_layer_matrix(network, i, m, layer, error));
    for (unsigned n = 0; n < (whole->head_norms ? HC_LAYER_NORMS : HC_NORM_QUERY); n++) {
        const uint32_t width = n < HC_NORM_QUERY ? whole->width : whole->head_width;
        HC_TRY(open_vector(network, hc_layer_name(names, i, names->norms[n], ".weight").text, width,
                           (struct hc_range){0, width}, layer ? &layer->norms[n] : NULL, error));
    }
done:
    return status;
}

static hc_status make_frequencies(struct hc_network *network, struct hc_error *error)
{
    const struct hc_decoder *whole = &network->whole;
    const uint32_t pairs = whole->head_width / 2;
    float *floats = malloc(pairs * sizeof *floats);
    if (!floats)
        return hc_no_memory(error);
    for (uint32_t i = 0; i < pairs; i++)
        floats[i] = (float)hc_rotary_frequency(&whole->rotary, i, whole->head_width);
    hc_status status = make_vector(network, floats, pairs, &network->frequencies, error);
    free(floats);
    return status;
}

/* Embedding, last norm and head. */
static hc_status open_top(struct hc_network *network, struct hc_error *error)
{
    const struct hc_decoder *whole = &network->whole;
    const struct hc_decoder_names *names = network->architecture->names;
    const struct hc_share *share = &network->share;
    const struct hc_matrix_shape shape = {whole->vocabulary, whole->width};
    const struct hc_cut cut = hc_share_vocabulary_cut(share, whole);
    const bool embeds = share->embeds || (whole->tied && share->decides);
    hc_status status;
    HC_TRY(open_matrix(network, top_name(names->embedding).text, shape, cut, share->embeds,
                       embeds ? &network->embedding : NULL, error));
    if (whole->tied)
        network->head = share->decides ? network->embedding : NULL;
    else
        HC_TRY(open_matrix(network, top_name(names->head).text, shape, cut, false,
                           share->decides ? &network->head : NULL, error));
    HC_TRY(open_vector(network, top_name(names->norm).text, whole->width, (struct hc_range){0, whole->width},
                       share->decides ? &network->norm : NULL, error));
done:
    return status;
}

/* A head beside a tied embedding must be a copy of it. Coded ones are not compared: coding errs. */
static hc_status check_tied_head(const struct hc_network *network, struct hc_error *error)
{
    const struct hc_decoder_names *names = network->architecture->names;
    const struct hc_model_tensor *head = hc_model_find(network->model, top_name(names->head).text);
    const struct hc_model_tensor *embedding = hc_model_find(network->model, top_name(names->embedding).text);
    if (!network->whole.tied || !head || head->info.method || embedding->info.method)
        return HC_OK;
    return hc_decoder_check_tied(embedding->parts[0], head->parts[0], network->model->source->path, error);
}

/* All of the model is looked at, and this rank's share of it is opened. */
static hc_status open_tensors(struct hc_network *network, struct hc_error *error)
{
    hc_status status = HC_OK;
    network->layers = calloc(network->decoder.layers, sizeof *network->layers);
    if (!network->layers)
        return hc_no_memory(error);
    HC_TRY(make_frequencies(network, error));
    HC_TRY(open_top(network, error));
    HC_TRY(check_tied_head(network, error));
    for (uint32_t i = 0; i < network->whole.layers; i++)
        HC_TRY(open_layer(network, i, error));
    for (size_t i = 0; i < network->model->tensor_count; i++)
        HC_TRY(hc_decoder_expects(&network->whole, network->architecture->names, network->model->source->path,
                                  network->model->tensors[i].info.name, error));
done:
    return status;
}

static void fill_info(struct hc_network *network)
{
    const struct hc_decoder *decoder = &network->whole;
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

/* ---- Ranks ---------------------------------------------------------------------------------- */

static hc_status make_widths(struct hc_network *network, size_t ranks, struct hc_error *error)
{
    enum { WIDTHS = 4 };
    network->logits_of = calloc(WIDTHS * ranks, sizeof *network->logits_of);
    if (!network->logits_of)
        return hc_no_memory(error);
    network->heads_of = network->logits_of + ranks;
    network->inner_of = network->heads_of + ranks;
    network->rows_of = network->inner_of + ranks;
    return HC_OK;
}

static void note_widths(struct hc_network *network, const struct hc_share *share)
{
    network->logits_of[share->rank] = share->decides ? share->vocabulary.count : 0;
    network->heads_of[share->rank] = share->heads.count * network->whole.head_width;
    network->inner_of[share->rank] = share->inner.count;
    network->rows_of[share->rank] = share->rows.count;
}

static hc_status make_shares(struct hc_network *network, const struct hc_placement *placement, int rank,
                             struct hc_error *error)
{
    const int ranks = placement->ranks;
    hc_status status = make_widths(network, (size_t)ranks, error);
    for (int r = 0; status == HC_OK && r < ranks; r++) {
        struct hc_share share;
        status = hc_share_make(&share, &network->whole, placement->split, r, ranks, placement->portions, error);
        if (status == HC_OK)
            note_widths(network, &share);
        if (r == rank)
            network->share = share;
    }
    network->decoder = hc_share_decoder(&network->share, &network->whole);
    return status;
}

/* What the i-th rank of this process has of a model that is opened and configured. */
static hc_status open_share(struct hc_network *network, const hc_context *context, const struct hc_placement *placement,
                            int i, struct hc_error *error)
{
    hc_status status;
    network->kernels = context->kernels;
    if (!(network->device = strdup(placement->devices[i])))
        return hc_no_memory(error);
    HC_TRY(make_shares(network, placement, placement->first + i, error));
    HC_TRY(hc_backend_runtime(network->device, &network->owner, &network->kernels, 1, error));
    HC_TRY(open_tensors(network, error));
    HC_TRY(network->owner.table->finish(&network->owner, error));
done:
    return status;
}

/* Opens the shares of all ranks of this process, one behind the other. */
static hc_status open_shares(struct hc_network *first, const hc_context *context, const struct hc_placement *placement,
                             struct hc_error *error)
{
    struct hc_network *network = first;
    hc_status status = open_share(first, context, placement, 0, error);
    for (int i = 1; status == HC_OK && i < placement->here; i++) {
        if (!(network->next = calloc(1, sizeof *network)))
            return hc_no_memory(error);
        network = network->next;
        network->model = first->model;
        network->architecture = first->architecture;
        network->whole = first->whole;
        status = open_share(network, context, placement, i, error);
    }
    return status;
}

/* A file of the model beside its weights, if it is there. */
static hc_status add_file(struct hc_checksum_stream *stream, const char *folder, const char *name,
                          struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1] = "", *path = hc_path_join(folder, name);
    hc_status status = path ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && hc_path_exists(path))
        status = hc_checksum_file(path, checksum, NULL, error);
    hc_checksum_add(stream, checksum, sizeof checksum);
    free(path);
    return status;
}

/* Configuration and tokenizer. In a GGUF they stand before the first tensor. */
static hc_status add_settings(struct hc_checksum_stream *stream, const struct hc_source *source, struct hc_error *error)
{
    static const char *const names[] = {HC_CONFIG_NAME, "tokenizer.json", "tokenizer_config.json",
                                        "generation_config.json", "chat_template.jinja"};
    hc_status status = HC_OK;
    if (source->kind == HC_SOURCE_GGUF && source->tensor_count > 0)
        hc_checksum_add(stream, source->files[0].data, (size_t)(source->tensors[0].data - source->files[0].data));
    for (size_t i = 0; status == HC_OK && source->kind == HC_SOURCE_DIRECTORY && i < sizeof names / sizeof *names; i++)
        status = add_file(stream, source->path, names[i], error);
    return status;
}

/* Coded tensors have a checksum; of others, samples of the files tell that they are of another model. */
static void add_tensors(struct hc_checksum_stream *stream, const struct hc_model *model)
{
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct hc_model_tensor *tensor = &model->tensors[i];
        hc_checksum_add(stream, tensor->name, strlen(tensor->name) + 1);
        hc_checksum_add(stream, tensor->info.shape, sizeof tensor->info.shape);
        hc_checksum_add(stream, tensor->description.checksum, strlen(tensor->description.checksum) + 1);
    }
    for (size_t i = 0; i < model->source->file_count; i++)
        hc_file_sample(&model->source->files[i], stream);
}

/* What has to be the same for every rank: the model, and how it is split. */
static hc_status check_agreement(hc_context *context, const struct hc_model *model, struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1], text[HC_CHECKSUM_DIGITS + 64];
    if (context->comm.ranks == 1)
        return HC_OK;
    struct hc_checksum_stream *stream = hc_checksum_create();
    if (!stream)
        return hc_no_memory(error);
    add_tensors(stream, model);
    hc_status status = add_settings(stream, model->source, error);
    hc_checksum_text(stream, checksum);
    hc_checksum_destroy(stream);
    if (status != HC_OK)
        return status;
    snprintf(text, sizeof text, "%s %s %d", hc_version(), checksum, (int)context->split);
    status = hc_comm_agree(&context->comm, text, "the model, how it is split, and the version of hyperc", error);
    return status == HC_OK ? hc_source_agree(model->source, &context->comm, error) : status; /* may take long */
}

static hc_status load(struct hc_network *network, hc_context *context, const char *path, bool alone,
                      struct hc_error *error)
{
    struct hc_placement placement = {0};
    hc_status status;
    HC_TRY(hc_model_load(path, &network->model, error));
    HC_TRY(configure(network, error));
    HC_TRY(hc_tokenizer_load(network->model->source, &network->tokenizer, error));
    if (!alone)
        HC_TRY(check_agreement(context, network->model, error));
    HC_TRY(hc_placement_make(&placement, context, alone, network->model, &network->whole, network->architecture->names,
                             error));
    HC_TRY(open_shares(network, context, &placement, error));
    fill_info(network);
done:
    hc_placement_clear(&placement);
    if (status != HC_OK && !alone)
        hc_comm_abort(&context->comm, error->text);
    return status;
}

hc_status hc_network_load(hc_context *context, const char *path, bool alone, struct hc_network **out,
                          struct hc_error *error)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return hc_no_memory(error);
    hc_status status = load(*out, context, path, alone, error);
    give_back_memory();
    if (status != HC_OK) {
        hc_network_close(*out);
        *out = NULL;
    }
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

static void close_share(struct hc_network *network)
{
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
    free(network->logits_of);
    free(network->device);
    free(network);
}

void hc_network_close(hc_network *network)
{
    if (!network)
        return;
    struct hc_tokenizer *tokenizer = network->tokenizer;
    struct hc_model *model = network->model;
    for (struct hc_network *next; network; network = next) {
        next = network->next;
        close_share(network);
    }
    hc_tokenizer_close(tokenizer);
    hc_model_close(model);
}

/* ---- The public interface ------------------------------------------------------------------- */

hc_status hc_network_open(hc_context *context, const char *path, hc_network **network)
{
    return hc_network_load(context, path, false, network, &context->error);
}

int hc_network_ranks(const hc_network *network)
{
    return network->share.ranks;
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

/* Processes may be told other days: clocks and time zones differ, and midnight passes between two of them. */
static hc_status agree_on_tokens(hc_context *context, const hc_network *network, const hc_tokens *tokens)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    if (hc_network_ranks(network) == 1)
        return HC_OK;
    hc_checksum(tokens->ids, tokens->count * sizeof *tokens->ids, checksum);
    return hc_comm_agree(&context->comm, checksum, "the conversation", &context->error);
}

hc_status hc_chat_tokens(hc_context *context, const hc_network *network, const hc_turn *turns, size_t count, time_t now,
                         hc_tokens *tokens)
{
    *tokens = (hc_tokens){0};
    hc_status status = check_tokenizer(context, network);
    if (status == HC_OK)
        status = hc_tokenizer_chat(network->tokenizer, turns, count, now, tokens, &context->error);
    if (status == HC_OK)
        status = check_tokens(context, network, tokens);
    if (status == HC_OK && (status = agree_on_tokens(context, network, tokens)) != HC_OK)
        hc_tokens_free(tokens);
    return status;
}
