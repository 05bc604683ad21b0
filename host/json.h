/* JSON: the guard in front of the parser, and writing that cannot lose anything. */
#ifndef HC_HOST_JSON_H
#define HC_HOST_JSON_H

#include <jansson.h>

#include "error.h"

/* How many bytes the character at the beginning of `text` has: 1 to 4, 0 if it is not UTF-8 (too long a form, half of a
 * surrogate pair, beyond U+10FFFF, cut off). The zero at the end counts as a character of 1 byte. */
size_t hc_utf8_bytes(const char *text);

/* Texts that come from file names or arguments and go into JSON must be; Jansson takes nothing else, and says so as it
 * says that memory is out. */
bool hc_is_utf8(const char *text);

/* The longest JSON text that is read from outside; the limit of safetensors' own reader. */
enum { HC_JSON_MAX_BYTES = 100000000 };

/* Parses JSON that nobody vouches for: at most HC_JSON_MAX_BYTES, `depth` levels deep and a million values, so that
 * memory stays bounded; UTF-8; no key twice in an object. The root must be an object. `what` begins the message. */
hc_status hc_json_parse(const char *text, size_t size, unsigned depth, const char *what, json_t **root,
                        struct hc_error *error);

/* The text of a value, with Jansson's flags; NULL if memory is out, or `json` is NULL. The caller frees it. Jansson's
 * own json_dumps leaves out what it has no memory for. */
char *hc_json_text(const json_t *json, size_t flags);

/* A list of dimensions; NULL if memory is out. */
json_t *hc_json_shape(int rank, const uint64_t *shape);

#endif
