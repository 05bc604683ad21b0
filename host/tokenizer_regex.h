/* The patterns of tokenizers, by PCRE2. They are written for Oniguruma, whose idea of spaces and letters is Unicode's.
 */
#ifndef HC_HOST_TOKENIZER_REGEX_H
#define HC_HOST_TOKENIZER_REGEX_H

#include <jansson.h>

#include "error.h"

struct hc_regex;   /* compiled; never changed */
struct hc_matcher; /* what one thread needs to use it */

enum { HC_PATTERN_MAX_BYTES = 1 << 16 };

/* `json`: {"Regex": text} or {"String": text}, the latter to be found as it is. HC_ERR_CORRUPT: no such thing, or a
 * pattern that PCRE2 refuses; HC_ERR_UNSUPPORTED: what means one thing there and another here. */
hc_status hc_regex_read(const json_t *json, const char *path, struct hc_regex **regex, struct hc_error *error);
hc_status hc_regex_compile(const char *pattern, bool literal, const char *path, struct hc_regex **regex,
                           struct hc_error *error);
void hc_regex_free(struct hc_regex *regex);

hc_status hc_matcher_create(struct hc_matcher **matcher, struct hc_error *error);
void hc_matcher_free(struct hc_matcher *matcher);

/* The first match at or behind `from` in `text`, valid UTF-8 of `bytes` bytes: [*begin, *end), which may be empty;
 * *found tells if there is one. HC_ERR_UNSUPPORTED: it takes too long to find. */
hc_status hc_regex_find(const struct hc_regex *regex, struct hc_matcher *matcher, const char *text, size_t bytes,
                        size_t from, size_t *begin, size_t *end, bool *found, struct hc_error *error);

#endif
