/* Added tokens: texts that are one token wherever they stand, cut out before anything else looks at the text. Special
 * ones ("</s>") are what a text is not supposed to say by itself. */
#ifndef HC_HOST_TOKENIZER_ADDED_H
#define HC_HOST_TOKENIZER_ADDED_H

#include "tokenizer_bpe.h"
#include "tokenizer_normal.h"

struct hc_added_token {
    uint32_t id;
    char *content;
    char *pattern; /* what is looked for: the content, normalized if it is looked for in normalized text */
    bool special, normalized;
    bool single_word;             /* not where letters touch it */
    bool strip_left, strip_right; /* takes the spaces beside it along */
};

struct hc_added {
    size_t count;
    struct hc_added_token *tokens; /* in the order of their patterns, those for the text as it is first */
    size_t raw_count;              /* how many are looked for in the text as it is */
};

/* `json`: "added_tokens" of tokenizer.json; NULL or null: none. *added is to be freed whatever the status. */
hc_status hc_added_read(const json_t *json, const char *path, const struct hc_bpe *bpe,
                        const struct hc_normalizer *normalizer, struct hc_added *added, struct hc_error *error);
void hc_added_free(struct hc_added *added);

/* NULL if no added token has that number, or that content. */
const struct hc_added_token *hc_added_by_id(const struct hc_added *added, uint32_t id);
const struct hc_added_token *hc_added_by_content(const struct hc_added *added, const char *content);

/* A walk over a text: stretches without added tokens, and these tokens. */
struct hc_added_walk {
    const struct hc_added *added;
    const char *text;
    size_t bytes;
    bool normalized; /* which of the tokens are looked for */
    bool special;    /* special ones are, too */
    size_t at;       /* where to look on */
    size_t taken;    /* what is before it was handed out */
};

/* The next stretch, [*begin, *end), which may be empty, and the token that follows it, NULL at the end of the text. Of
 * several tokens that begin at the same place the longest counts. */
const struct hc_added_token *hc_added_next(struct hc_added_walk *walk, size_t *begin, size_t *end);

#endif
