/* What tests of the readers share: a folder for a while, and small model files made byte by byte. */
#ifndef HC_TESTS_SCRATCH_H
#define HC_TESTS_SCRATCH_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

struct scratch {
    char root[256];
    char path[512];
};

static inline void scratch_make(struct scratch *scratch)
{
    const char *folder = getenv("TMPDIR");
    snprintf(scratch->root, sizeof scratch->root, "%.200s/hyperc-test-XXXXXX", folder ? folder : "/tmp");
    cr_assert_not_null(mkdtemp(scratch->root), "no folder for files of the test");
}

static inline void scratch_remove(struct scratch *scratch)
{
    struct hc_error error = {""};
    cr_assert_eq(hc_remove_tree(scratch->root, &error), HC_OK, "%s", error.text);
}

/* The path of a file in it; valid until the next call. */
static inline const char *scratch_at(struct scratch *scratch, const char *name)
{
    snprintf(scratch->path, sizeof scratch->path, "%s/%s", scratch->root, name);
    return scratch->path;
}

static inline void scratch_write(struct scratch *scratch, const char *name, const void *data, size_t size)
{
    /* A new file, not an emptied one: some file systems flush those to disk when they are closed. */
    unlink(scratch_at(scratch, name));
    FILE *file = fopen(scratch->path, "wb");
    cr_assert_not_null(file, "cannot write %s", scratch->path);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static inline void scratch_text(struct scratch *scratch, const char *name, const char *text)
{
    scratch_write(scratch, name, text, strlen(text));
}

static inline void scratch_folder(struct scratch *scratch, const char *name)
{
    cr_assert_eq(mkdir(scratch_at(scratch, name), 0755), 0);
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

struct bytes {
    size_t size;
    uint8_t data[1 << 16];
};

static inline void put(struct bytes *bytes, const void *data, size_t size)
{
    cr_assert(size <= sizeof bytes->data - bytes->size);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static inline void put_uint(struct bytes *bytes, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(bytes, &byte, 1);
    }
}

static inline void patch_uint(struct bytes *bytes, size_t at, uint64_t value, unsigned width)
{
    cr_assert(at + width <= bytes->size);
    for (unsigned i = 0; i < width; i++)
        bytes->data[at + i] = (uint8_t)(value >> (8 * i));
}

static inline void put_float(struct bytes *bytes, float value)
{
    put(bytes, &value, sizeof value);
}

/* A header and `size` bytes of data: 0, 1, 2 and so on. */
static inline void put_safetensors(struct bytes *bytes, const char *header, size_t size)
{
    bytes->size = 0;
    put_uint(bytes, strlen(header), 8);
    put(bytes, header, strlen(header));
    for (size_t i = 0; i < size; i++)
        put_uint(bytes, i, 1);
}

static inline void scratch_safetensors(struct scratch *scratch, const char *name, const char *header, size_t size)
{
    struct bytes *bytes = malloc(sizeof *bytes);
    cr_assert_not_null(bytes);
    put_safetensors(bytes, header, size);
    scratch_write(scratch, name, bytes->data, bytes->size);
    free(bytes);
}

/* GGUF's string: length and text. */
static inline void put_string(struct bytes *bytes, const char *text)
{
    put_uint(bytes, strlen(text), 8);
    put(bytes, text, strlen(text));
}

static inline void put_gguf(struct bytes *bytes, uint32_t version, uint64_t tensors, uint64_t entries)
{
    bytes->size = 0;
    put(bytes, "GGUF", 4);
    put_uint(bytes, version, 4);
    put_uint(bytes, tensors, 8);
    put_uint(bytes, entries, 8);
}

static inline void put_key(struct bytes *bytes, const char *key, unsigned type)
{
    put_string(bytes, key);
    put_uint(bytes, type, 4);
}

/* Up to two dimensions, the fastest first; 0: no more. */
static inline void put_tensor(struct bytes *bytes, const char *name, uint64_t a, uint64_t b, unsigned type,
                              uint64_t offset)
{
    put_string(bytes, name);
    put_uint(bytes, b ? 2 : 1, 4);
    put_uint(bytes, a, 8);
    if (b)
        put_uint(bytes, b, 8);
    put_uint(bytes, type, 4);
    put_uint(bytes, offset, 8);
}

static inline void put_padding(struct bytes *bytes, size_t alignment)
{
    while (bytes->size % alignment)
        put_uint(bytes, 0, 1);
}

#endif
