/* Text on its way out, as tokens bring it: in whole characters, and held back while it may be the beginning of a stop
 * string. What is no UTF-8 becomes U+FFFD, and so does a zero byte. */
#ifndef HYPERC_TOOLS_STREAM_H
#define HYPERC_TOOLS_STREAM_H

#include "command.h"

struct stream {
    bool print;               /* on stdout; on a terminal without what could steer it */
    const char *const *stops; /* none is empty */
    size_t stop_count;
    char *text; /* all of it so far, up to the stop string; zero-terminated, NULL if there is none */
    size_t count, room;
    size_t shown;   /* how much of it was let out */
    char part[5];   /* of a character that is not whole yet */
    size_t partial; /* bytes of it */
    bool stopped;   /* a stop string came */
};

/* False if memory is out or stdout cannot be written. */
bool stream_add(struct stream *stream, const char *bytes, size_t count);
/* Lets out what is held back: nothing more comes. */
bool stream_end(struct stream *stream);
/* Begins another text. */
void stream_clear(struct stream *stream);
void stream_free(struct stream *stream);
/* What to tell after one of them was false; returns the exit code. */
int stream_failure(const struct common_options *common);

#endif
