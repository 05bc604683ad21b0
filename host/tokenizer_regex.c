#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer_regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_text.h"

enum { JIT_STACK_FIRST = 32 << 10, JIT_STACK_MOST = 4 << 20, MATCH_LIMIT = 10000000, DEPTH_HEAP_KIB = 256 << 10 };

struct hc_regex {
    pcre2_code *code;
    char *shown; /* for messages */
};

struct hc_matcher {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

/* ---- Patterns ------------------------------------------------------------------------------- */

/* PCRE2's \s has U+180E in it, which is no space any more, and its \w leaves out marks. What stands for them, with
 * brackets of its own or to be put into some; "" for other letters, NULL for what cannot be put into brackets. */
static const char *class_of(char letter, bool in_class)
{
    static const char *const spaces[] = {"[\\t-\\r\\x{85}\\p{Z}]", "\\t-\\r\\x{85}\\p{Z}"};
    static const char *const words[] = {"[\\p{L}\\p{M}\\p{N}\\p{Pc}]", "\\p{L}\\p{M}\\p{N}\\p{Pc}"};
    switch (letter) {
    case 's':
        return spaces[in_class];
    case 'w':
        return words[in_class];
    case 'S':
        return in_class ? NULL : "[^\\t-\\r\\x{85}\\p{Z}]";
    case 'W':
        return in_class ? NULL : "[^\\p{L}\\p{M}\\p{N}\\p{Pc}]";
    default:
        return "";
    }
}

/* Rewrites a pattern of Oniguruma's for PCRE2. False, with *fault, for what cannot be; *fault is NULL if memory is
 * out. */
static bool translate(const char *pattern, struct hc_text *out, const char **fault)
{
    const char *class_at = NULL; /* the bracket that is open */
    *fault = NULL;
    for (const char *at = pattern; *at; at++) {
        if (*at == '\\' && at[1]) {
            const char *class = class_of(*++at, class_at != NULL);
            if (!class) {
                *fault = "a negated class in brackets";
                return false;
            }
            if (*class ? !hc_text_add_string(out, class) : !hc_text_add(out, at - 1, 2))
                return false;
            continue;
        }
        if (class_at && ((at[0] == '[' && at[1] != ':') || (at[0] == '&' && at[1] == '&'))) {
            *fault = "brackets within brackets";
            return false;
        }
        if (class_at && at[0] == '[') { /* [:name:] */
            const char *end = strstr(at, ":]");
            size_t length = end ? (size_t)(end + 2 - at) : 1;
            if (!hc_text_add(out, at, length))
                return false;
            at += length - 1;
            continue;
        }
        if (!class_at && *at == '[')
            class_at = at;
        else if (class_at && *at == ']' && at > class_at + 1 + (class_at[1] == '^')) /* else it is a character */
            class_at = NULL;
        if (!hc_text_add(out, at, 1))
            return false;
    }
    return true;
}

static hc_status compile(const char *pattern, size_t bytes, bool literal, const char *path, struct hc_regex *regex,
                         struct hc_error *error)
{
    uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
    int fault = 0;
    PCRE2_SIZE at = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, bytes, options, &fault, &at, NULL);
    if (!regex->code) {
        PCRE2_UCHAR text[160] = "";
        pcre2_get_error_message(fault, text, sizeof text);
        if (fault == PCRE2_ERROR_HEAP_FAILED)
            return hc_no_memory(error);
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the pattern '%.200s': %s", path, regex->shown, (const char *)text);
    }
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* where it is not to be had, the interpreter does it */
    return HC_OK;
}

hc_status hc_regex_compile(const char *pattern, bool literal, const char *path, struct hc_regex **result,
                           struct hc_error *error)
{
    struct hc_text text = {0};
    const char *fault = NULL;
    hc_status status = HC_OK;
    struct hc_regex *regex = calloc(1, sizeof *regex);
    *result = NULL;
    if (strlen(pattern) > HC_PATTERN_MAX_BYTES) {
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: a pattern is longer than %d bytes", path, HC_PATTERN_MAX_BYTES);
        goto done;
    }
    bool translated = literal ? hc_text_add_string(&text, pattern) : translate(pattern, &text, &fault);
    if (!translated && fault) {
        status =
            hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the pattern '%.200s': %s: not supported", path, pattern, fault);
        goto done;
    }
    if (!regex || !translated || !hc_text_add(&text, "", 0) || !(regex->shown = strdup(pattern))) {
        status = hc_no_memory(error);
        goto done;
    }
    HC_TRY(compile(text.bytes, text.used, literal, path, regex, error));
    *result = regex;
    regex = NULL;
done:
    hc_regex_free(regex);
    hc_text_free(&text);
    return status;
}

hc_status hc_regex_read(const json_t *json, const char *path, struct hc_regex **regex, struct hc_error *error)
{
    const char *pattern = json_string_value(json_object_get(json, "Regex"));
    const char *text = json_string_value(json_object_get(json, "String"));
    *regex = NULL;
    if (pattern || (text && *text))
        return hc_regex_compile(pattern ? pattern : text, !pattern, path, regex, error);
    return hc_fail(error, HC_ERR_CORRUPT, "%s: a pattern is neither a Regex nor a String", path);
}

void hc_regex_free(struct hc_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex->shown);
    free(regex);
}

/* ---- Matching ------------------------------------------------------------------------------- */

hc_status hc_matcher_create(struct hc_matcher **result, struct hc_error *error)
{
    struct hc_matcher *matcher = calloc(1, sizeof *matcher);
    *result = matcher;
    if (matcher) {
        matcher->context = pcre2_match_context_create(NULL);
        matcher->data = pcre2_match_data_create(1, NULL);
        matcher->stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MOST, NULL); /* NULL without JIT */
    }
    if (!matcher || !matcher->context || !matcher->data) {
        hc_matcher_free(matcher);
        *result = NULL;
        return hc_no_memory(error);
    }
    pcre2_set_match_limit(matcher->context, MATCH_LIMIT);
    pcre2_set_heap_limit(matcher->context, DEPTH_HEAP_KIB);
    if (matcher->stack)
        pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
    return HC_OK;
}

void hc_matcher_free(struct hc_matcher *matcher)
{
    if (!matcher)
        return;
    pcre2_jit_stack_free(matcher->stack);
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    free(matcher);
}

hc_status hc_regex_find(const struct hc_regex *regex, struct hc_matcher *matcher, const char *text, size_t bytes,
                        size_t from, size_t *begin, size_t *end, bool *found, struct hc_error *error)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int result = pcre2_match(regex->code, subject, bytes, from, PCRE2_NO_UTF_CHECK, matcher->data, matcher->context);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter's stack is the heap */
        result = pcre2_match(regex->code, subject, bytes, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, matcher->data,
                             matcher->context);
    *found = result >= 0;
    if (result == PCRE2_ERROR_NOMEMORY)
        return hc_no_memory(error);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        return hc_fail(
            error, HC_ERR_UNSUPPORTED, "the tokenizer's pattern '%.200s' cannot be matched: %s", regex->shown,
            result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_HEAPLIMIT ? "it takes too long" : "PCRE2 fails");
    if (!*found)
        return HC_OK;
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(matcher->data);
    if (places[0] < from || places[1] < places[0]) /* \K in an assertion can do that */
        return hc_fail(error, HC_ERR_UNSUPPORTED, "the tokenizer's pattern '%.200s' matches backwards", regex->shown);
    *begin = places[0];
    *end = places[1];
    return HC_OK;
}
