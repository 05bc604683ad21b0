#include "config.h"

#include "json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64 };

#define KEY "\"quantization_config\": "
#define NO_CONFIG "{\n}\n" /* what stands for a config.json that is not there */

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
        text = NO_CONFIG;
    HC_TRY(hc_json_parse(text, strlen(text), DEPTH, path, &json, error));
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
    value = hc_json_text(quantization, JSON_REAL_PRECISION(15)); /* for people: 0.1, not 0.10000000000000001 */
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

/* Where the member stands as hc_config_add wrote it; false if it is not found so. */
static bool find_member(const char *text, const char **begin, const char **end)
{
    const char *from = strstr(text, KEY);
    if (!from)
        return false;
    const char *to = from + strlen(KEY);
    int depth = 0;
    do {
        if (*to == '{' || *to == '[')
            depth++;
        else if (*to == '}' || *to == ']')
            depth--;
        else if (*to == 0 || depth == 0)
            return false;
        to++;
    } while (depth > 0);
    while (from > text && isspace((unsigned char)from[-1]))
        from--;
    if (from > text && from[-1] == ',')
        from--;
    *begin = from;
    *end = to;
    return true;
}

static hc_status cut(const char *text, const char *from, const char *to, char **out, struct hc_error *error)
{
    *out = join(text, (size_t)(from - text), "", to);
    return *out ? HC_OK : hc_fail(error, HC_ERR_MEMORY, "out of memory");
}

hc_status hc_config_remove(const char *text, const char *path, char **out, struct hc_error *error)
{
    json_t *json = NULL, *check = NULL;
    const char *from, *to;
    hc_status status;
    *out = NULL;
    HC_TRY(hc_json_parse(text, strlen(text), DEPTH, path, &json, error));
    json_object_del(json, "quantization_config");
    if (find_member(text, &from, &to))
        HC_TRY(cut(text, from, to, out, error));
    if (*out && strcmp(*out, NO_CONFIG) == 0) {
        free(*out);
        *out = NULL;
        goto done;
    }
    check = *out ? json_loads(*out, 0, NULL) : NULL;
    if (!check || !json_equal(check, json)) { /* somebody edited it: the same object, another layout */
        free(*out);
        *out = hc_json_text(json, JSON_INDENT(2));
        if (!*out)
            status = hc_fail(error, HC_ERR_MEMORY, "out of memory");
    }
done:
    json_decref(json);
    json_decref(check);
    return status;
}
