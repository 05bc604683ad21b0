#include "config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define KEY "\"quantization_config\": "

static hc_status parse(const char *text, const char *path, json_t **json, struct hc_error *error)
{
    json_error_t where;
    *json = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (json_is_object(*json))
        return HC_OK;
    hc_status status = *json ? hc_fail(error, HC_ERR_CORRUPT, "%s: not a JSON object", path)
                             : hc_fail(error, HC_ERR_CORRUPT, "%s: line %d: %s", path, where.line, where.text);
    json_decref(*json);
    *json = NULL;
    return status;
}

/* Joins three stretches of text. */
static char *join(const char *a, size_t a_bytes, const char *b, const char *c)
{
    size_t b_bytes = strlen(b), c_bytes = strlen(c);
    char *out = malloc(a_bytes + b_bytes + c_bytes + 1);
    if (out) {
        memcpy(out, a, a_bytes);
        memcpy(out + a_bytes, b, b_bytes);
        memcpy(out + a_bytes + b_bytes, c, c_bytes + 1);
    }
    return out;
}

hc_status hc_config_add(const char *text, const json_t *quantization, const char *path, char **out,
                        struct hc_error *error)
{
    json_t *json = NULL;
    char *value = NULL, *member = NULL;
    hc_status status;
    if (!text)
        text = "{\n}\n";
    HC_TRY(parse(text, path, &json, error));
    json_t *present = json_object_get(json, "quantization_config");
    if (present) {
        const char *method = json_string_value(json_object_get(present, "quant_method"));
        status = hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the model is quantized already (%s)", path,
                         method ? method : "by an unnamed method");
        goto done;
    }
    size_t end = (size_t)(strrchr(text, '}') - text);
    while (isspace((unsigned char)text[end - 1]))
        end--;
    value = json_dumps(quantization, JSON_REAL_PRECISION(15)); /* for people: 0.1, not 0.10000000000000001 */
    if (value)
        member = join(text[end - 1] == '{' ? "\n  " : ",\n  ", text[end - 1] == '{' ? 3 : 4, KEY, value);
    *out = member ? join(text, end, member, text + end) : NULL;
    if (!*out)
        status = hc_fail(error, HC_ERR_MEMORY, "out of memory");
done:
    json_decref(json);
    free(value);
    free(member);
    return status;
}

/* The text without the member as hc_config_add wrote it; NULL if it is not found so. */
static char *cut_member(const char *text)
{
    const char *from = strstr(text, KEY);
    if (!from)
        return NULL;
    const char *to = from + strlen(KEY);
    int depth = 0;
    do {
        if (*to == '{' || *to == '[')
            depth++;
        else if (*to == '}' || *to == ']')
            depth--;
        else if (*to == 0 || depth == 0)
            return NULL;
        to++;
    } while (depth > 0);
    while (from > text && isspace((unsigned char)from[-1]))
        from--;
    if (from > text && from[-1] == ',')
        from--;
    return join(text, (size_t)(from - text), "", to);
}

hc_status hc_config_remove(const char *text, const char *path, char **out, struct hc_error *error)
{
    json_t *json = NULL, *check = NULL;
    hc_status status;
    *out = NULL;
    HC_TRY(parse(text, path, &json, error));
    json_object_del(json, "quantization_config");
    if (json_object_size(json) == 0)
        goto done;
    *out = cut_member(text);
    check = *out ? json_loads(*out, 0, NULL) : NULL;
    if (!check || !json_equal(check, json)) { /* somebody edited it: the same object, another layout */
        free(*out);
        *out = json_dumps(json, JSON_INDENT(2));
        if (!*out)
            status = hc_fail(error, HC_ERR_MEMORY, "out of memory");
    }
done:
    json_decref(json);
    json_decref(check);
    return status;
}
