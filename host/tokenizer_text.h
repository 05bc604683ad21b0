/* What the stages of a tokenizer hand on: growing texts, cut into pieces. All of it is valid UTF-8. */
#ifndef HC_HOST_TOKENIZER_TEXT_H
#define HC_HOST_TOKENIZER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text that grows, with a zero behind it as soon as something was added. All zero: an empty one. */
struct hc_text {
    char *bytes;
    size_t used, room;
};

/* These return false if memory is out, or the text would become longer than 1 GiB. */
bool hc_text_add(struct hc_text *text, const char *bytes, size_t count);
bool hc_text_add_string(struct hc_text *text, const char *string);
bool hc_text_add_character(struct hc_text *text, uint32_t character);
/* Adds bytes of any kind: what is not UTF-8 becomes U+FFFD, as hc_tokenizer_encode says. */
bool hc_text_add_repaired(struct hc_text *text, const char *bytes, size_t count);
void hc_text_clear(struct hc_text *text); /* keeps the room */
void hc_text_free(struct hc_text *text);

/* The character at `text`, which is valid there, and how many bytes it has. */
uint32_t hc_character_at(const char *text, size_t *bytes);
/* Unicode's White_Space. */
bool hc_is_space(uint32_t character);

/* A text in pieces: number i ends at ends[i], where the next begins. None is empty. */
struct hc_pieces {
    struct hc_text text;
    size_t *ends;
    size_t count, room;
};

/* The text added since the last piece's end becomes a piece, if there is any. */
bool hc_pieces_cut(struct hc_pieces *pieces);
static inline size_t hc_piece_begin(const struct hc_pieces *pieces, size_t i)
{
    return i > 0 ? pieces->ends[i - 1] : 0;
}
void hc_pieces_clear(struct hc_pieces *pieces);
void hc_pieces_free(struct hc_pieces *pieces);

/* Numbers of tokens. */
struct hc_ids {
    int32_t *ids;
    size_t count, room;
};

bool hc_ids_add(struct hc_ids *ids, uint32_t id);

#endif
