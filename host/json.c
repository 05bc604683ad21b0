#include "json.h"

#include <stdlib.h>
#include <string.h>

size_t hc_utf8_bytes(const char *text)
{
    const uint8_t *c = (const uint8_t *)text;
    size_t bytes = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool outside = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
                   (c[0] == 0xf4 && c[1] > 0x8f);
    return outside ? 0 : bytes;
}

bool hc_is_utf8(const char *text)
{
    size_t bytes;
    for (; *text; text += bytes) {
        bytes = hc_utf8_bytes(text);
        if (bytes == 0)
            return false;
    }
    return true;
}

/* The header of the largest shards in use has some ten thousand values; a million take Jansson some 300 MB. */
enum { JSON_MAX_VALUES = 1000000, JSON_VALUE_BYTES = 300 };

/* Looks at brackets and commas only, so that what the real parser will allocate is known before it starts. */
static hc_status guard_json(const char *text, size_t size, unsigned depth, const char *what, struct hc_error *error)
{
    size_t values = 0;
    unsigned level = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            values++;
            if (++level > depth)
                return hc_fail(error, HC_ERR_CORRUPT, "%s is nested more than %u levels deep", what, depth);
        } else if (c == '}' || c == ']') {
            level -= level > 0;
        } else if (c == ',') {
            values++;
        }
    }
    if (values > JSON_MAX_VALUES)
        return hc_fail(error, HC_ERR_CORRUPT, "%s has more than %d values", what, JSON_MAX_VALUES);

    /* Jansson's reader writes out of bounds where it runs out of memory: see first that there is enough. */
    void *room = malloc(2 * size + JSON_VALUE_BYTES * (values + 1));
    free(room);
    return room ? HC_OK : hc_fail(error, HC_ERR_MEMORY, "out of memory while reading %s", what);
}

hc_status hc_json_parse(const char *text, size_t size, unsigned depth, const char *what, json_t **root,
                        struct hc_error *error)
{
    *root = NULL;
    if (size > HC_JSON_MAX_BYTES)
        return hc_fail(error, HC_ERR_CORRUPT, "%s is longer than %d bytes", what, HC_JSON_MAX_BYTES);
    hc_status status = guard_json(text, size, depth, what, error);
    if (status != HC_OK)
        return status;

    json_error_t fault;
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault);
    if (!*root) {
        if (json_error_code(&fault) == json_error_out_of_memory)
            return hc_fail(error, HC_ERR_MEMORY, "out of memory while reading %s", what);
        return hc_fail(error, HC_ERR_CORRUPT, "%s is not valid JSON: byte %d: %s", what, fault.position, fault.text);
    }
    if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return hc_fail(error, HC_ERR_CORRUPT, "%s is not a JSON object", what);
    }
    return HC_OK;
}

struct text {
    char *bytes;
    size_t used, room;
    bool failed;
};

static int add_text(const char *bytes, size_t count, void *user)
{
    struct text *text = user;
    if (count > text->room - text->used) {
        size_t room = 2 * text->room + count;
        char *grown = realloc(text->bytes, room);
        if (!grown) {
            text->failed = true;
            return -1;
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
    return 0;
}

char *hc_json_text(const json_t *json, size_t flags)
{
    struct text text = {0};
    if (json && json_dump_callback(json, add_text, &text, flags) == 0 && add_text("", 1, &text) == 0 && !text.failed)
        return text.bytes;
    free(text.bytes);
    return NULL;
}

json_t *hc_json_shape(int rank, const uint64_t *shape)
{
    json_t *list = json_array();
    for (int i = 0; i < rank; i++)
        if (json_array_append_new(list, json_integer((json_int_t)shape[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}
