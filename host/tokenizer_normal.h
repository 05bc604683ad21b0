/* Normalizers: what is done to the characters of a text before it is cut. Known: Sequence, NFC, Prepend, Replace. */
#ifndef HC_HOST_TOKENIZER_NORMAL_H
#define HC_HOST_TOKENIZER_NORMAL_H

#include "tokenizer_regex.h"
#include "tokenizer_text.h"

struct hc_normalizer;

/* `json`: "normalizer" of tokenizer.json; NULL or null: nothing is done. HC_ERR_UNSUPPORTED names an unknown type. */
hc_status hc_normalizer_read(const json_t *json, const char *path, struct hc_normalizer **normalizer,
                             struct hc_error *error);
void hc_normalizer_free(struct hc_normalizer *normalizer);

/* Changes `text`; `spare` is room to work in. */
hc_status hc_normalize(const struct hc_normalizer *normalizer, struct hc_matcher *matcher, struct hc_text *text,
                       struct hc_text *spare, struct hc_error *error);

#endif
