#include "checksum.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static void write_text(XXH128_hash_t hash, char *text)
{
    snprintf(text, HC_CHECKSUM_DIGITS + 1, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

/* The public name of xxHash's own state. */
static XXH3_state_t *state_of(const struct hc_checksum_stream *stream)
{
    return (XXH3_state_t *)(uintptr_t)stream;
}

void hc_checksum(const void *data, size_t bytes, char text[HC_CHECKSUM_DIGITS + 1])
{
    write_text(XXH3_128bits(data, bytes), text);
}

bool hc_checksum_is(const void *data, size_t bytes, const char *text)
{
    char own[HC_CHECKSUM_DIGITS + 1];
    hc_checksum(data, bytes, own);
    return strcmp(own, text) == 0;
}

struct hc_checksum_stream *hc_checksum_create(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state)
        XXH3_128bits_reset(state);
    return (struct hc_checksum_stream *)(void *)state;
}

void hc_checksum_add(struct hc_checksum_stream *stream, const void *data, size_t bytes)
{
    XXH3_128bits_update(state_of(stream), data, bytes);
}

void hc_checksum_text(const struct hc_checksum_stream *stream, char text[HC_CHECKSUM_DIGITS + 1])
{
    write_text(XXH3_128bits_digest(state_of(stream)), text);
}

void hc_checksum_reset(struct hc_checksum_stream *stream)
{
    XXH3_128bits_reset(state_of(stream));
}

void hc_checksum_destroy(struct hc_checksum_stream *stream)
{
    XXH3_freeState(state_of(stream));
}

uint64_t hc_hash_name(const char *name, uint64_t seed)
{
    return XXH3_64bits_withSeed(name, strlen(name), seed);
}
