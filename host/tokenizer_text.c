#include "tokenizer_text.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

/* The most bytes of a text. The longest input fits, a space becoming three bytes; steps of a tokenizer.json that make
 * texts of any length from short ones run into it. */
enum { TEXT_MOST = 1 << 30 };

/* ---- Growing -------------------------------------------------------------------------------- */

/* Makes room for `count` more items of `size` bytes in an array of *room, `used` of them taken. */
static bool grow(void **items, size_t *room, size_t used, size_t count, size_t size)
{
    if (count <= *room - used)
        return true;
    size_t wanted = 2 * *room + count + 16;
    void *grown = realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *room = wanted;
    return true;
}

bool hc_text_add(struct hc_text *text, const char *bytes, size_t count)
{
    void *items = text->bytes;
    bool fits = count <= TEXT_MOST - text->used && grow(&items, &text->room, text->used, count + 1, 1);
    text->bytes = items;
    if (!fits)
        return false;
    if (count > 0) /* `bytes` may be NULL if not */
        memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
    text->bytes[text->used] = 0;
    return true;
}

bool hc_text_add_string(struct hc_text *text, const char *string)
{
    return hc_text_add(text, string, strlen(string));
}

bool hc_text_add_character(struct hc_text *text, uint32_t character)
{
    char bytes[4];
    if (character < 0x80) {
        bytes[0] = (char)character;
        return hc_text_add(text, bytes, 1);
    }
    size_t count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = count; i-- > 1; character >>= 6)
        bytes[i] = (char)(0x80 | (character & 0x3f));
    bytes[0] = (char)((0xf00u >> count) | character); /* as many ones as bytes; what is above falls off */
    return hc_text_add(text, bytes, count);
}

void hc_text_clear(struct hc_text *text)
{
    text->used = 0;
    if (text->bytes)
        text->bytes[0] = 0;
}

void hc_text_free(struct hc_text *text)
{
    free(text->bytes);
    *text = (struct hc_text){0};
}

bool hc_ids_add(struct hc_ids *ids, uint32_t id)
{
    void *items = ids->ids;
    bool fits = grow(&items, &ids->room, ids->count, 1, sizeof *ids->ids);
    ids->ids = items;
    if (fits)
        ids->ids[ids->count++] = (int32_t)id;
    return fits;
}

/* ---- Characters ----------------------------------------------------------------------------- */

/* How many of the first `count` bytes begin a character that is then cut short: 1 to 3. */
static size_t broken_bytes(const char *bytes, size_t count)
{
    /* What is completed by bytes that fit is a beginning: the second byte's range depends on the first. */
    for (size_t kept = count < 3 ? count : 3; kept > 1; kept--) {
        char whole[5] = {0};
        memcpy(whole, bytes, kept);
        for (size_t length = kept + 1; length <= 4; length++) {
            memset(whole + kept, '\x80', length - kept);
            if (hc_utf8_bytes(whole) == length)
                return kept;
        }
    }
    return 1;
}

bool hc_text_add_repaired(struct hc_text *text, const char *bytes, size_t count)
{
    size_t from = 0, at = 0;
    while (at < count) {
        char next[5] = {0};
        memcpy(next, bytes + at, count - at < 4 ? count - at : 4);
        size_t length = hc_utf8_bytes(next);
        if (length > 0) {
            at += length;
            continue;
        }
        if (!hc_text_add(text, bytes + from, at - from) || !hc_text_add_character(text, 0xfffd))
            return false;
        at += broken_bytes(next, count - at < 4 ? count - at : 4);
        from = at;
    }
    return hc_text_add(text, bytes + from, at - from);
}

uint32_t hc_character_at(const char *text, size_t *bytes)
{
    const uint8_t *c = (const uint8_t *)text;
    *bytes = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    uint32_t character = *bytes == 1 ? c[0] : c[0] & (0x7fu >> *bytes);
    for (size_t i = 1; i < *bytes; i++)
        character = character << 6 | (c[i] & 0x3fu);
    return character;
}

bool hc_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* ---- Pieces --------------------------------------------------------------------------------- */

bool hc_pieces_cut(struct hc_pieces *pieces)
{
    if (pieces->text.used == hc_piece_begin(pieces, pieces->count))
        return true;
    void *items = pieces->ends;
    bool fits = grow(&items, &pieces->room, pieces->count, 1, sizeof *pieces->ends);
    pieces->ends = items;
    if (fits)
        pieces->ends[pieces->count++] = pieces->text.used;
    return fits;
}

void hc_pieces_clear(struct hc_pieces *pieces)
{
    hc_text_clear(&pieces->text);
    pieces->count = 0;
}

void hc_pieces_free(struct hc_pieces *pieces)
{
    hc_text_free(&pieces->text);
    free(pieces->ends);
    *pieces = (struct hc_pieces){0};
}
