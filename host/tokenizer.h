/* A *tokenizer*: texts to tokens and back, by a model's own files. Byte-pair encoding in its two forms, over bytes
 * (GPT-2, LLaMA 3, Qwen, SmolLM) and over characters with a fallback to bytes (SentencePiece: LLaMA 1 and 2, Mistral).
 *
 * The description is Hugging Face's tokenizer.json; GGUF's metadata are first turned into one (gguf_tokenizer.h). A
 * text passes these stages, each in a file of its own:
 *
 *   tokenizer_added.h    tokens with names of their own are cut out, before or after the
 *   tokenizer_normal.h   changes of the characters,
 *   tokenizer_split.h    what is left is cut into words ("pre-tokenizers"),
 *   tokenizer_bpe.h      words become tokens, by the ranks of merges;
 *   tokenizer_decode.h   what text a token stands for
 *
 * It is never changed after loading, so that threads may share it.
 */
#ifndef HC_HOST_TOKENIZER_H
#define HC_HOST_TOKENIZER_H

#include <hyperc/run.h>

#include "source.h"

struct hc_tokenizer;

/* Loads from the metadata of a GGUF source, or from the directory of any other: tokenizer.json, and where they are
 * there tokenizer_config.json, chat_template.jinja, generation_config.json and config.json (for end-of-sequence
 * tokens). *tokenizer is NULL, with HC_OK, if the model has none. HC_ERR_UNSUPPORTED names a model, normalizer,
 * pre-tokenizer, post-processor or decoder that is not known; HC_ERR_CORRUPT what makes no sense. */
hc_status hc_tokenizer_load(const struct hc_source *source, struct hc_tokenizer **tokenizer, struct hc_error *error);
void hc_tokenizer_close(struct hc_tokenizer *tokenizer);

/* Tokens are below this number; the model's vocabulary may be larger (padded), and not every number has a token. */
uint32_t hc_tokenizer_size(const struct hc_tokenizer *tokenizer);

/* The tokens of a text; tokens->ids is the caller's, to be freed. Bytes that are not UTF-8 are replaced by U+FFFD in
 * front of everything else, one for every longest beginning of a character that is cut short, as Python's
 * `decode("utf-8", errors="replace")` does. HC_ERR_ARGUMENT: a text of more than 256 MiB. */
hc_status hc_tokenizer_encode(const struct hc_tokenizer *tokenizer, const char *text, size_t bytes,
                              const hc_text_options *options, hc_tokens *tokens, struct hc_error *error);

/* See hc_token_text of run.h. `first`: no token before it has a text, asked for without `first` (a lone space may have
 * none with it). Numbers below the size that have no token have no text. HC_ERR_ARGUMENT: the number is not below the
 * size. */
hc_status hc_tokenizer_text(const struct hc_tokenizer *tokenizer, int32_t token, bool first, bool special,
                            const char **text, size_t *bytes, struct hc_error *error);

/* Whether the token ends a text, or the assistant's turn. */
bool hc_tokenizer_ends(const struct hc_tokenizer *tokenizer, int32_t token);

/* The name of the kind of the model's chat template: see chat.h; NULL if it has none that is known. */
const char *hc_tokenizer_template(const struct hc_tokenizer *tokenizer);

/* The text of a conversation (zero-terminated, the caller frees it), and its tokens; see chat.h for `now`, and for what
 * is refused. */
hc_status hc_tokenizer_chat_text(const struct hc_tokenizer *tokenizer, const hc_turn *turns, size_t count, time_t now,
                                 char **text, struct hc_error *error);
hc_status hc_tokenizer_chat(const struct hc_tokenizer *tokenizer, const hc_turn *turns, size_t count, time_t now,
                            hc_tokens *tokens, struct hc_error *error);

#endif
