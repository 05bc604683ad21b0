/* hyperc: running a model, compressed or not, straight from its files.
 *
 * The conventions are those of hyperc.h. A *network* is an opened model with its tokenizer: it is never changed, and
 * contexts in several threads may use it at a time. A *sequence* is a text on its way through a network: the keys and
 * values of the tokens so far. It belongs to the context that it was created with, and must be gone before it.
 *
 * Tokens are numbers from 0 to vocabulary - 1.
 */
#ifndef HYPERC_RUN_H
#define HYPERC_RUN_H

#include <hyperc/hyperc.h>

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Networks ----------------------------------------------------------------------------- */

typedef struct hc_network hc_network;

typedef struct hc_network_info {
    const char *architecture; /* "LlamaForCausalLM" */
    uint32_t layers, width, heads, key_value_heads, head_width, inner_width;
    uint32_t vocabulary;
    uint32_t context; /* most tokens of a sequence, by the model's configuration */
    uint64_t weights;
    uint64_t stored_bytes; /* of the tensors, as they lie in their files */
    const char *
        chat_template; /* "chatml", "llama2", "llama3", "mistral", "zephyr"; NULL if the model has none that is known */
    bool has_tokenizer;
} hc_network_info;

/* Opens a model directory, compressed or not, or a .gguf file. HC_ERR_UNSUPPORTED names an architecture or a setting
 * that is not known; HC_ERR_CORRUPT a configuration that contradicts the tensors. A model without a tokenizer can be
 * evaluated, but not be told a text. Matrices stay as they are stored, and are decoded inside of products. Where a
 * context has several devices or ranks, each opens its own part of the network, and HC_ERR_UNSUPPORTED also names what
 * cannot be split; HC_ERR_DIFFERENT: the processes do not see the same model. */
hc_status hc_network_open(hc_context *context, const char *path, hc_network **network);
void hc_network_close(hc_network *network);
void hc_network_info_get(const hc_network *network, hc_network_info *info);
/* How many share it: the devices of the context, or the processes that mpirun started, each with one device; 1 if it is
 * not shared. Several processes make the same calls with this network and its sequences, with the same arguments. */
int hc_network_ranks(const hc_network *network);

/* ---- Text --------------------------------------------------------------------------------- */

typedef struct hc_tokens {
    int32_t *ids; /* hc_tokens_free */
    size_t count;
} hc_tokens;

typedef struct hc_text_options {
    bool begin;   /* what the tokenizer puts before a text (and behind it), if it does so by itself */
    bool special; /* the names of special tokens in the text become these tokens; else they are text */
} hc_text_options;

/* Bytes that are not UTF-8 are taken as the model's own tokenizer takes them: see docs/hyperc.1. HC_ERR_CORRUPT if the
 * tokenizer has a token for the text that the model has not. */
hc_status hc_tokenize(hc_context *context, const hc_network *network, const char *text, size_t bytes,
                      const hc_text_options *options, hc_tokens *tokens);
void hc_tokens_free(hc_tokens *tokens);

/* The bytes of a token that continues a text, or begins one (`first`: a leading space of the tokenizer's own making is
 * not shown). A character may be spread over tokens. Special tokens have no bytes, unless `special`; numbers of the
 * vocabulary that the tokenizer has no token for (padding) have none at all. *text is valid until the network is
 * closed. HC_ERR_ARGUMENT if the number is not of the vocabulary. */
hc_status hc_token_text(const hc_network *network, int32_t token, bool first, bool special, const char **text,
                        size_t *bytes);

/* Whether a text ends with this token: any of the model's end-of-sequence (and end-of-turn) tokens. */
bool hc_token_ends(const hc_network *network, int32_t token);

typedef struct hc_turn {
    const char *role; /* "system", "user", "assistant" */
    const char *text;
} hc_turn;

/* The tokens of a conversation in the model's own format, up to where the assistant's next answer begins.
 * now: when it is, as some models are told today's date, in local time: the same for the whole of a conversation, even
 * one that passes midnight, or all of it would have to be evaluated again.
 * HC_ERR_ARGUMENT: the turns are not [system,] user, assistant, user, ... user; or `now` has no date.
 * HC_ERR_UNSUPPORTED: the model has no tokenizer, no template or none that is known, or it takes no system prompt.
 * HC_ERR_DIFFERENT: processes that share the network do not get the same tokens. */
hc_status hc_chat_tokens(hc_context *context, const hc_network *network, const hc_turn *turns, size_t count, time_t now,
                         hc_tokens *tokens);

/* ---- Sequences ---------------------------------------------------------------------------- */

typedef struct hc_sequence hc_sequence;

/* Tokens that are evaluated at once where no other number is asked for: as many as llama.cpp's physical batch has. More
 * would save next to nothing, as what is decoded serves them all; memory, and how long a signal waits, grow with it. */
enum { HC_DEFAULT_BATCH = 512 };

/* The same for this network: fewer where it is on one CPU and their activations would take more than 2 % of the bytes
 * of its tensors, but 64 at least. */
uint32_t hc_network_batch(const hc_network *network);

typedef struct hc_sequence_options {
    uint32_t context;   /* most tokens; 0: the model's own limit. More than that is HC_ERR_ARGUMENT */
    uint32_t batch;     /* most tokens that are evaluated at once; 0: hc_network_batch. A call of hc_evaluate with more
                         * tokens goes batch by batch, and decodes every tile of every matrix once for each of them.
                         * Working memory is set aside in proportion, on a CPU without taking more of it than the
                         * largest call so far needs. Who only writes wants 1 */
    uint32_t logits;    /* of how many of them at once: with HC_LOGITS_ALL batches are no longer; 0: of all. Each takes
                         * 4 bytes per number of the vocabulary on the device: who only generates text wants 1 */
    hc_type cache_type; /* of keys and values: HC_TYPE_F16, HC_TYPE_F32, or HC_TYPE_I8 (with a scale per head) */
} hc_sequence_options;

void hc_sequence_options_init(hc_sequence_options *options);

/* Allocates all that evaluation needs; the network must outlive it. Options NULL: all defaults. HC_ERR_DIFFERENT if
 * processes that share the network do not give the same. */
hc_status hc_sequence_create(hc_context *context, const hc_network *network, const hc_sequence_options *options,
                             hc_sequence **sequence);
void hc_sequence_destroy(hc_sequence *sequence);

typedef enum hc_logits { HC_LOGITS_NONE, HC_LOGITS_LAST, HC_LOGITS_ALL } hc_logits;

/* Appends `count` tokens (1 or more). logits: room for `vocabulary` numbers, for the last token or for each of them;
 * NULL: none, or, with HC_LOGITS_LAST, they stay on the device (hc_sequence_choose). A token out of range, or more than
 * the context holds: HC_ERR_ARGUMENT, and nothing is appended. On the CPU the results do not depend on how tokens are
 * divided into calls, nor on threads, instruction sets or split layers; with split tensors they differ by the order of
 * sums, and by the groups of columns in which products with coded matrices round their inputs; on a GPU by the rounding
 * of half precision. HC_ERR_CORRUPT: logits that were to be handed out are not finite; nothing is appended. */
hc_status hc_evaluate(hc_sequence *sequence, const int32_t *tokens, size_t count, hc_logits which, float *logits);

uint32_t hc_sequence_length(const hc_sequence *sequence);
/* How many tokens are evaluated at once: no more than the context holds. */
uint32_t hc_sequence_batch(const hc_sequence *sequence);
/* Forgets all tokens but the first `length`. */
hc_status hc_sequence_cut(hc_sequence *sequence, uint32_t length);
/* Of the sequence alone, in this process: its cache, and what it works with. */
uint64_t hc_sequence_bytes(const hc_sequence *sequence);

/* What a rank holds. */
typedef struct hc_rank_use {
    char device[24];
    uint64_t weight_bytes;   /* of the tensors, as they lie in their files: its part */
    uint64_t sequence_bytes; /* of the sequence */
} hc_rank_use;

/* uses: room for one of each of hc_network_ranks. */
hc_status hc_sequence_use(hc_sequence *sequence, hc_rank_use *uses);

/* ---- Choosing tokens ---------------------------------------------------------------------- */

/* In this order: the penalty, top-k, temperature, top-p, min-p, then one is drawn. */
typedef struct hc_sample_options {
    float temperature;    /* 0: the most likely token */
    uint32_t top_k;       /* 0: all */
    float top_p;          /* 1: all */
    float min_p;          /* 0: all; else those of at least this share of the most likely one's probability */
    float repeat_penalty; /* 1: none; logits of recent tokens are divided (positive) or multiplied (negative) by it */
    uint32_t repeat_last; /* how many tokens are recent */
    uint64_t seed;
} hc_sample_options;

/* 0.8, 40, 0.95, 0.05, 1, 64, seed 0. */
void hc_sample_options_init(hc_sample_options *options);

typedef struct hc_sampler hc_sampler;

hc_status hc_sampler_create(hc_context *context, uint32_t vocabulary, const hc_sample_options *options,
                            hc_sampler **sampler);
void hc_sampler_destroy(hc_sampler *sampler);
/* Tells the sampler of a token of the text, for the penalty: those of the prompt, and those chosen. */
void hc_sampler_accept(hc_sampler *sampler, int32_t token);
/* Chooses by `vocabulary` logits, which are overwritten. The same seed and logits give the same tokens everywhere. */
int32_t hc_sampler_choose(hc_sampler *sampler, float *logits);
/* The same token, by the logits of the last one that was evaluated with HC_LOGITS_LAST. A device that has the network
 * alone chooses where they are, so that no more than the token's number is moved, if there is no penalty, and the
 * temperature is 0 or top_k is 1 to 1024. Of a network that is shared every rank's logits are read to its host; in the
 * same cases processes tell each other only the best one, or the top_k best (8 bytes each), else all of them. Then the
 * processes take the token that the first one chooses; their samplers have the same options but for the seed, or it is
 * HC_ERR_DIFFERENT. HC_ERR_ARGUMENT if there are no such logits, or the sampler is for another vocabulary;
 * HC_ERR_CORRUPT if logits that the host reads are not finite. */
hc_status hc_sequence_choose(hc_sequence *sequence, hc_sampler *sampler, int32_t *token);

/* ---- Where the error may go --------------------------------------------------------------- */

typedef struct hc_calibrate_options {
    const char *text; /* the text to run over; NULL: one that the model writes itself */
    size_t bytes;
    uint32_t window;  /* tokens of a window; 0: 512 */
    uint32_t windows; /* at most; 0: as many as the text has, or 64 of the model's own */
    uint64_t seed;    /* of the text that it writes */
} hc_calibrate_options;

void hc_calibrate_options_init(hc_calibrate_options *options);

/* Writes the second moments of the inputs of every linear layer, measured over all positions of all windows, to a new
 * safetensors file: a vector of float32 "X.weight.moments" for each X.weight (docs/FORMAT.md). */
hc_status hc_calibrate(hc_context *context, const char *path, const char *output, const hc_calibrate_options *options);

#ifdef __cplusplus
}
#endif
#endif
