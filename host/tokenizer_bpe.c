#include "tokenizer_bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NONE UINT32_MAX

/* What is held of every token and merge is held as small as it goes: beside a small model it weighs. A merge is the
 * numbers of its left and its right side, and of what they become, HC_TOKEN_BITS each. */
struct hc_bpe {
    uint32_t size;
    uint32_t *begins; /* of tokens in the arena; NONE: no such token */
    char *arena;      /* texts, each with a zero behind it; none has one within */
    uint32_t *slots;  /* `places`: numbers of tokens by their texts; NONE: an empty place */
    size_t places;
    uint64_t *merges;      /* by rank */
    uint32_t *merge_slots; /* ranks by the two sides; NONE: an empty place */
    size_t merge_places;
    uint32_t bytes[256]; /* tokens of bytes, NONE where there is none */
    uint32_t unknown;    /* NONE: what is not known is left out */
    bool byte_fallback, fuse_unknown, ignore_merges;
};

/* ---- Tables --------------------------------------------------------------------------------- */

/* Places for `count` items, of which a quarter stays empty. */
static size_t table_places(size_t count)
{
    return count + count / 3 + 16;
}

/* The place of a hash: its share of all places. */
static size_t first_place(uint64_t hash, size_t places)
{
    return (size_t)((hash >> 32) * places >> 32); /* fewer than 2^32: HC_JSON_MAX_BYTES bounds them */
}

static size_t next_place(size_t place, size_t places)
{
    return place + 1 < places ? place + 1 : 0;
}

static size_t text_place(const struct hc_bpe *bpe, const char *text, size_t bytes)
{
    size_t place = first_place(XXH3_64bits(text, bytes), bpe->places);
    for (;; place = next_place(place, bpe->places)) {
        uint32_t id = bpe->slots[place];
        const char *token = bpe->arena + (id == NONE ? 0 : bpe->begins[id]);
        if (id == NONE || (strnlen(token, bytes + 1) == bytes && memcmp(token, text, bytes) == 0))
            return place;
    }
}

int64_t hc_bpe_find(const struct hc_bpe *bpe, const char *text, size_t bytes)
{
    uint32_t id = bpe->slots[text_place(bpe, text, bytes)];
    return id == NONE ? -1 : (int64_t)id;
}

static uint64_t both(uint32_t left, uint32_t right)
{
    return (uint64_t)left << HC_TOKEN_BITS | right;
}

static size_t merge_place(const struct hc_bpe *bpe, uint64_t sides)
{
    size_t place = first_place(sides * 0x9e3779b97f4a7c15u, bpe->merge_places);
    for (;; place = next_place(place, bpe->merge_places)) {
        uint32_t rank = bpe->merge_slots[place];
        if (rank == NONE || bpe->merges[rank] >> HC_TOKEN_BITS == sides)
            return place;
    }
}

/* The rank of their merge; NONE if the two do not merge. */
static uint32_t find_merge(const struct hc_bpe *bpe, uint32_t left, uint32_t right)
{
    return bpe->merge_slots[merge_place(bpe, both(left, right))];
}

/* What the sides of a merge become. */
static uint32_t merged(const struct hc_bpe *bpe, uint32_t rank)
{
    return bpe->merges[rank] & (HC_TOKENS_MAX - 1);
}

uint32_t hc_bpe_size(const struct hc_bpe *bpe)
{
    return bpe->size;
}

bool hc_bpe_has_bytes(const struct hc_bpe *bpe)
{
    return bpe->byte_fallback;
}

const char *hc_bpe_token(const struct hc_bpe *bpe, uint32_t id, size_t *bytes)
{
    if (id >= bpe->size || bpe->begins[id] == NONE)
        return NULL;
    *bytes = strlen(bpe->arena + bpe->begins[id]);
    return bpe->arena + bpe->begins[id];
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* Settings that change what a text becomes, and that no model of these families has. */
static hc_status check_settings(const json_t *model, const char *path, struct hc_error *error)
{
    static const char *const empty[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *type = json_object_get(model, "type");
    if (!json_is_object(model))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: there is no model", path);
    if (json_is_string(type) && strcmp(json_string_value(type), "BPE") != 0)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: a model of type '%.100s' is not supported, BPE is", path,
                       json_string_value(type));
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const json_t *value = json_object_get(model, empty[i]);
        bool none = !value || json_is_null(value) || (json_is_string(value) && !*json_string_value(value));
        if (!none)
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: a model with %s is not supported", path, empty[i]);
    }
    if (!json_is_object(json_object_get(model, "vocab")) || !json_is_array(json_object_get(model, "merges")))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the model has no vocab or no merges", path);
    return HC_OK;
}

/* The size of the vocabulary, and the bytes of all texts with the zeros behind them. */
static hc_status measure(json_t *vocab, const char *path, struct hc_bpe *bpe, size_t *bytes, struct hc_error *error)
{
    const char *text;
    json_t *value;
    *bytes = 0;
    json_object_foreach(vocab, text, value)
    {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= HC_TOKENS_MAX)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: the token '%.100s' has no number below %d", path, text,
                           HC_TOKENS_MAX);
        if (id >= bpe->size)
            bpe->size = (uint32_t)id + 1;
        *bytes += strlen(text) + 1;
    }
    return HC_OK;
}

static hc_status read_vocabulary(json_t *vocab, const char *path, struct hc_bpe *bpe, struct hc_error *error)
{
    size_t bytes, places = table_places(json_object_size(vocab)), used = 0;
    const char *text;
    json_t *value;
    hc_status status = measure(vocab, path, bpe, &bytes, error);
    if (status != HC_OK)
        return status;
    bpe->begins = malloc(((size_t)bpe->size + 1) * sizeof *bpe->begins);
    bpe->arena = malloc(bytes + 1);
    bpe->slots = malloc(places * sizeof *bpe->slots);
    if (!bpe->begins || !bpe->arena || !bpe->slots)
        return hc_no_memory(error);
    bpe->places = places;
    memset(bpe->begins, 0xff, ((size_t)bpe->size + 1) * sizeof *bpe->begins);
    memset(bpe->slots, 0xff, places * sizeof *bpe->slots);
    json_object_foreach(vocab, text, value)
    {
        uint32_t *begin = &bpe->begins[json_integer_value(value)];
        size_t length = strlen(text);
        if (*begin != NONE)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: the tokens '%.100s' and '%.100s' have the same number", path,
                           bpe->arena + *begin, text);
        memcpy(bpe->arena + used, text, length + 1);
        *begin = (uint32_t)used; /* HC_JSON_MAX_BYTES bounds it */
        used += length + 1;
        bpe->slots[text_place(bpe, text, length)] = (uint32_t)json_integer_value(value);
    }
    return HC_OK;
}

/* The two sides of a merge: "a b", or ["a", "b"]. */
static bool sides_of(const json_t *json, const char *sides[2], size_t bytes[2])
{
    const char *line = json_string_value(json);
    const char *space = line ? strchr(line, ' ') : NULL;
    if (space && !strchr(space + 1, ' ')) {
        sides[0] = line;
        sides[1] = space + 1;
        bytes[0] = (size_t)(space - line);
        bytes[1] = strlen(space + 1);
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        sides[i] = json_string_value(json_array_get(json, i));
        bytes[i] = json_string_length(json_array_get(json, i));
    }
    return sides[0] && sides[1] && json_array_size(json) == 2;
}

/* `joined` is room to put the sides together. */
static hc_status read_merge(const json_t *json, uint32_t rank, const char *path, struct hc_bpe *bpe,
                            struct hc_text *joined, struct hc_error *error)
{
    const char *sides[2];
    size_t bytes[2];
    hc_text_clear(joined);
    if (!sides_of(json, sides, bytes))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: merge number %u is no pair of tokens", path, rank);
    if (!hc_text_add(joined, sides[0], bytes[0]) || !hc_text_add(joined, sides[1], bytes[1]))
        return hc_no_memory(error);
    int64_t left = hc_bpe_find(bpe, sides[0], bytes[0]), right = hc_bpe_find(bpe, sides[1], bytes[1]);
    int64_t id = hc_bpe_find(bpe, joined->bytes, joined->used);
    if (left < 0 || right < 0 || id < 0)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: merge number %u ('%.100s') is not of tokens to a token", path, rank,
                       joined->bytes);
    /* One that is there again counts where it comes last. */
    const uint64_t two = both((uint32_t)left, (uint32_t)right);
    bpe->merges[rank] = two << HC_TOKEN_BITS | (uint64_t)id;
    bpe->merge_slots[merge_place(bpe, two)] = rank;
    return HC_OK;
}

static hc_status read_merges(const json_t *list, const char *path, struct hc_bpe *bpe, struct hc_error *error)
{
    const size_t count = json_array_size(list), places = table_places(count);
    struct hc_text joined = {0};
    hc_status status = HC_OK;
    bpe->merges = malloc((count + 1) * sizeof *bpe->merges);
    bpe->merge_slots = malloc(places * sizeof *bpe->merge_slots);
    if (!bpe->merges || !bpe->merge_slots)
        return hc_no_memory(error);
    bpe->merge_places = places;
    memset(bpe->merge_slots, 0xff, places * sizeof *bpe->merge_slots);
    for (size_t i = 0; status == HC_OK && i < count; i++)
        status = read_merge(json_array_get(list, i), (uint32_t)i, path, bpe, &joined, error);
    hc_text_free(&joined);
    return status;
}

static hc_status read_unknown(const json_t *model, const char *path, struct hc_bpe *bpe, struct hc_error *error)
{
    const char *text = json_string_value(json_object_get(model, "unk_token"));
    bpe->unknown = NONE;
    if (!text || !*text)
        return HC_OK;
    int64_t id = hc_bpe_find(bpe, text, strlen(text));
    if (id < 0)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the unknown token '%.100s' is not in the vocabulary", path, text);
    bpe->unknown = (uint32_t)id;
    return HC_OK;
}

static void read_bytes(struct hc_bpe *bpe)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        int length = snprintf(text, sizeof text, "<0x%02X>", byte);
        int64_t id = bpe->byte_fallback ? hc_bpe_find(bpe, text, (size_t)length) : -1;
        bpe->bytes[byte] = id < 0 ? NONE : (uint32_t)id;
    }
}

hc_status hc_bpe_read(const json_t *model, const char *path, struct hc_bpe **result, struct hc_error *error)
{
    struct hc_bpe *bpe = calloc(1, sizeof *bpe);
    hc_status status;
    *result = NULL;
    if (!bpe)
        return hc_no_memory(error);
    HC_TRY(check_settings(model, path, error));
    bpe->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    bpe->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    bpe->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    HC_TRY(read_vocabulary(json_object_get(model, "vocab"), path, bpe, error));
    HC_TRY(read_merges(json_object_get(model, "merges"), path, bpe, error));
    HC_TRY(read_unknown(model, path, bpe, error));
    read_bytes(bpe);
    *result = bpe;
    bpe = NULL;
done:
    hc_bpe_free(bpe);
    return status;
}

void hc_bpe_free(struct hc_bpe *bpe)
{
    if (!bpe)
        return;
    free(bpe->begins);
    free(bpe->arena);
    free(bpe->slots);
    free(bpe->merges);
    free(bpe->merge_slots);
    free(bpe);
}

/* ---- Encoding ------------------------------------------------------------------------------- */

/* A token of the word so far; those that were merged into the one before them have id NONE. */
struct hc_bpe_symbol {
    uint32_t id, before, after; /* the neighbours; NONE: none */
};

/* Two neighbours that could be merged when they were seen. */
struct hc_bpe_pair {
    uint32_t rank, left; /* of their merge; a symbol */
};

void hc_bpe_work_free(struct hc_bpe_work *work)
{
    free(work->symbols);
    free(work->heap);
    *work = (struct hc_bpe_work){0};
}

/* A word of n bytes has at most n symbols, 4 for a character of 4 bytes; every merge makes two pairs at most. */
static bool make_room(struct hc_bpe_work *work, size_t bytes)
{
    if (bytes > work->symbol_room) {
        free(work->symbols);
        work->symbols = malloc(2 * bytes * sizeof *work->symbols);
        work->symbol_room = work->symbols ? 2 * bytes : 0;
    }
    if (3 * bytes > work->heap_room) {
        free(work->heap);
        work->heap = malloc(6 * bytes * sizeof *work->heap);
        work->heap_room = work->heap ? 6 * bytes : 0;
    }
    work->symbol_count = work->heap_count = 0;
    return bytes <= work->symbol_room && 3 * bytes <= work->heap_room;
}

/* The lowest rank first, of those the leftmost. */
static bool comes_before(const struct hc_bpe_pair *a, const struct hc_bpe_pair *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->left < b->left);
}

static void push(struct hc_bpe_work *work, struct hc_bpe_pair pair)
{
    struct hc_bpe_pair *heap = work->heap;
    size_t at = work->heap_count++;
    for (size_t above; at > 0 && comes_before(&pair, &heap[above = (at - 1) / 2]); at = above)
        heap[at] = heap[above];
    heap[at] = pair;
}

static struct hc_bpe_pair pop(struct hc_bpe_work *work)
{
    struct hc_bpe_pair *heap = work->heap, first = heap[0], last = heap[--work->heap_count];
    size_t at = 0;
    for (size_t below; (below = 2 * at + 1) < work->heap_count; at = below) {
        below += below + 1 < work->heap_count && comes_before(&heap[below + 1], &heap[below]);
        if (!comes_before(&heap[below], &last))
            break;
        heap[at] = heap[below];
    }
    heap[at] = last;
    return first;
}

static void add_symbol(struct hc_bpe_work *work, uint32_t id)
{
    uint32_t at = (uint32_t)work->symbol_count++;
    work->symbols[at] = (struct hc_bpe_symbol){id, at > 0 ? at - 1 : NONE, NONE};
    if (at > 0)
        work->symbols[at - 1].after = at;
}

/* The tokens of a character's bytes. False if one of them has none. */
static bool add_bytes(const struct hc_bpe *bpe, struct hc_bpe_work *work, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (bpe->bytes[(uint8_t)text[i]] == NONE)
            return false;
    for (size_t i = 0; i < bytes; i++)
        add_symbol(work, bpe->bytes[(uint8_t)text[i]]);
    return true;
}

/* The characters of the word as tokens. Unknown ones wait for the next that is in the vocabulary, as in the reference,
 * so that several in a row can become one. */
static void add_characters(const struct hc_bpe *bpe, struct hc_bpe_work *work, const char *word, size_t bytes)
{
    bool waiting = false;
    size_t length;
    for (size_t at = 0; at < bytes; at += length) {
        hc_character_at(word + at, &length);
        int64_t id = hc_bpe_find(bpe, word + at, length);
        if (id >= 0) {
            if (waiting)
                add_symbol(work, bpe->unknown);
            waiting = false;
            add_symbol(work, (uint32_t)id);
        } else if (!add_bytes(bpe, work, word + at, length) && bpe->unknown != NONE) {
            if (waiting && !bpe->fuse_unknown)
                add_symbol(work, bpe->unknown);
            waiting = true;
        }
    }
    if (waiting)
        add_symbol(work, bpe->unknown);
}

/* Queues the symbol and the one after it, if they merge. */
static void consider(const struct hc_bpe *bpe, struct hc_bpe_work *work, uint32_t left)
{
    if (left == NONE || work->symbols[left].after == NONE)
        return;
    uint32_t rank = find_merge(bpe, work->symbols[left].id, work->symbols[work->symbols[left].after].id);
    if (rank != NONE)
        push(work, (struct hc_bpe_pair){rank, left});
}

static void merge_all(const struct hc_bpe *bpe, struct hc_bpe_work *work)
{
    struct hc_bpe_symbol *symbols = work->symbols;
    for (size_t i = 0; i + 1 < work->symbol_count; i++)
        consider(bpe, work, (uint32_t)i);
    while (work->heap_count > 0) {
        struct hc_bpe_pair pair = pop(work);
        struct hc_bpe_symbol *left = &symbols[pair.left];
        if (left->id == NONE || left->after == NONE)
            continue;
        struct hc_bpe_symbol *right = &symbols[left->after];
        const uint32_t rank = find_merge(bpe, left->id, right->id), id = merged(bpe, pair.rank);
        if (rank == NONE || merged(bpe, rank) != id) /* one of the two has become something else since */
            continue;
        left->id = id;
        left->after = right->after;
        right->id = NONE;
        if (left->after != NONE)
            symbols[left->after].before = pair.left;
        consider(bpe, work, left->before);
        consider(bpe, work, pair.left);
    }
}

hc_status hc_bpe_encode(const struct hc_bpe *bpe, const char *word, size_t bytes, struct hc_bpe_work *work,
                        struct hc_ids *ids, struct hc_error *error)
{
    int64_t whole = bpe->ignore_merges ? hc_bpe_find(bpe, word, bytes) : -1;
    if (whole >= 0)
        return hc_ids_add(ids, (uint32_t)whole) ? HC_OK : hc_no_memory(error);
    if (!make_room(work, bytes))
        return hc_no_memory(error);
    add_characters(bpe, work, word, bytes);
    merge_all(bpe, work);
    for (size_t i = 0; i < work->symbol_count; i++)
        if (work->symbols[i].id != NONE && !hc_ids_add(ids, work->symbols[i].id))
            return hc_no_memory(error);
    return HC_OK;
}
