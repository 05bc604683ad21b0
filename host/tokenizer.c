#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer_parts.h"

enum { TEXT_MAX_BYTES = 256 << 20 };

/* ---- Encoding ------------------------------------------------------------------------------- */

/* What one call works with. */
struct work {
    const struct hc_tokenizer *tokenizer;
    bool special;
    struct hc_matcher *matcher;
    struct hc_bpe_work bpe;
    struct hc_text stretch, spare; /* what lies between added tokens, while it is normalized */
    struct hc_pieces pieces, spare_pieces;
    struct hc_ids ids;
};

static void free_work(struct work *work)
{
    hc_matcher_free(work->matcher);
    hc_bpe_work_free(&work->bpe);
    hc_text_free(&work->stretch);
    hc_text_free(&work->spare);
    hc_pieces_free(&work->pieces);
    hc_pieces_free(&work->spare_pieces);
    free(work->ids.ids);
}

static bool add_all(struct hc_ids *to, const struct hc_ids *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (!hc_ids_add(to, (uint32_t)from->ids[i]))
            return false;
    return true;
}

/* A stretch of normalized text without added tokens. `first`: the input begins with it. */
static hc_status encode_words(struct work *work, const char *text, size_t bytes, bool first, struct hc_error *error)
{
    struct hc_pieces *pieces = &work->pieces;
    hc_pieces_clear(pieces);
    if (!hc_text_add(&pieces->text, text, bytes) || !hc_pieces_cut(pieces))
        return hc_no_memory(error);
    hc_status status =
        hc_split_text(work->tokenizer->splitter, work->matcher, first, pieces, &work->spare_pieces, error);
    for (size_t i = 0; status == HC_OK && i < pieces->count; i++) {
        size_t begin = hc_piece_begin(pieces, i);
        status = hc_bpe_encode(work->tokenizer->bpe, pieces->text.bytes + begin, pieces->ends[i] - begin, &work->bpe,
                               &work->ids, error);
    }
    return status;
}

/* A stretch of the input without the added tokens that are looked for before it is normalized. */
static hc_status encode_stretch(struct work *work, const char *text, size_t bytes, bool first, struct hc_error *error)
{
    struct hc_text *stretch = &work->stretch;
    hc_text_clear(stretch);
    if (!hc_text_add(stretch, text, bytes))
        return hc_no_memory(error);
    hc_status status = hc_normalize(work->tokenizer->normalizer, work->matcher, stretch, &work->spare, error);
    struct hc_added_walk walk = {.added = &work->tokenizer->added,
                                 .text = stretch->bytes,
                                 .bytes = stretch->used,
                                 .normalized = true,
                                 .special = work->special};
    const struct hc_added_token *token = NULL;
    size_t begin, end;
    do {
        if (status != HC_OK)
            return status;
        token = hc_added_next(&walk, &begin, &end);
        status = encode_words(work, stretch->bytes + begin, end - begin, first && begin == 0, error);
        if (status == HC_OK && token && !hc_ids_add(&work->ids, token->id))
            status = hc_no_memory(error);
    } while (token);
    return status;
}

/* The whole input, which is valid UTF-8. */
static hc_status encode_text(struct work *work, const struct hc_text *text, struct hc_error *error)
{
    struct hc_added_walk walk = {
        .added = &work->tokenizer->added, .text = text->bytes, .bytes = text->used, .special = work->special};
    const struct hc_added_token *token = NULL;
    hc_status status;
    size_t begin, end;
    do {
        token = hc_added_next(&walk, &begin, &end);
        status = encode_stretch(work, text->bytes + begin, end - begin, begin == 0, error);
        if (status == HC_OK && token && !hc_ids_add(&work->ids, token->id))
            status = hc_no_memory(error);
    } while (status == HC_OK && token);
    return status;
}

hc_status hc_tokenizer_encode(const struct hc_tokenizer *tokenizer, const char *text, size_t bytes,
                              const hc_text_options *options, hc_tokens *tokens, struct hc_error *error)
{
    struct work work = {.tokenizer = tokenizer, .special = options->special};
    struct hc_text whole = {0};
    hc_status status;
    *tokens = (hc_tokens){0};
    if (bytes > TEXT_MAX_BYTES)
        return hc_fail(error, HC_ERR_ARGUMENT, "a text of %zu bytes is too long for a tokenizer", bytes);
    HC_TRY(hc_matcher_create(&work.matcher, error));
    bool added =
        hc_text_add_repaired(&whole, text, bytes) && (!options->begin || add_all(&work.ids, &tokenizer->before));
    HC_TRY(added ? encode_text(&work, &whole, error) : hc_no_memory(error));
    if (options->begin && !add_all(&work.ids, &tokenizer->behind)) {
        status = hc_no_memory(error);
        goto done;
    }
    *tokens = (hc_tokens){work.ids.ids, work.ids.count};
    work.ids.ids = NULL;
done:
    hc_text_free(&whole);
    free_work(&work);
    return status;
}

/* ---- Tokens --------------------------------------------------------------------------------- */

uint32_t hc_tokenizer_size(const struct hc_tokenizer *tokenizer)
{
    return tokenizer->size;
}

hc_status hc_tokenizer_text(const struct hc_tokenizer *tokenizer, int32_t token, bool first, bool special,
                            const char **text, size_t *bytes, struct hc_error *error)
{
    if (token < 0 || (uint32_t)token >= tokenizer->size)
        return hc_fail(error, HC_ERR_ARGUMENT, "there is no token number %d: there are %u", (int)token,
                       tokenizer->size);
    const struct hc_token_place *place = &tokenizer->places[token];
    *text = tokenizer->texts.bytes + place->begin;
    *bytes = place->special && !special ? 0 : place[1].begin - place->begin;
    if (first && tokenizer->decoder.strips && !place->special && *bytes > 0 && **text == ' ') {
        (*text)++;
        (*bytes)--;
    }
    return HC_OK;
}

bool hc_tokenizer_ends(const struct hc_tokenizer *tokenizer, int32_t token)
{
    for (size_t i = 0; i < tokenizer->ends.count; i++)
        if (tokenizer->ends.ids[i] == token)
            return true;
    return false;
}

/* ---- Conversations -------------------------------------------------------------------------- */

const char *hc_tokenizer_template(const struct hc_tokenizer *tokenizer)
{
    return hc_chat_name(&tokenizer->chat);
}

hc_status hc_tokenizer_chat_text(const struct hc_tokenizer *tokenizer, const hc_turn *turns, size_t count, time_t now,
                                 char **text, struct hc_error *error)
{
    return hc_chat_render(&tokenizer->chat, turns, count, now, text, error);
}

hc_status hc_tokenizer_chat(const struct hc_tokenizer *tokenizer, const hc_turn *turns, size_t count, time_t now,
                            hc_tokens *tokens, struct hc_error *error)
{
    static const hc_text_options options = {.begin = false, .special = true}; /* the template has it all */
    char *text = NULL;
    *tokens = (hc_tokens){0};
    hc_status status = hc_tokenizer_chat_text(tokenizer, turns, count, now, &text, error);
    if (status == HC_OK)
        status = hc_tokenizer_encode(tokenizer, text, strlen(text), &options, tokens, error);
    free(text);
    return status;
}

/* ---- The end -------------------------------------------------------------------------------- */

void hc_tokenizer_close(struct hc_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    hc_bpe_free(tokenizer->bpe);
    hc_normalizer_free(tokenizer->normalizer);
    hc_splitter_free(tokenizer->splitter);
    hc_added_free(&tokenizer->added);
    hc_decoder_free(&tokenizer->decoder);
    free(tokenizer->before.ids);
    free(tokenizer->behind.ids);
    free(tokenizer->ends.ids);
    free(tokenizer->places);
    hc_text_free(&tokenizer->texts);
    hc_chat_free(&tokenizer->chat);
    free(tokenizer);
}
