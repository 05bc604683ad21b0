/* Decoders: the text that a token stands for. Known: Sequence, ByteLevel, ByteFallback, Fuse, Metaspace, Replace of a
 * String, Strip of spaces in front. */
#ifndef HC_HOST_TOKENIZER_DECODE_H
#define HC_HOST_TOKENIZER_DECODE_H

#include <jansson.h>

#include "error.h"
#include "tokenizer_text.h"

enum { HC_DECODER_REPLACEMENTS = 4 };

struct hc_decoder_steps {
    bool byte_level;    /* characters stand for bytes */
    bool byte_fallback; /* "<0x0A>" stands for a byte */
    bool strips;        /* a space at the beginning of a text is of the tokenizer's own making */
    size_t replacement_count;
    struct hc_decoder_replacement {
        char *from, *to;
    } replacements[HC_DECODER_REPLACEMENTS];
};

/* `json`: "decoder" of tokenizer.json; NULL or null: tokens are their texts. HC_ERR_UNSUPPORTED names what is not
 * known. *steps is to be freed whatever the status. */
hc_status hc_decoder_read(const json_t *json, const char *path, struct hc_decoder_steps *steps, struct hc_error *error);
void hc_decoder_free(struct hc_decoder_steps *steps);

/* Adds the bytes of a token, which need not be whole characters. False if memory is out. */
bool hc_decode(const struct hc_decoder_steps *steps, const char *token, size_t bytes, struct hc_text *out);

#endif
