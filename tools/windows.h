/* The stretches of a text that a perplexity is measured over. */
#ifndef HYPERC_TOOLS_WINDOWS_H
#define HYPERC_TOOLS_WINDOWS_H

#include "running.h"

enum protocol { PROTOCOL_HF, PROTOCOL_LLAMA_CPP, PROTOCOL_LINES };

/* Tokens that are evaluated from an empty sequence, the last one excepted; what those from number `scored` on predict,
 * each the token behind it, counts. */
struct window {
    size_t begin; /* among `tokens` of struct windows */
    uint32_t count, scored;
};

struct windows {
    int32_t *tokens;
    size_t token_count, token_room;
    struct window *items;
    size_t count, room;
    char message[256];
};

/* PROTOCOL_HF: windows of `length` tokens, one behind the other, all predictions in each; what is left at the end does
 * not count.
 * PROTOCOL_LLAMA_CPP: the same windows, the predictions of positions length / 2 to length - 2; where the tokenizer
 * begins texts with a token, every window has it in place of its first one; `length` is at least 3.
 * PROTOCOL_LINES: every line that is not blank by itself, without the white space at its ends, its first `length`
 * predictions.
 * At most `most` windows (0: all). HC_ERR_ARGUMENT if the text has none. `message` tells why not, or is empty and
 * hc_message() tells; free them in any case. */
hc_status windows_make(struct windows *windows, const struct running *model, enum protocol protocol,
                       const struct text *text, uint32_t length, uint32_t most);
void windows_free(struct windows *windows);

#endif
