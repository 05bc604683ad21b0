/* The vocabulary of a tokenizer, and byte-pair encoding by its merges. */
#ifndef HC_HOST_TOKENIZER_BPE_H
#define HC_HOST_TOKENIZER_BPE_H

#include <jansson.h>

#include "error.h"
#include "tokenizer_text.h"

struct hc_bpe; /* never changed after it was read */

enum { HC_TOKEN_BITS = 21, HC_TOKENS_MAX = 1 << HC_TOKEN_BITS }; /* numbers of tokens are below it */

/* `model`: "model" of tokenizer.json. HC_ERR_UNSUPPORTED: a model of another type, or with a setting that no model of
 * these families has; HC_ERR_CORRUPT: a merge of or into what is no token, a number twice. */
hc_status hc_bpe_read(const json_t *model, const char *path, struct hc_bpe **bpe, struct hc_error *error);
void hc_bpe_free(struct hc_bpe *bpe);

uint32_t hc_bpe_size(const struct hc_bpe *bpe); /* one more than the largest number */
/* The number of a token, or -1. */
int64_t hc_bpe_find(const struct hc_bpe *bpe, const char *text, size_t bytes);
/* The text of a token, as the vocabulary has it, with a zero behind it; NULL if the number has none. */
const char *hc_bpe_token(const struct hc_bpe *bpe, uint32_t id, size_t *bytes);
bool hc_bpe_has_bytes(const struct hc_bpe *bpe); /* "<0x00>" and so on stand for bytes */

/* What one thread needs while it encodes; all zero at first. */
struct hc_bpe_work {
    struct hc_bpe_symbol *symbols;
    struct hc_bpe_pair *heap;
    size_t symbol_room, heap_room, symbol_count, heap_count;
};

void hc_bpe_work_free(struct hc_bpe_work *work);

/* Adds the tokens of a word to `ids`: its characters, joined by the merge of the lowest rank that there is, the
 * leftmost of those, until there is none. Takes n log n for n bytes. What has neither a token nor bytes becomes the
 * unknown token, or nothing if there is none. */
hc_status hc_bpe_encode(const struct hc_bpe *bpe, const char *word, size_t bytes, struct hc_bpe_work *work,
                        struct hc_ids *ids, struct hc_error *error);

#endif
