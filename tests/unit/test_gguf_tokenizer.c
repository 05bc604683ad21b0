/* Tokenizers in GGUF's metadata: the small ones of golden/tokenizer, written as metadata, give the same tokens, from
 * the metadata and from the files that are made of them. */
#include "tokenizer_figures.h"

enum { TYPE_U32 = 4, TYPE_I32 = 5, TYPE_F32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9 };

static struct bytes bytes;

static void put_text(const char *key, const char *value)
{
    put_key(&bytes, key, TYPE_STRING);
    put_string(&bytes, value);
}

static void put_number(const char *key, uint32_t value)
{
    put_key(&bytes, key, TYPE_U32);
    put_uint(&bytes, value, 4);
}

static void put_list(const char *key, unsigned type, size_t count)
{
    put_key(&bytes, key, TYPE_ARRAY);
    put_uint(&bytes, type, 4);
    put_uint(&bytes, count, 8);
}

static struct hc_source *open_bytes(struct scratch *scratch)
{
    struct hc_source *source;
    scratch_write(scratch, "model", bytes.data, bytes.size);
    cr_assert_eq(hc_source_open(scratch_at(scratch, "model"), &source, &error), HC_OK, "%s", error.text);
    return source;
}

/* ---- A tokenizer.json as metadata ----------------------------------------------------------- */

enum { TOKENS = 2000 };

struct small {
    json_t *json;
    size_t count;
    const char *texts[TOKENS];
    uint32_t types[TOKENS];
};

static void small_read(struct small *small, const char *name)
{
    char path[600];
    const char *text;
    json_t *value;
    size_t i;
    *small = (struct small){0};
    snprintf(path, sizeof path, FIGURES "/%s.tokenizer.json", name);
    small->json = json_load_file(path, 0, NULL);
    cr_assert_not_null(small->json);
    json_object_foreach(json_object_get(json_object_get(small->json, "model"), "vocab"), text, value)
    {
        size_t id = (size_t)json_integer_value(value);
        cr_assert_lt(id, TOKENS);
        small->texts[id] = text;
        small->types[id] = strncmp(text, "<0x", 3) == 0 ? 6 : 1;
        small->count += 1;
    }
    json_array_foreach(json_object_get(small->json, "added_tokens"), i, value)
    {
        size_t id = (size_t)json_integer_value(json_object_get(value, "id"));
        cr_assert_lt(id, TOKENS);
        small->count += small->texts[id] == NULL;
        small->texts[id] = json_string_value(json_object_get(value, "content"));
        small->types[id] = strcmp(small->texts[id], "<unk>") == 0 ? 2 : 3;
    }
}

static void put_tokens(const struct small *small)
{
    put_list("tokenizer.ggml.tokens", TYPE_STRING, small->count);
    for (size_t i = 0; i < small->count; i++)
        put_string(&bytes, small->texts[i]);
    put_list("tokenizer.ggml.token_type", TYPE_I32, small->count);
    for (size_t i = 0; i < small->count; i++)
        put_uint(&bytes, small->types[i], 4);
}

static void put_merges(const struct small *small)
{
    const json_t *merges = json_object_get(json_object_get(small->json, "model"), "merges");
    size_t i;
    json_t *pair;
    put_list("tokenizer.ggml.merges", TYPE_STRING, json_array_size(merges));
    json_array_foreach(merges, i, pair)
    {
        char line[200];
        snprintf(line, sizeof line, "%s %s", json_string_value(json_array_get(pair, 0)),
                 json_string_value(json_array_get(pair, 1)));
        put_string(&bytes, line);
    }
}

static void put_scores(const struct small *small)
{
    put_list("tokenizer.ggml.scores", TYPE_F32, small->count);
    for (size_t i = 0; i < small->count; i++)
        put_float(&bytes, -(float)i);
}

static uint32_t id_of(const struct small *small, const char *text)
{
    for (uint32_t i = 0; i < small->count; i++)
        if (strcmp(small->texts[i], text) == 0)
            return i;
    cr_assert(false, "there is no %s", text);
    return 0;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static void write_made(struct scratch *scratch, const char *name, const json_t *json)
{
    char *text = json_dumps(json, 0);
    cr_assert_not_null(text);
    scratch_text(scratch, name, text);
    free(text);
}

/* The metadata in `bytes`, and the files made of them, against figures. */
static void compare_both(const char *name, enum back back, int32_t end)
{
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    struct hc_tokenizer_files files;
    scratch_make(&scratch);
    struct hc_source *source = open_bytes(&scratch);
    cr_assert_eq(hc_tokenizer_load(source, &tokenizer, &error), HC_OK, "%s", error.text);
    cr_assert(hc_tokenizer_ends(tokenizer, end));
    compare(tokenizer, name, back);

    cr_assert_eq(hc_gguf_tokenizer(source, &files, &error), HC_OK, "%s", error.text);
    write_made(&scratch, "tokenizer.json", files.tokenizer);
    write_made(&scratch, "tokenizer_config.json", files.config);
    write_made(&scratch, "generation_config.json", files.generation);
    hc_tokenizer_files_free(&files);
    hc_source_close(source);
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK, "%s", error.text);
    cr_assert(hc_tokenizer_ends(tokenizer, end));
    compare(tokenizer, name, back);
    scratch_remove(&scratch);
}

static void put_byte_level(const struct small *small, const char *pre, const char *begin, const char *end)
{
    put_gguf(&bytes, 3, 0, 7);
    put_text("general.architecture", "llama");
    put_text("tokenizer.ggml.model", "gpt2");
    put_text("tokenizer.ggml.pre", pre);
    put_number(begin ? "tokenizer.ggml.bos_token_id" : "unused", begin ? id_of(small, begin) : 0);
    put_number("tokenizer.ggml.eot_token_id", id_of(small, end));
    put_tokens(small);
    put_merges(small);
    patch_uint(&bytes, 16, 8, 8); /* tokens are two entries */
}

/* The words that `pre` names, over the tokens of a small tokenizer, against the figures of that name. */
static void check_byte_level(const char *tokens, const char *pre, const char *begin, const char *figures)
{
    static struct small small;
    small_read(&small, tokens);
    put_byte_level(&small, pre, begin, "<|eot_id|>");
    compare_both(figures, BACK, (int32_t)id_of(&small, "<|eot_id|>"));
    json_decref(small.json);
}

Test(gguf_tokenizer, bytes)
{
    check_byte_level("bytes", "llama-bpe", "<|begin_of_text|>", "bytes");
}

/* The tokens go across words, so that another cut shows. */
Test(gguf_tokenizer, tekken)
{
    check_byte_level("across", "tekken", "<|begin_of_text|>", "tekken");
}

Test(gguf_tokenizer, words_by_default)
{
    check_byte_level("across", "default", NULL, "default");
}

Test(gguf_tokenizer, composed)
{
    static struct small small;
    small_read(&small, "composed");
    put_byte_level(&small, "qwen2", NULL, "<|im_end|>");
    compare_both("composed", BACK_COMPOSED, (int32_t)id_of(&small, "<|im_end|>"));
    json_decref(small.json);
}

Test(gguf_tokenizer, scores)
{
    static struct small small;
    small_read(&small, "characters");
    put_gguf(&bytes, 3, 0, 5);
    put_text("general.architecture", "llama");
    put_text("tokenizer.ggml.model", "llama");
    put_tokens(&small);
    put_scores(&small);
    compare_both("scored", BACK_PLAIN, 2);
    json_decref(small.json);
}

/* ---- Compressing ---------------------------------------------------------------------------- */

enum { SIDE = 32 };

/* Adds the only tensor to the metadata in `bytes`. */
static void put_weights(void)
{
    patch_uint(&bytes, 8, 1, 8);
    put_tensor(&bytes, "blk.0.ffn_up.weight", SIDE, SIDE, 0, 0);
    put_padding(&bytes, 32);
    for (int i = 0; i < SIDE * SIDE; i++)
        put_float(&bytes, (float)(i * 37 % 101) / 100.0f - 0.5f);
}

static void note(const char *line, void *user)
{
    snprintf(user, 512, "%s", line);
}

/* Compresses the model of the scratch folder to `out` in it; `said`: room for 512 characters. */
static void compress(struct scratch *scratch, char *said)
{
    hc_context *context;
    hc_compress_options options;
    char output[600];
    snprintf(output, sizeof output, "%s/out", scratch->root);
    cr_assert_eq(hc_context_create(&context, NULL), HC_OK);
    hc_compress_options_init(&options);
    options.method = "pair";
    options.force = true;
    options.notice = note;
    options.user = said;
    scratch_write(scratch, "model", bytes.data, bytes.size);
    hc_status status = hc_compress(context, scratch_at(scratch, "model"), output, &options);
    cr_assert_eq(status, HC_OK, "%s", hc_message(context));
    hc_context_destroy(context);
}

/* A compressed GGUF has its tokenizer as files; one with a tokenizer that is not known says so. */
Test(gguf_tokenizer, compressed)
{
    static struct small small;
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    char said[512] = "";
    scratch_make(&scratch);
    small_read(&small, "bytes");
    put_byte_level(&small, "llama-bpe", "<|begin_of_text|>", "<|eot_id|>");
    put_weights();
    compress(&scratch, said);
    cr_assert_null(strstr(said, "tokenizer"), "%s", said);
    cr_assert_eq(load_folder((char *)(uintptr_t)scratch_at(&scratch, "out"), &tokenizer), HC_OK, "%s", error.text);
    cr_assert_not_null(tokenizer);
    cr_assert(hc_tokenizer_ends(tokenizer, (int32_t)id_of(&small, "<|eot_id|>")));
    compare(tokenizer, "bytes", BACK);

    put_byte_level(&small, "mystery", NULL, "<|eot_id|>");
    put_weights();
    compress(&scratch, said);
    cr_assert(strstr(said, "tokenizer inside of the GGUF file is not carried over"), "%s", said);
    cr_assert(strstr(said, "'mystery' is not known"), "%s", said);
    cr_assert_neq(access(scratch_at(&scratch, "out/tokenizer.json"), F_OK), 0);
    scratch_remove(&scratch);
    json_decref(small.json);
}

/* ---- Metadata that make no sense ------------------------------------------------------------ */

/* A tokenizer of three tokens, with one thing wrong. */
struct fault {
    const char *model, *pre;
    const char *tokens[3];
    unsigned types, scores, merges; /* how many */
    uint32_t bos;
    hc_status status;
    const char *fragment;
    float score;
};

static char long_token[1100]; /* of one letter, more than may be cut in two in all ways */

static const struct fault faults[] = {
    {"gpt2", "gpt-2", {"a", "b", "ab"}, 3, 0, 1, 0, HC_OK, "", 0},
    {"llama", "", {"a", "b", "ab"}, 3, 3, 0, 0, HC_OK, "", 0},
    {"t5", "", {"a", "b", "ab"}, 3, 3, 0, 0, HC_ERR_UNSUPPORTED, "tokenizer.ggml.model 't5' is not known", 0},
    {"gpt2", "grok-2", {"a", "b", "ab"}, 3, 0, 1, 0, HC_ERR_UNSUPPORTED, "tokenizer.ggml.pre 'grok-2' is not known", 0},
    {"gpt2", "gpt-2", {"a", "b", "a"}, 3, 0, 1, 0, HC_ERR_CORRUPT, "a token is there twice", 0},
    {"gpt2", "gpt-2", {"a", "b", "\xff"}, 3, 0, 1, 0, HC_ERR_CORRUPT, "not UTF-8", 0},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, 2, 0, 1, 0, HC_ERR_CORRUPT, "not as many types", 0},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, 3, 2, 1, 0, HC_ERR_CORRUPT, "not as many types or scores", 0},
    {"llama", "", {"a", "b", "ab"}, 3, 0, 0, 0, HC_ERR_CORRUPT, "no scores", 0},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, 3, 0, 1, 3, HC_ERR_CORRUPT, "special token", 0},
    {"gpt2", "gpt-2", {"a", "b", "c"}, 3, 0, 1, 0, HC_ERR_CORRUPT, "merge number 0", 0},
    {"llama", "", {"a", "b", "ab"}, 3, 3, 0, 0, HC_ERR_CORRUPT, "no score", NAN},
    {"llama", "", {"a", "b", long_token}, 3, 3, 0, 0, HC_ERR_CORRUPT, "too long", 0},
    {"gpt2", "gpt-2", {"a", "ab", long_token}, 3, 0, 0, 0, HC_OK, "", 0},
};

static void put_fault(const struct fault *fault)
{
    put_gguf(&bytes, 3, 0, 7);
    put_text("tokenizer.ggml.model", fault->model);
    put_text("tokenizer.ggml.pre", fault->pre);
    put_list("tokenizer.ggml.tokens", TYPE_STRING, 3);
    for (size_t i = 0; i < 3; i++)
        put_string(&bytes, fault->tokens[i]);
    put_list("tokenizer.ggml.token_type", TYPE_I32, fault->types);
    for (unsigned i = 0; i < fault->types; i++)
        put_uint(&bytes, 1, 4);
    put_list(fault->scores ? "tokenizer.ggml.scores" : "unused", TYPE_F32, fault->scores);
    for (unsigned i = 0; i < fault->scores; i++)
        put_float(&bytes, fault->score);
    put_list("tokenizer.ggml.merges", TYPE_STRING, fault->merges);
    if (fault->merges)
        put_string(&bytes, "a b");
    put_number("tokenizer.ggml.bos_token_id", fault->bos);
}

Test(gguf_tokenizer, faults)
{
    struct scratch scratch;
    scratch_make(&scratch);
    memset(long_token, 'a', sizeof long_token - 1);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct hc_tokenizer *tokenizer;
        put_fault(&faults[i]);
        error.text[0] = 0;
        struct hc_source *source = open_bytes(&scratch);
        hc_status status = hc_tokenizer_load(source, &tokenizer, &error);
        cr_assert_eq(status, faults[i].status, "%zu: status %d: %s", i, (int)status, error.text);
        cr_assert(strstr(error.text, faults[i].fragment), "'%s' does not say '%s'", error.text, faults[i].fragment);
        hc_tokenizer_close(tokenizer);
        hc_source_close(source);
    }
    scratch_remove(&scratch);
}

/* A file without a tokenizer has none. */
Test(gguf_tokenizer, none)
{
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    scratch_make(&scratch);
    put_gguf(&bytes, 3, 0, 1);
    put_text("general.architecture", "llama");
    struct hc_source *source = open_bytes(&scratch);
    cr_assert_eq(hc_tokenizer_load(source, &tokenizer, &error), HC_OK);
    cr_assert_null(tokenizer);
    hc_source_close(source);
    scratch_remove(&scratch);
}
