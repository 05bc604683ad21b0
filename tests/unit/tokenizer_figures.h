/* What tests of tokenizers share: loading, and the comparison with figures that other programs made
 * (golden/tokenizer/make.py). */
#ifndef HC_TESTS_TOKENIZER_FIGURES_H
#define HC_TESTS_TOKENIZER_FIGURES_H

#include "../golden/golden.h"

#include "gguf_tokenizer.h"
#include "json.h"
#include "tokenizer.h"
#include "tokenizer_text.h"

#define FIGURES HC_SOURCE_DIR "/tests/golden/tokenizer"

static struct hc_error error; /* of the test that runs */

/* ---- Tokenizers ----------------------------------------------------------------------------- */

static inline hc_status load_folder(char *folder, struct hc_tokenizer **tokenizer)
{
    struct hc_source source = {.kind = HC_SOURCE_DIRECTORY, .path = folder};
    error.text[0] = 0;
    return hc_tokenizer_load(&source, tokenizer, &error);
}

/* A tokenizer.json alone, whatever it is called. */
static inline struct hc_tokenizer *load_alone(const char *path)
{
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    scratch_make(&scratch);
    hc_status status = hc_copy_file(path, scratch_at(&scratch, "tokenizer.json"), NULL, NULL, &error);
    cr_assert_eq(status, HC_OK, "%s", error.text);
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK, "%s", error.text);
    cr_assert_not_null(tokenizer);
    scratch_remove(&scratch);
    return tokenizer;
}

static inline hc_tokens encode(const struct hc_tokenizer *tokenizer, const void *text, size_t bytes, bool whole)
{
    hc_tokens tokens;
    hc_text_options options = {.begin = whole, .special = whole};
    hc_status status = hc_tokenizer_encode(tokenizer, text, bytes, &options, &tokens, &error);
    cr_assert_eq(status, HC_OK, "%s", error.text);
    return tokens;
}

static inline bool add_token_text(const struct hc_tokenizer *tokenizer, int32_t token, bool first, bool special,
                                  struct hc_text *text)
{
    const char *part;
    size_t bytes;
    hc_status status = hc_tokenizer_text(tokenizer, token, first, special, &part, &bytes, &error);
    cr_assert_eq(status, HC_OK, "%s", error.text);
    cr_assert(hc_text_add(text, part, bytes));
    return bytes > 0;
}

/* The texts of the tokens, one behind the other. */
static inline struct hc_text decode(const struct hc_tokenizer *tokenizer, hc_tokens tokens, bool special)
{
    struct hc_text text = {0};
    bool begun = false;
    cr_assert(hc_text_add(&text, "", 0));
    for (size_t i = 0; i < tokens.count; i++) {
        size_t used = text.used;
        bool has_text = add_token_text(tokenizer, tokens.ids[i], false, special, &text);
        if (has_text && !begun) { /* as the first it may have less */
            text.used = used;
            add_token_text(tokenizer, tokens.ids[i], true, special, &text);
        }
        begun = begun || has_text;
    }
    return text;
}

/* ---- Figures -------------------------------------------------------------------------------- */

static inline json_t *read_figures(const char *name)
{
    char path[600];
    json_error_t fault;
    snprintf(path, sizeof path, FIGURES "/%s.json", name);
    json_t *json = json_load_file(path, 0, &fault);
    cr_assert_not_null(json, "%s: %s", path, fault.text);
    return json;
}

/* Text number i of texts.json: those that are UTF-8, then the others, which are written in hexadecimal digits. */
static inline struct hc_text text_number(const json_t *texts, size_t i)
{
    const json_t *sound = json_object_get(texts, "texts"), *broken = json_object_get(texts, "broken");
    struct hc_text text = {0};
    cr_assert(hc_text_add(&text, "", 0));
    if (i < json_array_size(sound)) {
        cr_assert(hc_text_add_string(&text, json_string_value(json_array_get(sound, i))));
        return text;
    }
    const char *digits = json_string_value(json_array_get(broken, i - json_array_size(sound)));
    for (unsigned byte; digits && sscanf(digits, "%2x", &byte) == 1; digits += 2) {
        char c = (char)byte;
        cr_assert(hc_text_add(&text, &c, 1));
    }
    return text;
}

static inline void expect_tokens(hc_tokens tokens, const json_t *expected, const char *name, const struct hc_text *text)
{
    char *wanted = json_dumps(expected, JSON_COMPACT);
    cr_assert_eq(tokens.count, json_array_size(expected), "%s: '%s': %zu tokens, not %s", name, text->bytes,
                 tokens.count, wanted);
    for (size_t i = 0; i < tokens.count; i++)
        cr_assert_eq(tokens.ids[i], json_integer_value(json_array_get(expected, i)), "%s: '%s': token %zu is %d, of %s",
                     name, text->bytes, i, (int)tokens.ids[i], wanted);
    free(wanted);
}

/* How much of a text comes back from its tokens: all but what stands for spaces and bytes; its composed form; all. */
enum back { NOT_BACK, BACK_PLAIN, BACK_COMPOSED, BACK };

static inline void expect_back(const struct hc_tokenizer *tokenizer, hc_tokens tokens, const struct hc_text *text,
                               enum back back)
{
    struct hc_text repaired = {0}, got = decode(tokenizer, tokens, true);
    cr_assert(hc_text_add_repaired(&repaired, text->bytes, text->used));
    if (back == BACK_COMPOSED) { /* the text in composed form: what is as it was when it goes in again */
        hc_tokens again = encode(tokenizer, got.bytes, got.used, false);
        cr_assert_eq(again.count, tokens.count);
        for (size_t i = 0; i < tokens.count; i++)
            cr_assert_eq(again.ids[i], tokens.ids[i]);
        free(again.ids);
    } else if (back == BACK || (back == BACK_PLAIN && !strstr(repaired.bytes, "▁") && !strstr(repaired.bytes, "<0x"))) {
        cr_assert(got.used == repaired.used && memcmp(got.bytes, repaired.bytes, got.used) == 0,
                  "'%s' came back as '%s'", repaired.bytes, got.bytes);
    }
    hc_text_free(&repaired);
    hc_text_free(&got);
}

static inline void compare(struct hc_tokenizer *tokenizer, const char *name, enum back back)
{
    json_t *texts = read_figures("texts"), *rows = read_figures(name);
    size_t count = json_array_size(json_object_get(texts, "texts")) + json_array_size(json_object_get(texts, "broken"));
    cr_assert_eq(json_array_size(rows), count);
    cr_assert_gt(count, 50);
    for (size_t i = 0; i < count; i++) {
        struct hc_text text = text_number(texts, i);
        const json_t *row = json_array_get(rows, i);
        hc_tokens whole = encode(tokenizer, text.bytes, text.used, true);
        hc_tokens plain = encode(tokenizer, text.bytes, text.used, false);
        expect_tokens(whole, json_array_get(row, 0), name, &text);
        expect_tokens(plain, json_array_get(row, 1), name, &text);
        expect_back(tokenizer, plain, &text, back);
        free(whole.ids);
        free(plain.ids);
        hc_text_free(&text);
    }
    json_decref(texts);
    json_decref(rows);
    hc_tokenizer_close(tokenizer);
}

#endif
