#include "tokenizer_normal.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_STEPS = 16 };

enum step_kind { STEP_NFC, STEP_PREPEND, STEP_REPLACE };

struct step {
    enum step_kind kind;
    struct hc_regex *regex; /* replace */
    char *text;             /* replace, prepend */
};

struct hc_normalizer {
    size_t count;
    struct step steps[MAX_STEPS];
};

/* ---- Reading -------------------------------------------------------------------------------- */

static hc_status read_step(const json_t *json, const char *path, struct step *step, struct hc_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *text = NULL;
    if (!type)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a normalizer has no type", path);
    if (strcmp(type, "NFC") == 0) {
        step->kind = STEP_NFC;
        return HC_OK;
    }
    if (strcmp(type, "Prepend") == 0) {
        step->kind = STEP_PREPEND;
        text = json_string_value(json_object_get(json, "prepend"));
    } else if (strcmp(type, "Replace") == 0) {
        step->kind = STEP_REPLACE;
        text = json_string_value(json_object_get(json, "content"));
        hc_status status = hc_regex_read(json_object_get(json, "pattern"), path, &step->regex, error);
        if (status != HC_OK)
            return status;
    } else {
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the normalizer '%.100s' is not known", path, type);
    }
    if (!text)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the normalizer %s has no text", path, type);
    step->text = strdup(text);
    return step->text ? HC_OK : hc_no_memory(error);
}

/* One normalizer, or a Sequence of them, in any depth: the JSON reader has bounded that. */
static hc_status read_steps(const json_t *json, const char *path, struct hc_normalizer *normalizer,
                            struct hc_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (!type || strcmp(type, "Sequence") != 0) {
        if (normalizer->count == MAX_STEPS)
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: more than %d normalizers", path, MAX_STEPS);
        return read_step(json, path, &normalizer->steps[normalizer->count++], error);
    }
    const json_t *list = json_object_get(json, "normalizers");
    hc_status status = HC_OK;
    if (!json_is_array(list))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a Sequence of normalizers has no list", path);
    for (size_t i = 0; status == HC_OK && i < json_array_size(list); i++)
        status = read_steps(json_array_get(list, i), path, normalizer, error);
    return status;
}

hc_status hc_normalizer_read(const json_t *json, const char *path, struct hc_normalizer **result,
                             struct hc_error *error)
{
    struct hc_normalizer *normalizer = calloc(1, sizeof *normalizer);
    *result = NULL;
    if (!normalizer)
        return hc_no_memory(error);
    hc_status status = json && !json_is_null(json) ? read_steps(json, path, normalizer, error) : HC_OK;
    if (status != HC_OK)
        hc_normalizer_free(normalizer);
    else
        *result = normalizer;
    return status;
}

void hc_normalizer_free(struct hc_normalizer *normalizer)
{
    for (size_t i = 0; normalizer && i < normalizer->count; i++) {
        hc_regex_free(normalizer->steps[i].regex);
        free(normalizer->steps[i].text);
    }
    free(normalizer);
}

/* ---- Work ----------------------------------------------------------------------------------- */

static bool is_ascii(const struct hc_text *text)
{
    for (size_t i = 0; i < text->used; i++)
        if (text->bytes[i] & 0x80)
            return false;
    return true;
}

static hc_status compose(struct hc_text *text, struct hc_error *error)
{
    if (is_ascii(text))
        return HC_OK;
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text->bytes, (utf8proc_ssize_t)text->used,
                                           &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (length < 0) /* it is UTF-8: nothing else can go wrong */
        return hc_no_memory(error);
    hc_text_clear(text);
    bool added = hc_text_add(text, (const char *)composed, (size_t)length);
    free(composed);
    return added ? HC_OK : hc_no_memory(error);
}

/* Copies `text` to `out`, with every match of the step's pattern replaced. */
static hc_status replace(const struct step *step, struct hc_matcher *matcher, const struct hc_text *text,
                         struct hc_text *out, struct hc_error *error)
{
    size_t done = 0, from = 0, begin, end, length;
    bool found = true;
    while (from <= text->used) {
        hc_status status =
            hc_regex_find(step->regex, matcher, text->bytes, text->used, from, &begin, &end, &found, error);
        if (status != HC_OK)
            return status;
        if (!found)
            break;
        if (!hc_text_add(out, text->bytes + done, begin - done) || !hc_text_add_string(out, step->text))
            return hc_no_memory(error);
        done = from = end;
        if (begin == end) { /* go on behind the next character */
            hc_character_at(text->bytes + end, &length);
            from += length;
        }
    }
    return hc_text_add(out, text->bytes + done, text->used - done) ? HC_OK : hc_no_memory(error);
}

hc_status hc_normalize(const struct hc_normalizer *normalizer, struct hc_matcher *matcher, struct hc_text *text,
                       struct hc_text *spare, struct hc_error *error)
{
    for (size_t i = 0; i < normalizer->count && text->used > 0; i++) {
        const struct step *step = &normalizer->steps[i];
        hc_status status = HC_OK;
        hc_text_clear(spare);
        if (step->kind == STEP_NFC) {
            status = compose(text, error);
        } else if (step->kind == STEP_REPLACE) {
            status = replace(step, matcher, text, spare, error);
        } else if (!hc_text_add_string(spare, step->text) || !hc_text_add(spare, text->bytes, text->used)) {
            status = hc_no_memory(error);
        }
        if (status != HC_OK)
            return status;
        if (step->kind != STEP_NFC) {
            struct hc_text swap = *text;
            *text = *spare;
            *spare = swap;
        }
    }
    return HC_OK;
}
