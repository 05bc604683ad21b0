/* Pre-tokenizers: how a text is cut into words before merges are looked for. Known: Sequence, Split, ByteLevel, Digits,
 * Punctuation, Metaspace. */
#ifndef HC_HOST_TOKENIZER_SPLIT_H
#define HC_HOST_TOKENIZER_SPLIT_H

#include "tokenizer_regex.h"
#include "tokenizer_text.h"

struct hc_splitter;

/* `json`: "pre_tokenizer" of tokenizer.json; NULL or null: the text is one word. HC_ERR_UNSUPPORTED names an unknown
 * type. */
hc_status hc_splitter_read(const json_t *json, const char *path, struct hc_splitter **splitter, struct hc_error *error);
void hc_splitter_free(struct hc_splitter *splitter);

/* Cuts `pieces`, a text in one piece (or none), further; with ByteLevel its bytes become the characters that stand for
 * them. `first`: the text begins where the whole input does. `spare` is room to work in. */
hc_status hc_split_text(const struct hc_splitter *splitter, struct hc_matcher *matcher, bool first,
                        struct hc_pieces *pieces, struct hc_pieces *spare, struct hc_error *error);

/* GPT-2's alphabet: the character that stands for a byte, one that can be printed. */
uint32_t hc_character_of_byte(uint8_t byte);
/* The byte that a character stands for, or -1. */
int hc_byte_of_character(uint32_t character);

#endif
