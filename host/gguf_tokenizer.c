/* tokenizer.json, tokenizer_config.json and generation_config.json out of GGUF's metadata. */
#include "gguf_tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "json.h"
#include "map.h"
#include "tokenizer_bpe.h"

#define KEY(name) "tokenizer.ggml." name

/* Of a token with a score: all ways to cut it in two are looked at. */
enum { SCORED_MAX_BYTES = 1024 };

/* Types of tokens, by their numbers in the file. */
enum token_type { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED, TOKEN_BYTE };

struct token {
    const char *text; /* in the mapping, no zero behind it */
    size_t bytes;
    enum token_type type;
    float score;
};

/* What is read from the metadata, and what is made from it. */
struct conversion {
    const struct hc_gguf *gguf;
    const char *path; /* for messages */
    struct hc_error *error;
    bool byte_level; /* else SentencePiece's kind */
    const struct pre *pre;
    size_t count;
    struct token *tokens;
    json_t *vocabulary;
    int64_t bos, eos, unknown; /* -1: none */
    bool adds_bos, adds_eos, adds_space;
};

static hc_status corrupt(const struct conversion *conversion, const char *fault)
{
    return hc_fail(conversion->error, HC_ERR_CORRUPT, "%s: the tokenizer: %s", conversion->path, fault);
}

static hc_status no_memory(const struct conversion *conversion)
{
    return hc_no_memory(conversion->error);
}

/* A JSON string of bytes in the file. HC_ERR_CORRUPT, with this fault, if they are no text. */
static hc_status make_text(const struct conversion *conversion, const char *bytes, size_t count, const char *fault,
                           json_t **text)
{
    utf8proc_int32_t character = 1;
    utf8proc_ssize_t length = 1;
    for (size_t at = 0; at < count; at += (size_t)length) {
        length = utf8proc_iterate((const utf8proc_uint8_t *)bytes + at, (utf8proc_ssize_t)(count - at), &character);
        if (length < 1 || character == 0)
            return corrupt(conversion, fault);
    }
    *text = json_stringn(bytes, count);
    return *text ? HC_OK : no_memory(conversion);
}

/* ---- Words ---------------------------------------------------------------------------------- */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WITH_DIGITS(digits)                                                                                            \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

/* How `pre`, a name for what a model's own tokenizer.json does, cuts words: by these patterns one after the other, and
 * by GPT-2's. */
static const struct pre {
    const char *name;
    const char *patterns[4];
    bool gpt2_words, composes, ignores_merges, adds_bos;
} pres[] = {
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false, false, false},
    {"gpt-2", {NULL}, true, false, false, false},
    {"smollm", {"\\p{N}"}, true, false, false, false},
    {"llama-bpe", {WITH_DIGITS("\\p{N}{1,3}")}, false, false, true, true},
    {"llama3", {WITH_DIGITS("\\p{N}{1,3}")}, false, false, true, true},
    {"llama-v3", {WITH_DIGITS("\\p{N}{1,3}")}, false, false, true, true},
    {"qwen2", {WITH_DIGITS("\\p{N}")}, false, true, false, false},
    {"tekken",
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}"
      "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES},
     false,
     false,
     true,
     true},
};

/* ---- Reading -------------------------------------------------------------------------------- */

/* A list of items of that type; NULL if there is none. */
static const struct hc_gguf_entry *find_list(const struct conversion *conversion, const char *key,
                                             enum hc_gguf_type item)
{
    const struct hc_gguf_entry *entry = hc_gguf_find(conversion->gguf, key);
    return entry && entry->type == HC_GGUF_ARRAY && entry->item_type == item ? entry : NULL;
}

/* The string at *data, which lies in the file; moves behind it. */
static const char *next_string(const uint8_t **data, size_t *bytes)
{
    uint64_t length = 0;
    for (unsigned i = 0; i < 8; i++)
        length |= (uint64_t)(*data)[i] << 8 * i;
    const char *text = (const char *)*data + 8;
    *data += 8 + length;
    *bytes = (size_t)length;
    return text;
}

static uint32_t word_at(const uint8_t *data, uint64_t index)
{
    uint32_t word;
    memcpy(&word, data + 4 * index, sizeof word);
    return word;
}

/* Whether the value of a key is this string. */
static bool is_string(const struct conversion *conversion, const char *key, const char *value)
{
    const struct hc_gguf_entry *entry = hc_gguf_find(conversion->gguf, key);
    return entry && entry->type == HC_GGUF_STRING && entry->count == strlen(value) &&
           memcmp(entry->data, value, strlen(value)) == 0;
}

static bool flag_of(const struct conversion *conversion, const char *key, bool otherwise)
{
    const struct hc_gguf_entry *entry = hc_gguf_find(conversion->gguf, key);
    return entry && entry->type == HC_GGUF_BOOL ? entry->data[0] != 0 : otherwise;
}

static hc_status unsupported(const struct conversion *conversion, const char *key)
{
    const struct hc_gguf_entry *entry = hc_gguf_find(conversion->gguf, key);
    bool named = entry && entry->type == HC_GGUF_STRING && entry->count <= 100;
    return hc_fail(conversion->error, HC_ERR_UNSUPPORTED, "%s: the tokenizer: %s '%.*s' is not known", conversion->path,
                   key, named ? (int)entry->count : 0, named ? (const char *)entry->data : "");
}

static hc_status read_kind(struct conversion *conversion)
{
    if (is_string(conversion, KEY("model"), "llama"))
        return hc_gguf_find(conversion->gguf, KEY("precompiled_charsmap"))
                   ? unsupported(conversion, KEY("precompiled_charsmap"))
                   : HC_OK;
    if (!is_string(conversion, KEY("model"), "gpt2"))
        return unsupported(conversion, KEY("model"));
    conversion->byte_level = true;
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (is_string(conversion, KEY("pre"), pres[i].name))
            conversion->pre = &pres[i];
    if (!hc_gguf_find(conversion->gguf, KEY("pre"))) /* older files */
        conversion->pre = &pres[0];
    return conversion->pre ? HC_OK : unsupported(conversion, KEY("pre"));
}

static hc_status read_tokens(struct conversion *conversion)
{
    const struct hc_gguf_entry *texts = find_list(conversion, KEY("tokens"), HC_GGUF_STRING);
    const struct hc_gguf_entry *types = find_list(conversion, KEY("token_type"), HC_GGUF_I32);
    const struct hc_gguf_entry *scores = find_list(conversion, KEY("scores"), HC_GGUF_F32);
    if (!texts || texts->count == 0 || texts->count > HC_TOKENS_MAX)
        return corrupt(conversion, "tokens is no list of texts");
    if ((types && types->count != texts->count) || (scores && scores->count != texts->count))
        return corrupt(conversion, "there are not as many types or scores as tokens");
    if (!conversion->byte_level && !scores)
        return corrupt(conversion, "there are no scores");
    conversion->count = (size_t)texts->count;
    conversion->tokens = calloc(conversion->count, sizeof *conversion->tokens);
    if (!conversion->tokens)
        return no_memory(conversion);
    const uint8_t *at = texts->data;
    for (size_t i = 0; i < conversion->count; i++) {
        struct token *token = &conversion->tokens[i];
        token->text = next_string(&at, &token->bytes);
        token->type = types ? (enum token_type)word_at(types->data, i) : TOKEN_NORMAL;
        if (scores)
            memcpy(&token->score, scores->data + 4 * i, sizeof token->score);
        if (!conversion->byte_level && (isnan(token->score) || token->bytes > SCORED_MAX_BYTES))
            return corrupt(conversion, "a token has no score, or is too long");
    }
    return HC_OK;
}

/* The object of all tokens and their numbers. */
static hc_status make_vocabulary(struct conversion *conversion)
{
    conversion->vocabulary = json_object();
    if (!conversion->vocabulary)
        return no_memory(conversion);
    for (size_t i = 0; i < conversion->count; i++) {
        const struct token *token = &conversion->tokens[i];
        json_t *text;
        hc_status status = make_text(conversion, token->text, token->bytes, "a token is not UTF-8", &text);
        if (status != HC_OK)
            return status;
        json_decref(text);
        if (json_object_getn(conversion->vocabulary, token->text, token->bytes))
            return corrupt(conversion, "a token is there twice");
        if (json_object_setn_new(conversion->vocabulary, token->text, token->bytes, json_integer((json_int_t)i)) != 0)
            return no_memory(conversion);
    }
    return HC_OK;
}

static hc_status read_id(const struct conversion *conversion, const char *key, int64_t otherwise, int64_t *id)
{
    uint64_t number = 0;
    bool given = hc_gguf_uint(conversion->gguf, key, &number);
    *id = given ? (int64_t)number : otherwise;
    if (given && number >= conversion->count)
        return corrupt(conversion, "the number of a special token is not one of the tokens'");
    if (*id >= (int64_t)conversion->count)
        *id = -1;
    return HC_OK;
}

/* Defaults are those of the program that the format belongs to. */
static hc_status read_special(struct conversion *conversion)
{
    bool llama = !conversion->byte_level;
    hc_status status;
    HC_TRY(read_id(conversion, KEY("bos_token_id"), llama ? 1 : -1, &conversion->bos));
    HC_TRY(read_id(conversion, KEY("eos_token_id"), llama ? 2 : -1, &conversion->eos));
    HC_TRY(read_id(conversion, KEY("unknown_token_id"), llama ? 0 : -1, &conversion->unknown));
    conversion->adds_bos = flag_of(conversion, KEY("add_bos_token"), llama || conversion->pre->adds_bos);
    conversion->adds_eos = flag_of(conversion, KEY("add_eos_token"), false);
    conversion->adds_space = llama && flag_of(conversion, KEY("add_space_prefix"), true);
done:
    return status;
}

/* ---- Merges --------------------------------------------------------------------------------- */

/* A way to put a token together from two. */
struct merge {
    uint32_t token, left_bytes;
    uint32_t left_characters, right_characters;
    float score;
};

/* The highest score first; then the longer left, then right side; then by the numbers of tokens. */
static int compare_merges(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left_characters != y->left_characters)
        return x->left_characters > y->left_characters ? -1 : 1;
    if (x->right_characters != y->right_characters)
        return x->right_characters > y->right_characters ? -1 : 1;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return x->left_bytes < y->left_bytes ? -1 : x->left_bytes > y->left_bytes;
}

static uint32_t count_characters(const char *text, size_t bytes)
{
    uint32_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += (text[i] & 0xc0) != 0x80;
    return count;
}

/* Writes all ways to put token `i` together to `merges`, if that is not NULL; returns how many there are. */
static size_t list_splits(const struct conversion *conversion, size_t i, struct merge *merges)
{
    const struct token *token = &conversion->tokens[i];
    size_t count = 0;
    if (token->type == TOKEN_BYTE || token->type == TOKEN_CONTROL || token->type == TOKEN_UNKNOWN)
        return 0;
    for (size_t at = 1; at < token->bytes; at++) {
        json_t *left = json_object_getn(conversion->vocabulary, token->text, at);
        json_t *right = left ? json_object_getn(conversion->vocabulary, token->text + at, token->bytes - at) : NULL;
        if (!right)
            continue;
        if (merges)
            merges[count] = (struct merge){.token = (uint32_t)i,
                                           .left_bytes = (uint32_t)at,
                                           .left_characters = count_characters(token->text, at),
                                           .right_characters = count_characters(token->text + at, token->bytes - at),
                                           .score = token->score};
        count++;
    }
    return count;
}

/* "left right"; a side with a space in it can stand nowhere in a text, and is left out. */
static bool add_merge(json_t *list, const struct token *token, size_t left_bytes)
{
    if (memchr(token->text, ' ', token->bytes))
        return true;
    return json_array_append_new(list, json_sprintf("%.*s %.*s", (int)left_bytes, token->text,
                                                    (int)(token->bytes - left_bytes), token->text + left_bytes)) == 0;
}

/* The merges that scores stand for; NULL if memory is out. */
static json_t *merges_of_scores(const struct conversion *conversion)
{
    size_t count = 0, used = 0;
    for (size_t i = 0; i < conversion->count; i++)
        count += list_splits(conversion, i, NULL);
    struct merge *merges = malloc((count + 1) * sizeof *merges);
    json_t *list = merges ? json_array() : NULL;
    bool fits = list != NULL;
    for (size_t i = 0; i < conversion->count && fits; i++)
        used += list_splits(conversion, i, merges + used);
    if (fits)
        qsort(merges, count, sizeof *merges, compare_merges);
    for (size_t i = 0; i < count && fits; i++)
        fits = add_merge(list, &conversion->tokens[merges[i].token], merges[i].left_bytes);
    free(merges);
    if (fits)
        return list;
    json_decref(list);
    return NULL;
}

static hc_status make_merges(const struct conversion *conversion, json_t **list)
{
    const struct hc_gguf_entry *lines = find_list(conversion, KEY("merges"), HC_GGUF_STRING);
    if (!conversion->byte_level) {
        *list = merges_of_scores(conversion);
        return *list ? HC_OK : no_memory(conversion);
    }
    if (!lines)
        return corrupt(conversion, "there are no merges");
    *list = json_array();
    hc_status status = *list ? HC_OK : no_memory(conversion);
    const uint8_t *at = lines->data;
    for (uint64_t i = 0; status == HC_OK && i < lines->count; i++) {
        size_t bytes;
        json_t *text;
        const char *line = next_string(&at, &bytes);
        status = make_text(conversion, line, bytes, "a merge is not UTF-8", &text);
        if (status == HC_OK && json_array_append_new(*list, text) != 0)
            status = no_memory(conversion);
    }
    return status;
}

/* ---- tokenizer.json ------------------------------------------------------------------------- */

static json_t *token_text(const struct conversion *conversion, int64_t id)
{
    return id < 0 ? json_null() : json_stringn(conversion->tokens[id].text, conversion->tokens[id].bytes);
}

static json_t *make_added(const struct conversion *conversion)
{
    json_t *list = json_array();
    for (size_t i = 0; i < conversion->count; i++) {
        enum token_type type = conversion->tokens[i].type;
        bool special = type == TOKEN_CONTROL || type == TOKEN_UNKNOWN;
        if ((!special && type != TOKEN_USER_DEFINED) || conversion->tokens[i].bytes == 0)
            continue;
        json_t *token = json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content",
                                  token_text(conversion, (int64_t)i), "single_word", 0, "lstrip", 0, "rstrip", 0,
                                  "normalized", 0, "special", (int)special);
        if (json_array_append_new(list, token) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *make_normalizer(const struct conversion *conversion)
{
    if (conversion->byte_level)
        return conversion->pre->composes ? json_pack("{s:s}", "type", "NFC") : json_null();
    json_t *replace = json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", "▁");
    if (!conversion->adds_space)
        return replace;
    return json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend", "▁",
                     replace);
}

static json_t *make_byte_level(bool words)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex",
                     (int)words);
}

static json_t *make_pre_tokenizer(const struct conversion *conversion)
{
    if (!conversion->byte_level)
        return json_null();
    json_t *steps = json_array();
    bool fits = true;
    for (size_t i = 0; i < 4 && conversion->pre->patterns[i]; i++)
        fits = fits && json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern",
                                                              "Regex", conversion->pre->patterns[i], "behavior",
                                                              "Isolated", "invert", 0)) == 0;
    fits = fits && json_array_append_new(steps, make_byte_level(conversion->pre->gpt2_words)) == 0;
    if (!fits) {
        json_decref(steps);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
}

static json_t *make_decoder(const struct conversion *conversion)
{
    if (conversion->byte_level)
        return make_byte_level(true);
    json_t *steps = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String", "▁",
                              "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (steps && conversion->adds_space &&
        json_array_append_new(
            steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0)) != 0) {
        json_decref(steps);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

/* Adds a special token to a template and to its list. */
static bool add_special(const struct conversion *conversion, int64_t id, int type_id, json_t *template, json_t *tokens)
{
    const struct token *token = &conversion->tokens[id];
    json_t *entry = json_pack("{s:o, s:[I], s:[o]}", "id", token_text(conversion, id), "ids", (json_int_t)id, "tokens",
                              token_text(conversion, id));
    json_t *item = json_pack("{s:{s:o, s:i}}", "SpecialToken", "id", token_text(conversion, id), "type_id", type_id);
    bool set = json_object_setn_new(tokens, token->text, token->bytes, entry) == 0;
    return json_array_append_new(template, item) == 0 && set;
}

/* One text of a template with what stands around it. */
static bool add_sequence(const struct conversion *conversion, const char *name, int type_id, json_t *template,
                         json_t *tokens)
{
    bool begins = conversion->adds_bos && conversion->bos >= 0, ends = conversion->adds_eos && conversion->eos >= 0;
    return (!begins || add_special(conversion, conversion->bos, type_id, template, tokens)) &&
           json_array_append_new(template, json_pack("{s:{s:s, s:i}}", "Sequence", "id", name, "type_id", type_id)) ==
               0 &&
           (!ends || add_special(conversion, conversion->eos, type_id, template, tokens));
}

static json_t *make_post_processor(const struct conversion *conversion)
{
    json_t *single = json_array(), *pair = json_array(), *tokens = json_object();
    bool fits = single && pair && tokens && add_sequence(conversion, "A", 0, single, tokens) &&
                add_sequence(conversion, "A", 0, pair, tokens) && add_sequence(conversion, "B", 1, pair, tokens);
    json_t *template = fits ? json_pack("{s:s, s:O, s:O, s:O}", "type", "TemplateProcessing", "single", single, "pair",
                                        pair, "special_tokens", tokens)
                            : NULL;
    json_decref(single);
    json_decref(pair);
    json_decref(tokens);
    return template;
}

static hc_status make_tokenizer(const struct conversion *conversion, json_t **tokenizer)
{
    json_t *merges = NULL;
    hc_status status = make_merges(conversion, &merges);
    if (status != HC_OK) {
        json_decref(merges);
        return status;
    }
    bool llama = !conversion->byte_level;
    json_t *model = json_pack(
        "{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:O, s:o}", "type", "BPE", "dropout", "unk_token",
        token_text(conversion, llama ? conversion->unknown : -1), "continuing_subword_prefix", "end_of_word_suffix",
        "fuse_unk", (int)llama, "byte_fallback", (int)llama, "ignore_merges",
        conversion->pre && conversion->pre->ignores_merges, "vocab", conversion->vocabulary, "merges", merges);
    *tokenizer = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                           "added_tokens", make_added(conversion), "normalizer", make_normalizer(conversion),
                           "pre_tokenizer", make_pre_tokenizer(conversion), "post_processor",
                           make_post_processor(conversion), "decoder", make_decoder(conversion), "model", model);
    return *tokenizer ? HC_OK : no_memory(conversion);
}

/* ---- The configurations --------------------------------------------------------------------- */

/* The settings of the class that reads everything else from tokenizer.json. */
static hc_status make_config(const struct conversion *conversion, json_t **config)
{
    const struct hc_gguf_entry *template = hc_gguf_find(conversion->gguf, "tokenizer.chat_template");
    int64_t padding;
    hc_status status = read_id(conversion, KEY("padding_token_id"), -1, &padding);
    if (status != HC_OK)
        return status;
    *config = json_pack("{s:s, s:b, s:o, s:o, s:o, s:o}", "tokenizer_class", "PreTrainedTokenizerFast",
                        "clean_up_tokenization_spaces", 0, "bos_token", token_text(conversion, conversion->bos),
                        "eos_token", token_text(conversion, conversion->eos), "unk_token",
                        token_text(conversion, conversion->unknown), "pad_token", token_text(conversion, padding));
    if (!*config)
        return no_memory(conversion);
    if (!template || template->type != HC_GGUF_STRING)
        return HC_OK;
    json_t *text;
    status = make_text(conversion, (const char *)template->data, (size_t) template->count,
                       "the chat template is not UTF-8", &text);
    if (status == HC_OK && json_object_set_new(*config, "chat_template", text) != 0)
        status = no_memory(conversion);
    return status;
}

/* All tokens that end a text: of the sequence, and of the turn. */
static hc_status make_generation(const struct conversion *conversion, json_t **generation)
{
    static const char *const keys[] = {KEY("eos_token_id"), KEY("eot_token_id")};
    json_t *ends = json_array();
    hc_status status = ends ? HC_OK : no_memory(conversion);
    for (size_t i = 0; i < 2 && status == HC_OK; i++) {
        int64_t id;
        status = read_id(conversion, keys[i], i == 0 ? conversion->eos : -1, &id);
        bool there = id < 0 || (json_array_size(ends) > 0 && json_integer_value(json_array_get(ends, 0)) == id);
        if (status == HC_OK && !there && json_array_append_new(ends, json_integer((json_int_t)id)) != 0)
            status = no_memory(conversion);
    }
    if (status == HC_OK && json_array_size(ends) > 0 && !(*generation = json_pack("{s:O}", "eos_token_id", ends)))
        status = no_memory(conversion);
    json_decref(ends);
    return status;
}

void hc_tokenizer_files_free(struct hc_tokenizer_files *files)
{
    json_decref(files->tokenizer);
    json_decref(files->config);
    json_decref(files->generation);
    *files = (struct hc_tokenizer_files){0};
}

hc_status hc_gguf_tokenizer(const struct hc_source *source, struct hc_tokenizer_files *files, struct hc_error *error)
{
    struct conversion conversion = {.gguf = source->gguf, .path = hc_file_shown(&source->files[0]), .error = error};
    hc_status status = HC_OK;
    *files = (struct hc_tokenizer_files){0};
    if (!hc_gguf_find(conversion.gguf, KEY("tokens")))
        return HC_OK;
    HC_TRY(read_kind(&conversion));
    HC_TRY(read_tokens(&conversion));
    HC_TRY(make_vocabulary(&conversion));
    HC_TRY(read_special(&conversion));
    HC_TRY(make_config(&conversion, &files->config));
    HC_TRY(make_generation(&conversion, &files->generation));
    HC_TRY(make_tokenizer(&conversion, &files->tokenizer));
done:
    if (status != HC_OK)
        hc_tokenizer_files_free(files);
    free(conversion.tokens);
    json_decref(conversion.vocabulary);
    return status;
}
