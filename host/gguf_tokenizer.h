/* The tokenizer in GGUF's metadata, as the files that transformers reads. */
#ifndef HC_HOST_GGUF_TOKENIZER_H
#define HC_HOST_GGUF_TOKENIZER_H

#include "gguf.h"

/* The contents of the files; all of them NULL if the metadata hold no tokenizer. */
struct hc_tokenizer_files {
    json_t *tokenizer;  /* tokenizer.json */
    json_t *config;     /* tokenizer_config.json */
    json_t *generation; /* generation_config.json */
};

/* Makes them from the metadata of a GGUF source: tokenizer.ggml.model "gpt2" with a `pre` that is known, or "llama",
 * whose merges are made from the scores (every way to put a token together from two, the highest score first, then the
 * longest left side, as transformers' converter does). HC_ERR_UNSUPPORTED names another model or `pre`; HC_ERR_CORRUPT
 * metadata that contradict each other. */
hc_status hc_gguf_tokenizer(const struct hc_source *source, struct hc_tokenizer_files *files, struct hc_error *error);
void hc_tokenizer_files_free(struct hc_tokenizer_files *files);

#endif
