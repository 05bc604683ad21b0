#include "tokenizer_decode.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer_split.h"

/* ---- Reading -------------------------------------------------------------------------------- */

static hc_status add_replacement(struct hc_decoder_steps *steps, const char *from, const char *to, const char *path,
                                 struct hc_error *error)
{
    if (!from || !*from || !to)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: a decoder replaces something else than a String", path);
    if (steps->replacement_count == HC_DECODER_REPLACEMENTS)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: a decoder replaces more than %d texts", path,
                       HC_DECODER_REPLACEMENTS);
    struct hc_decoder_replacement *replacement = &steps->replacements[steps->replacement_count++];
    replacement->from = strdup(from);
    replacement->to = strdup(to);
    return replacement->from && replacement->to ? HC_OK : hc_no_memory(error);
}

static hc_status read_replace(const json_t *json, const char *path, struct hc_decoder_steps *steps,
                              struct hc_error *error)
{
    const char *from = json_string_value(json_object_get(json_object_get(json, "pattern"), "String"));
    return add_replacement(steps, from, json_string_value(json_object_get(json, "content")), path, error);
}

static hc_status read_metaspace(const json_t *json, const char *path, struct hc_decoder_steps *steps,
                                struct hc_error *error)
{
    const char *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
    steps->strips = scheme ? strcmp(scheme, "never") != 0 : !json_is_false(json_object_get(json, "add_prefix_space"));
    return add_replacement(steps, json_string_value(json_object_get(json, "replacement")), " ", path, error);
}

static hc_status read_strip(const json_t *json, const char *path, struct hc_decoder_steps *steps,
                            struct hc_error *error)
{
    const char *content = json_string_value(json_object_get(json, "content"));
    json_int_t start = json_integer_value(json_object_get(json, "start"));
    json_int_t stop = json_integer_value(json_object_get(json, "stop"));
    if (!content || strcmp(content, " ") != 0 || start < 0 || start > 1 || stop != 0)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the decoder Strip does something else than to take a space away",
                       path);
    steps->strips = start == 1;
    return HC_OK;
}

static hc_status read_steps(const json_t *json, const char *path, struct hc_decoder_steps *steps,
                            struct hc_error *error);

static hc_status read_sequence(const json_t *json, const char *path, struct hc_decoder_steps *steps,
                               struct hc_error *error)
{
    const json_t *list = json_object_get(json, "decoders");
    hc_status status = HC_OK;
    if (!json_is_array(list))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a Sequence of decoders has no list", path);
    for (size_t i = 0; status == HC_OK && i < json_array_size(list); i++)
        status = read_steps(json_array_get(list, i), path, steps, error);
    return status;
}

static hc_status read_steps(const json_t *json, const char *path, struct hc_decoder_steps *steps,
                            struct hc_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (!type)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a decoder has no type", path);
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(json, path, steps, error);
    if (strcmp(type, "Replace") == 0)
        return read_replace(json, path, steps, error);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(json, path, steps, error);
    if (strcmp(type, "Strip") == 0)
        return read_strip(json, path, steps, error);
    if (strcmp(type, "ByteLevel") == 0)
        steps->byte_level = true;
    else if (strcmp(type, "ByteFallback") == 0)
        steps->byte_fallback = true;
    else if (strcmp(type, "Fuse") != 0) /* which joins the tokens: they are joined anyway */
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the decoder '%.100s' is not known", path, type);
    return HC_OK;
}

hc_status hc_decoder_read(const json_t *json, const char *path, struct hc_decoder_steps *steps, struct hc_error *error)
{
    *steps = (struct hc_decoder_steps){0};
    return json && !json_is_null(json) ? read_steps(json, path, steps, error) : HC_OK;
}

void hc_decoder_free(struct hc_decoder_steps *steps)
{
    for (size_t i = 0; i < steps->replacement_count; i++) {
        free(steps->replacements[i].from);
        free(steps->replacements[i].to);
    }
    *steps = (struct hc_decoder_steps){0};
}

/* ---- Work ----------------------------------------------------------------------------------- */

/* The byte of "<0x0A>", or -1. */
static int byte_of(const char *token, size_t bytes)
{
    char *end;
    if (bytes != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>' || !strchr("0123456789ABCDEFabcdef", token[3]))
        return -1;
    long byte = strtol(token + 3, &end, 16);
    return end == token + 5 ? (int)byte : -1;
}

/* Bytes of a token all of whose characters stand for some; else the token itself. */
static bool decode_bytes(const char *token, size_t bytes, struct hc_text *out)
{
    size_t begin = out->used, length;
    for (size_t at = 0; at < bytes; at += length) {
        int byte = hc_byte_of_character(hc_character_at(token + at, &length));
        char c = (char)byte;
        if (byte < 0) {
            out->used = begin;
            return hc_text_add(out, token, bytes);
        }
        if (!hc_text_add(out, &c, 1))
            return false;
    }
    return true;
}

/* Adds the text at `at`, or what replaces the beginning of it; *length is how much of it that was. */
static bool add_replaced(const struct hc_decoder_steps *steps, const char *at, const char *end, size_t *length,
                         struct hc_text *out)
{
    for (size_t i = 0; i < steps->replacement_count; i++) {
        const struct hc_decoder_replacement *replacement = &steps->replacements[i];
        *length = strlen(replacement->from);
        if (*length <= (size_t)(end - at) && memcmp(at, replacement->from, *length) == 0)
            return hc_text_add_string(out, replacement->to);
    }
    hc_character_at(at, length);
    return hc_text_add(out, at, *length);
}

bool hc_decode(const struct hc_decoder_steps *steps, const char *token, size_t bytes, struct hc_text *out)
{
    int byte = steps->byte_fallback ? byte_of(token, bytes) : -1;
    char c = (char)byte;
    if (byte >= 0)
        return hc_text_add(out, &c, 1);
    if (steps->byte_level)
        return decode_bytes(token, bytes, out);
    size_t length;
    for (const char *at = token, *end = token + bytes; at < end; at += length)
        if (!add_replaced(steps, at, end, &length, out))
            return false;
    return true;
}
