#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static bool put(struct stream *stream, const char *bytes, size_t count)
{
    if (stream->count + count + 1 > stream->room) {
        size_t room = 2 * (stream->count + count + 1);
        char *text = realloc(stream->text, room);
        if (!text)
            return false;
        stream->text = text;
        stream->room = room;
    }
    memcpy(stream->text + stream->count, bytes, count);
    stream->count += count;
    stream->text[stream->count] = 0;
    return true;
}

/* ---- Whole characters ----------------------------------------------------------------------- */

/* Whether some bytes behind these make a character: what may stand there goes from 80 to bf, or is one end of that. */
static bool may_become_character(const char *part, size_t bytes)
{
    static const char fillers[] = {'\x80', '\xbf'};
    for (size_t i = 0; i < sizeof fillers; i++) {
        char whole[5] = {fillers[i], fillers[i], fillers[i], fillers[i], 0};
        memcpy(whole, part, bytes);
        if (character_bytes(whole) > bytes)
            return true;
    }
    return false;
}

static bool take_byte(struct stream *stream, char byte)
{
    stream->part[stream->partial++] = byte;
    stream->part[stream->partial] = 0;
    if (byte && character_bytes(stream->part)) {
        bool done = put(stream, stream->part, stream->partial);
        stream->partial = 0;
        return done;
    }
    if (may_become_character(stream->part, stream->partial))
        return true;
    /* One mark for what was a beginning; the byte that broke it off may begin anew. */
    bool alone = stream->partial == 1;
    stream->partial = 0;
    return put(stream, replacement, sizeof replacement - 1) && (alone || take_byte(stream, byte));
}

/* ---- Stop strings --------------------------------------------------------------------------- */

/* Ends the text before the first stop string in it. */
static void find_stop(struct stream *stream)
{
    char *first = NULL;
    for (size_t i = 0; i < stream->stop_count; i++) {
        char *at = strstr(stream->text + stream->shown, stream->stops[i]);
        if (at && (!first || at < first))
            first = at;
    }
    if (first) {
        *first = 0;
        stream->count = (size_t)(first - stream->text);
        stream->stopped = true;
    }
}

/* How many bytes at the end of the text are the beginning of a stop string. */
static size_t held_back(const struct stream *stream)
{
    size_t most = 0;
    for (size_t i = 0; i < stream->stop_count; i++) {
        size_t bytes = strlen(stream->stops[i]) - 1, fresh = stream->count - stream->shown;
        for (bytes = bytes < fresh ? bytes : fresh; bytes > most; bytes--)
            if (memcmp(stream->text + stream->count - bytes, stream->stops[i], bytes) == 0)
                most = bytes;
    }
    return most;
}

/* ---- Out ------------------------------------------------------------------------------------ */

static void print_for_terminal(const char *text, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t bytes = character_bytes(text + i);
        unsigned char c = (unsigned char)text[i], second = (unsigned char)text[i + 1];
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || (c == 0xc2 && second < 0xa0);
        fwrite(control ? "?" : text + i, 1, control ? 1 : bytes, stdout);
        i += bytes;
    }
}

static bool show(struct stream *stream, size_t up_to)
{
    const char *fresh = stream->text + stream->shown;
    size_t count = up_to - stream->shown;
    stream->shown = up_to;
    if (!stream->print || count == 0)
        return true;
    if (isatty(STDOUT_FILENO))
        print_for_terminal(fresh, count);
    else
        fwrite(fresh, 1, count, stdout);
    return fflush(stdout) == 0 && !ferror(stdout);
}

bool stream_add(struct stream *stream, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!take_byte(stream, bytes[i]))
            return false;
    if (!stream->text)
        return true;
    find_stop(stream);
    return show(stream, stream->stopped ? stream->count : stream->count - held_back(stream));
}

bool stream_end(struct stream *stream)
{
    if (stream->partial && !stream->stopped && !put(stream, replacement, sizeof replacement - 1))
        return false;
    stream->partial = 0;
    return !stream->text || show(stream, stream->count);
}

void stream_clear(struct stream *stream)
{
    if (stream->text)
        stream->text[0] = 0;
    stream->count = stream->shown = stream->partial = 0;
    stream->stopped = false;
}

void stream_free(struct stream *stream)
{
    free(stream->text);
    stream->text = NULL;
}

int stream_failure(const struct common_options *common)
{
    return ferror(stdout) ? finish_output(EXIT_FAILED) : report_failure(common, HC_ERR_MEMORY, "out of memory");
}
