#include "config.h"

#include "json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64 };

#define KEY "\"quantization_config\""
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

/* Where the string that begins at `text` ends: behind its second quote. */
static const char *skip_string(const char *text)
{
    for (text++; *text && *text != '"'; text++)
        if (*text == '\\' && text[1])
            text++;
    return *text ? text + 1 : text;
}

/* Python writes numbers that JSON has not, as in "time_step_limit": [0.0, Infinity]. For the check they become 0. */
static void tame_numbers(char *text)
{
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    const char *before = ",:[ \t\r\n";
    for (char *at = text; *at;) {
        size_t length = 1;
        for (size_t i = 0; at > text && strchr(before, at[-1]) && i < sizeof names / sizeof *names; i++)
            if (strncmp(at, names[i], strlen(names[i])) == 0) {
                length = strlen(names[i]);
                memset(at, ' ', length);
                *at = '0';
            }
        at += *at == '"' ? (size_t)(skip_string(at) - at) : length;
    }
}

static hc_status parse(const char *text, const char *path, json_t **json, struct hc_error *error)
{
    char *tame = strdup(text);
    *json = NULL;
    if (!tame)
        return hc_no_memory(error);
    tame_numbers(tame);
    hc_status status = hc_json_parse(tame, strlen(tame), DEPTH, path, json, error);
    free(tame);
    return status;
}

hc_status hc_config_add(const char *text, const json_t *quantization, const char *path, char **out,
                        struct hc_error *error)
{
    json_t *json = NULL;
    char *value = NULL, *member = NULL;
    hc_status status;
    if (!text)
        text = NO_CONFIG;
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
    value = hc_json_text(quantization, JSON_REAL_PRECISION(15)); /* for people: 0.1, not 0.10000000000000001 */
    if (value)
        member = join(text[end - 1] == '{' ? "\n  " : ",\n  ", text[end - 1] == '{' ? 3 : 4, KEY ": ", value);
    *out = member ? join(text, end, member, text + end) : NULL;
    if (!*out)
        status = hc_no_memory(error);
done:
    json_decref(json);
    free(value);
    free(member);
    return status;
}

/* Where the value that begins at `text` ends: at the comma or bracket behind it, or the space before these. */
static const char *skip_value(const char *text)
{
    int depth = 0;
    const char *end = text;
    while (*text && (depth > 0 || !strchr(",}]", *text))) {
        depth += *text == '{' || *text == '[';
        depth -= *text == '}' || *text == ']';
        bool space = isspace((unsigned char)*text);
        text = *text == '"' ? skip_string(text) : text + 1;
        if (!space)
            end = text;
    }
    return end;
}

static const char *skip_space(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* Where the member of the object `text`, which is sound, stands: with the comma before it, or the one behind it if it
 * is the first of several. False if there is none; a key with escapes in it is not found. */
static bool find_member(const char *text, const char **begin, const char **end)
{
    const char *from = skip_space(text) + 1, *key = skip_space(from); /* behind the bracket, later at a comma */
    while (*key == '"') {
        const char *to = skip_value(skip_space(skip_string(key)) + 1);
        const char *next = skip_space(to);
        if (strncmp(key, KEY, strlen(KEY)) == 0) {
            *begin = from;
            *end = *from != ',' && *next == ',' ? next + 1 : to;
            return true;
        }
        if (*next != ',')
            return false;
        from = next;
        key = skip_space(next + 1);
    }
    return false;
}

hc_status hc_config_remove(const char *text, const char *path, char **out, struct hc_error *error)
{
    json_t *json = NULL, *check = NULL;
    const char *from, *to;
    hc_status status;
    *out = NULL;
    HC_TRY(parse(text, path, &json, error));
    if (!find_member(text, &from, &to))
        from = to = text;
    *out = join(text, (size_t)(from - text), "", to);
    if (!*out) {
        status = hc_no_memory(error);
        goto done;
    }
    HC_TRY(parse(*out, path, &check, error));
    json_object_del(json, "quantization_config");
    if (!json_equal(check, json))
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: quantization_config cannot be taken out", path);
done:
    if (*out && (status != HC_OK || strcmp(*out, NO_CONFIG) == 0)) {
        free(*out);
        *out = NULL;
    }
    json_decref(json);
    json_decref(check);
    return status;
}
