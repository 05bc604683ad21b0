/* What a tokenizer is made of: tokenizer_files.c puts it together, tokenizer.c uses it. */
#ifndef HC_HOST_TOKENIZER_PARTS_H
#define HC_HOST_TOKENIZER_PARTS_H

#include "chat.h"
#include "tokenizer.h"
#include "tokenizer_added.h"
#include "tokenizer_bpe.h"
#include "tokenizer_decode.h"
#include "tokenizer_normal.h"
#include "tokenizer_split.h"

/* Where the text of a token begins in hc_tokenizer.texts; it ends where the next one begins. */
struct hc_token_place {
    uint32_t begin : 31, special : 1;
};

struct hc_tokenizer {
    struct hc_bpe *bpe;
    struct hc_normalizer *normalizer;
    struct hc_splitter *splitter;
    struct hc_added added;
    struct hc_decoder_steps decoder;
    struct hc_ids before, behind; /* what a text begins and ends with */
    struct hc_ids ends;           /* what ends a text that a model writes */
    uint32_t size;
    struct hc_token_place *places; /* of all numbers below `size`, and the end */
    struct hc_text texts;
    struct hc_chat chat;
};

#endif
