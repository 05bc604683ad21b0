/* What the command lines of the benches share. Parsers return false if the text is not what they want. */
#ifndef HC_BENCH_OPTIONS_H
#define HC_BENCH_OPTIONS_H

#include <hyperc/hyperc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/window.h"

static inline bool parse_number(const char *text, double least, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= least && *value <= most;
}

static inline bool parse_count(const char *text, int most, int *value)
{
    double number;
    if (!parse_number(text, 1, most, &number))
        return false;
    *value = (int)number;
    return true;
}

static inline bool parse_tier(const char *text, hc_tier *tier)
{
    static const struct {
        const char *name;
        hc_tier tier;
    } tiers[] = {{"c", HC_TIER_C}, {"avx2", HC_TIER_AVX2}, {"avx512", HC_TIER_AVX512}};
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        if (strcmp(tiers[i].name, text) == 0) {
            *tier = tiers[i].tier;
            return true;
        }
    }
    return false;
}

/* Bits per weight and length of the window: "4,12". */
struct shape {
    unsigned k, length;
};

static inline bool parse_shape(const char *text, struct shape *shape)
{
    char end;
    return sscanf(text, "%u,%u%c", &shape->k, &shape->length, &end) == 2 &&
           hc_window_code_find(shape->k, shape->length);
}

/* k = 1 to 6 and 8, with L = 12 and 16. shapes: room for 14; returns how many. */
static inline size_t usual_shapes(struct shape *shapes)
{
    size_t count = 0;
    for (unsigned length = 12; length <= 16; length += 4)
        for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
            if (hc_window_code_find(k, length))
                shapes[count++] = (struct shape){k, length};
    return count;
}

#endif
