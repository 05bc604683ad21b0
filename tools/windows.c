#include "windows.h"

#include <stdlib.h>
#include <string.h>

static hc_status add_window(struct windows *windows, struct window window)
{
    if (windows->count == windows->room) {
        size_t room = windows->room ? 2 * windows->room : 64;
        struct window *items = realloc(windows->items, room * sizeof *items);
        if (!items)
            return HC_ERR_MEMORY;
        windows->items = items;
        windows->room = room;
    }
    windows->items[windows->count++] = window;
    return HC_OK;
}

static hc_status add_tokens(struct windows *windows, const int32_t *tokens, size_t count)
{
    if (windows->token_count + count > windows->token_room) {
        size_t room = 2 * (windows->token_count + count);
        int32_t *larger = realloc(windows->tokens, room * sizeof *larger);
        if (!larger)
            return HC_ERR_MEMORY;
        windows->tokens = larger;
        windows->token_room = room;
    }
    memcpy(windows->tokens + windows->token_count, tokens, count * sizeof *tokens);
    windows->token_count += count;
    return HC_OK;
}

static hc_status tokenize(const struct running *model, const char *text, size_t bytes, bool begin, hc_tokens *tokens)
{
    *tokens = (hc_tokens){0};
    return hc_tokenize(model->context, model->network, text, bytes, &(hc_text_options){.begin = begin}, tokens);
}

/* The token that the tokenizer puts before a text, told by a short one; -1: none. */
static hc_status beginning(const struct running *model, int32_t *token)
{
    static const char text[] = "a";
    hc_tokens with, without = {0};
    hc_status status = tokenize(model, text, 1, true, &with);
    if (status == HC_OK)
        status = tokenize(model, text, 1, false, &without);
    *token = -1;
    if (status == HC_OK && with.count > without.count && (!without.count || with.ids[0] != without.ids[0]))
        *token = with.ids[0];
    hc_tokens_free(&with);
    hc_tokens_free(&without);
    return status;
}

/* Both protocols that cut the whole text into windows. */
static hc_status cut_text(struct windows *windows, const struct running *model, enum protocol protocol,
                          const struct text *text, uint32_t length, uint32_t most)
{
    bool halves = protocol == PROTOCOL_LLAMA_CPP;
    int32_t first = -1;
    hc_tokens tokens = {0};
    if (halves && length < 3) {
        snprintf(windows->message, sizeof windows->message, "windows of %u tokens have no second half to predict",
                 length);
        return HC_ERR_ARGUMENT;
    }
    hc_status status = halves ? beginning(model, &first) : HC_OK;
    if (status == HC_OK)
        status = tokenize(model, text->bytes, text->count, true, &tokens);
    if (status == HC_OK)
        status = add_tokens(windows, tokens.ids, tokens.count);
    size_t whole = tokens.count / length;
    for (size_t i = 0; status == HC_OK && i < whole && (most == 0 || i < most); i++) {
        status = add_window(windows, (struct window){i * length, length, halves ? length / 2 : 0});
        if (first >= 0)
            windows->tokens[i * length] = first;
    }
    if (status == HC_OK && windows->count == 0) {
        snprintf(windows->message, sizeof windows->message, "the text has %zu tokens, less than one window of %u",
                 tokens.count, length);
        status = HC_ERR_ARGUMENT;
    }
    hc_tokens_free(&tokens);
    return status;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static hc_status add_line(struct windows *windows, const struct running *model, const char *line, size_t bytes,
                          uint32_t length)
{
    hc_tokens tokens;
    size_t begin = windows->token_count;
    for (; bytes && is_space(line[bytes - 1]); bytes--)
        ;
    for (; bytes && is_space(*line); bytes--)
        line++;
    if (bytes == 0)
        return HC_OK;
    hc_status status = tokenize(model, line, bytes, true, &tokens);
    size_t count = tokens.count > length ? (size_t)length + 1 : tokens.count;
    if (status == HC_OK && count > 1)
        status = add_tokens(windows, tokens.ids, count);
    if (status == HC_OK && count > 1)
        status = add_window(windows, (struct window){begin, (uint32_t)count, 0});
    hc_tokens_free(&tokens);
    return status;
}

static hc_status cut_lines(struct windows *windows, const struct running *model, const struct text *text,
                           uint32_t length, uint32_t most)
{
    const char *line = text->bytes, *end = text->bytes + text->count;
    hc_status status = HC_OK;
    while (status == HC_OK && line < end && (most == 0 || windows->count < most)) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t bytes = (size_t)((newline ? newline : end) - line);
        status = add_line(windows, model, line, bytes, length);
        line += bytes + 1;
    }
    if (status == HC_OK && windows->count == 0) {
        snprintf(windows->message, sizeof windows->message, "no line of the text has a token to predict");
        status = HC_ERR_ARGUMENT;
    }
    return status;
}

hc_status windows_make(struct windows *windows, const struct running *model, enum protocol protocol,
                       const struct text *text, uint32_t length, uint32_t most)
{
    *windows = (struct windows){0};
    return protocol == PROTOCOL_LINES ? cut_lines(windows, model, text, length, most)
                                      : cut_text(windows, model, protocol, text, length, most);
}

void windows_free(struct windows *windows)
{
    free(windows->tokens);
    free(windows->items);
    *windows = (struct windows){0};
}
