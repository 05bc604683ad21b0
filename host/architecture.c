#include "architecture.h"

#include "json.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hc_status hc_architecture_find(const json_t *config, const char *path, const struct hc_architecture **architecture,
                               struct hc_error *error)
{
    const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    if (!name)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: its configuration names no architecture", path);
    for (size_t i = 0; hc_architectures[i]; i++)
        if (strcmp(hc_architectures[i]->class_name, name) == 0) {
            *architecture = hc_architectures[i];
            return HC_OK;
        }
    return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: networks of the architecture %s are not known", path, name);
}

struct hc_tensor_name hc_layer_name(const struct hc_decoder_names *names, uint32_t layer, const char *what,
                                    const char *suffix)
{
    struct hc_tensor_name name;
    snprintf(name.text, sizeof name.text, "%s%u.%s%s", names->layer, layer, what, suffix);
    return name;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Whether the layer reads the tensor that is called `rest` behind its number. */
static bool reads(const struct hc_decoder *decoder, const struct hc_decoder_names *names, const char *rest)
{
    for (int i = 0; i < HC_LAYER_MATRICES; i++) {
        size_t length = strlen(names->matrices[i]);
        if (strncmp(rest, names->matrices[i], length) == 0)
            return strcmp(rest + length, ".weight") == 0 ||
                   (strcmp(rest + length, ".bias") == 0 && hc_layer_has_bias(decoder, i));
    }
    for (int i = 0; i < (decoder->head_norms ? HC_LAYER_NORMS : HC_NORM_QUERY); i++) {
        size_t length = strlen(names->norms[i]);
        if (strncmp(rest, names->norms[i], length) == 0)
            return strcmp(rest + length, ".weight") == 0;
    }
    return ends_with(rest, ".rotary_emb.inv_freq");
}

hc_status hc_decoder_expects(const struct hc_decoder *decoder, const struct hc_decoder_names *names, const char *path,
                             const char *tensor, struct hc_error *error)
{
    const size_t prefix = strlen(names->layer);
    if (strncmp(tensor, names->layer, prefix) != 0)
        return HC_OK;
    char *rest;
    unsigned long layer = strtoul(tensor + prefix, &rest, 10);
    if (rest != tensor + prefix && *rest == '.' && layer < decoder->layers && reads(decoder, names, rest + 1))
        return HC_OK;
    return hc_fail(error, HC_ERR_CORRUPT, "%s: there is a tensor %s, and the configuration says there is none", path,
                   tensor);
}

/* columns 0: a vector. */
static hc_status check_tensor(const struct hc_source *source, const char *name, uint64_t rows, uint64_t columns,
                              struct hc_error *error)
{
    int64_t found = hc_source_find(source, name);
    if (found < 0)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: there is no tensor %s", source->path, name);
    const struct hc_tensor *tensor = &source->tensors[found];
    if (tensor->rank != (columns ? 2 : 1) || tensor->shape[0] != rows || (columns && tensor->shape[1] != columns))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the tensor %s has not the shape that the configuration says",
                       source->path, name);
    if (!hc_type_is_float(tensor->type))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the tensor %s is not of floating point numbers", source->path,
                       name);
    return HC_OK;
}

static hc_status check_top(const struct hc_source *source, const char *what, uint64_t rows, uint64_t columns,
                           struct hc_error *error)
{
    struct hc_tensor_name name;
    snprintf(name.text, sizeof name.text, "%s.weight", what);
    return check_tensor(source, name.text, rows, columns, error);
}

static hc_status check_layer(const struct hc_decoder *decoder, const struct hc_decoder_names *names, uint32_t layer,
                             const struct hc_source *source, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (int i = 0; i < HC_LAYER_MATRICES; i++) {
        struct hc_matrix_shape shape = hc_layer_matrix_shape(decoder, i);
        struct hc_tensor_name weight = hc_layer_name(names, layer, names->matrices[i], ".weight");
        struct hc_tensor_name bias = hc_layer_name(names, layer, names->matrices[i], ".bias");
        HC_TRY(check_tensor(source, weight.text, shape.rows, shape.columns, error));
        if (hc_layer_has_bias(decoder, i))
            HC_TRY(check_tensor(source, bias.text, shape.rows, 0, error));
    }
    for (int i = 0; i < (decoder->head_norms ? HC_LAYER_NORMS : HC_NORM_QUERY); i++) {
        struct hc_tensor_name norm = hc_layer_name(names, layer, names->norms[i], ".weight");
        uint32_t width = i < HC_NORM_QUERY ? decoder->width : decoder->head_width;
        HC_TRY(check_tensor(source, norm.text, width, 0, error));
    }
done:
    return status;
}

hc_status hc_decoder_check_tied(const struct hc_tensor *embedding, const struct hc_tensor *head, const char *path,
                                struct hc_error *error)
{
    if (head->type == embedding->type && head->bytes == embedding->bytes &&
        memcmp(head->data, embedding->data, head->bytes) == 0)
        return HC_OK;
    return hc_fail(error, HC_ERR_CORRUPT, "%s: the configuration ties %s to the embedding, and their numbers differ",
                   path, head->name);
}

/* What the decoder has in place of a head of its own. */
static hc_status check_tied(const struct hc_decoder_names *names, const struct hc_source *source,
                            struct hc_error *error)
{
    struct hc_tensor_name embedding, head;
    snprintf(embedding.text, sizeof embedding.text, "%s.weight", names->embedding);
    snprintf(head.text, sizeof head.text, "%s.weight", names->head);
    const int64_t first = hc_source_find(source, embedding.text), copy = hc_source_find(source, head.text);
    return copy < 0 ? HC_OK
                    : hc_decoder_check_tied(&source->tensors[first], &source->tensors[copy], source->path, error);
}

hc_status hc_decoder_check(const struct hc_decoder *decoder, const struct hc_decoder_names *names,
                           const struct hc_source *source, struct hc_error *error)
{
    hc_status status;
    HC_TRY(check_top(source, names->embedding, decoder->vocabulary, decoder->width, error));
    HC_TRY(check_top(source, names->norm, decoder->width, 0, error));
    HC_TRY(decoder->tied ? check_tied(names, source, error)
                         : check_top(source, names->head, decoder->vocabulary, decoder->width, error));
    for (uint32_t i = 0; i < decoder->layers; i++)
        HC_TRY(check_layer(decoder, names, i, source, error));
    for (size_t i = 0; i < source->tensor_count; i++)
        HC_TRY(hc_decoder_expects(decoder, names, source->path, source->tensors[i].name, error));
done:
    return status;
}

hc_status hc_architecture_recognise(const char *config, const struct hc_source *source,
                                    const struct hc_architecture **architecture, struct hc_decoder *decoder,
                                    struct hc_error *error)
{
    enum { DEPTH = 64 };
    json_t *json = NULL;
    hc_status status;
    HC_TRY(hc_json_parse(config, strlen(config), DEPTH, "config.json", &json, error));
    HC_TRY(hc_architecture_find(json, source->path, architecture, error));
    HC_TRY((*architecture)->configure(json, source->path, decoder, error));
    HC_TRY(hc_decoder_check(decoder, (*architecture)->names, source, error));
done:
    json_decref(json);
    return status;
}
