/* XXH3-128, as 32 lowercase hexadecimal digits (the canonical, big-endian form). */
#ifndef HC_HOST_CHECKSUM_H
#define HC_HOST_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HC_CHECKSUM_DIGITS = 32 };

void hc_checksum(const void *data, size_t bytes, char text[HC_CHECKSUM_DIGITS + 1]);
/* Whether the bytes have that checksum. */
bool hc_checksum_is(const void *data, size_t bytes, const char *text);

/* The same over bytes that come in parts. create returns NULL if memory is out. */
struct hc_checksum_stream;
struct hc_checksum_stream *hc_checksum_create(void);
void hc_checksum_add(struct hc_checksum_stream *stream, const void *data, size_t bytes);
void hc_checksum_text(const struct hc_checksum_stream *stream, char text[HC_CHECKSUM_DIGITS + 1]);
void hc_checksum_reset(struct hc_checksum_stream *stream);
void hc_checksum_destroy(struct hc_checksum_stream *stream);

/* XXH3-64 of a name, to draw numbers from. */
uint64_t hc_hash_name(const char *name, uint64_t seed);

#endif
