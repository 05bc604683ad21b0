/* The options of `hyperc compress`, as they are read. */
#ifndef HYPERC_TOOLS_COMPRESS_OPTIONS_H
#define HYPERC_TOOLS_COMPRESS_OPTIONS_H

#include "device_lists.h"

enum { MAX_PATTERNS = 256, MAX_POINTS = 64, MAX_PATTERN_TEXT = 1 << 14 };

/* What was asked for. `options` points into the rest. */
struct compress_request {
    hc_compress_options options;
    const char *output; /* NULL: not given */
    struct device_speeds speeds;
    const char *only[MAX_PATTERNS], *keep[MAX_PATTERNS];
    uint32_t points[MAX_POINTS];
    hc_bits_for bits_for[MAX_PATTERNS];
    char pattern_text[MAX_PATTERN_TEXT]; /* the patterns of bits_for */
    size_t pattern_text_used;
    int effort_length, window_length;        /* as --effort and --window say; 0: not given */
    const char *window_option, *pair_option; /* the first option given of either method */
};

extern const struct option_spec compress_specs[];

/* The defaults; the request must not move from here on. */
void compress_request_init(struct compress_request *request);
/* Takes one option; false, with a message on stderr, if the value is no good. */
bool compress_request_set(struct compress_request *request, const char *name, const char *value);
/* Once all are known: false, with a message in `text`, if they do not go together. */
bool compress_request_check(struct compress_request *request, char *text, size_t size);

#endif
