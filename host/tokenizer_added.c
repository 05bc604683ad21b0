#include "tokenizer_added.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- Reading -------------------------------------------------------------------------------- */

static hc_status read_token(const json_t *json, const char *path, const struct hc_bpe *bpe,
                            struct hc_added_token *token, struct hc_error *error)
{
    const json_t *number = json_object_get(json, "id");
    const char *content = json_string_value(json_object_get(json, "content"));
    json_int_t id = json_integer_value(number);
    if (!content || !*content || !json_is_integer(number) || id < 0 || id >= HC_TOKENS_MAX)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: an added token has no content, or no number below %d", path,
                       HC_TOKENS_MAX);
    int64_t known = hc_bpe_find(bpe, content, strlen(content));
    if (known >= 0 && known != (int64_t)id)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the added token '%.100s' has another number than the vocabulary's",
                       path, content);
    *token = (struct hc_added_token){
        .id = (uint32_t)id,
        .content = strdup(content),
        .special = json_is_true(json_object_get(json, "special")),
        .normalized = json_is_true(json_object_get(json, "normalized")),
        .single_word = json_is_true(json_object_get(json, "single_word")),
        .strip_left = json_is_true(json_object_get(json, "lstrip")),
        .strip_right = json_is_true(json_object_get(json, "rstrip")),
    };
    return token->content ? HC_OK : hc_no_memory(error);
}

static hc_status make_pattern(const struct hc_normalizer *normalizer, struct hc_matcher *matcher,
                              struct hc_added_token *token, struct hc_error *error)
{
    struct hc_text text = {0}, spare = {0};
    hc_status status = hc_text_add_string(&text, token->content) ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && token->normalized)
        status = hc_normalize(normalizer, matcher, &text, &spare, error);
    if (status == HC_OK && !(token->pattern = strdup(text.bytes)))
        status = hc_no_memory(error);
    hc_text_free(&text);
    hc_text_free(&spare);
    return status;
}

static int compare_tokens(const void *a, const void *b)
{
    const struct hc_added_token *left = a, *right = b;
    if (left->normalized != right->normalized)
        return left->normalized ? 1 : -1;
    int order = strcmp(left->pattern, right->pattern);
    return order != 0 ? order : left->id < right->id ? -1 : left->id > right->id;
}

/* Sorts them, and sees to it that each is there once. */
static hc_status order_tokens(struct hc_added *added, const char *path, struct hc_error *error)
{
    qsort(added->tokens, added->count, sizeof *added->tokens, compare_tokens);
    while (added->raw_count < added->count && !added->tokens[added->raw_count].normalized)
        added->raw_count++;
    for (size_t i = 1; i < added->count; i++) {
        const struct hc_added_token *one = &added->tokens[i - 1], *other = &added->tokens[i];
        if (one->normalized == other->normalized && strcmp(one->pattern, other->pattern) == 0)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: the added token '%.100s' is there twice", path, other->content);
    }
    return HC_OK;
}

hc_status hc_added_read(const json_t *json, const char *path, const struct hc_bpe *bpe,
                        const struct hc_normalizer *normalizer, struct hc_added *added, struct hc_error *error)
{
    struct hc_matcher *matcher = NULL;
    hc_status status;
    *added = (struct hc_added){0};
    if (json && !json_is_null(json) && !json_is_array(json))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: added_tokens is no list", path);
    HC_TRY(hc_matcher_create(&matcher, error));
    added->tokens = calloc(json_array_size(json) + 1, sizeof *added->tokens);
    if (!added->tokens) {
        status = hc_no_memory(error);
        goto done;
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct hc_added_token *token = &added->tokens[added->count++];
        HC_TRY(read_token(json_array_get(json, i), path, bpe, token, error));
        HC_TRY(make_pattern(normalizer, matcher, token, error));
    }
    HC_TRY(order_tokens(added, path, error));
done:
    hc_matcher_free(matcher);
    return status;
}

void hc_added_free(struct hc_added *added)
{
    for (size_t i = 0; i < added->count; i++) {
        free(added->tokens[i].content);
        free(added->tokens[i].pattern);
    }
    free(added->tokens);
    *added = (struct hc_added){0};
}

const struct hc_added_token *hc_added_by_id(const struct hc_added *added, uint32_t id)
{
    for (size_t i = 0; i < added->count; i++)
        if (added->tokens[i].id == id)
            return &added->tokens[i];
    return NULL;
}

const struct hc_added_token *hc_added_by_content(const struct hc_added *added, const char *content)
{
    for (size_t i = 0; i < added->count; i++)
        if (strcmp(added->tokens[i].content, content) == 0)
            return &added->tokens[i];
    return NULL;
}

/* ---- Finding -------------------------------------------------------------------------------- */

/* The first of tokens[low, high), which agree up to `depth`, whose character there is at least `c` (at most 256). */
static size_t lower_bound(const struct hc_added_token *tokens, size_t low, size_t high, size_t depth, unsigned c)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uint8_t)tokens[middle].pattern[depth] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token at the beginning of a text, NULL if there is none: narrows the sorted list byte by byte. */
static const struct hc_added_token *longest_at(const struct hc_added_walk *walk, size_t at, size_t *length)
{
    const struct hc_added_token *tokens = walk->added->tokens, *found = NULL;
    size_t low = walk->normalized ? walk->added->raw_count : 0;
    size_t high = walk->normalized ? walk->added->count : walk->added->raw_count;
    for (size_t depth = 0; at + depth < walk->bytes; depth++) {
        uint8_t c = (uint8_t)walk->text[at + depth];
        low = lower_bound(tokens, low, high, depth, c);
        high = lower_bound(tokens, low, high, depth, c + 1u);
        if (low == high || c == 0) /* a zero would be the patterns' own end */
            break;
        if (tokens[low].pattern[depth + 1] == 0) {
            found = &tokens[low];
            *length = depth + 1;
        }
    }
    return found;
}

/* Where the character that ends before `at` begins. */
static size_t step_back(const char *text, size_t at)
{
    do
        at--;
    while ((text[at] & 0xc0) == 0x80);
    return at;
}

static bool is_word_character(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9); /* joiners; letters in circles */
    }
}

static bool touches_word(const struct hc_added_walk *walk, size_t begin, size_t end)
{
    size_t length;
    return (begin > 0 && is_word_character(hc_character_at(walk->text + step_back(walk->text, begin), &length))) ||
           (end < walk->bytes && is_word_character(hc_character_at(walk->text + end, &length)));
}

/* The beginning of the spaces before `begin`, as far as they were not handed out. */
static size_t spaces_before(const struct hc_added_walk *walk, size_t begin)
{
    size_t length;
    while (begin > walk->taken) {
        size_t before = step_back(walk->text, begin);
        if (before < walk->taken || !hc_is_space(hc_character_at(walk->text + before, &length)))
            break;
        begin = before;
    }
    return begin;
}

static size_t spaces_behind(const struct hc_added_walk *walk, size_t end)
{
    size_t length;
    while (end < walk->bytes && hc_is_space(hc_character_at(walk->text + end, &length)))
        end += length;
    return end;
}

const struct hc_added_token *hc_added_next(struct hc_added_walk *walk, size_t *begin, size_t *end)
{
    *begin = walk->taken;
    while (walk->at < walk->bytes) {
        size_t length = 0, from = walk->at;
        const struct hc_added_token *token = longest_at(walk, from, &length);
        walk->at += token ? length : 1;
        if (!token || (token->special && !walk->special) ||
            (token->single_word && touches_word(walk, from, from + length)))
            continue;
        if (from < walk->taken) /* the token before it took its spaces, and this one among them */
            from = walk->taken;
        *end = token->strip_left ? spaces_before(walk, from) : from;
        if (walk->at > walk->taken)
            walk->taken = walk->at;
        if (token->strip_right)
            walk->taken = spaces_behind(walk, walk->taken);
        return token;
    }
    *end = walk->bytes;
    walk->taken = walk->bytes;
    return NULL;
}
