/* What lies in a model's directory. */
#ifndef HC_HOST_DIRECTORY_H
#define HC_HOST_DIRECTORY_H

#include "error.h"

/* A growing list of strings that it owns. All zero: an empty one. */
struct hc_names {
    size_t count, room;
    char **items;
};

/* Takes a copy of `name`. HC_ERR_MEMORY leaves the list as it was. */
hc_status hc_names_add(struct hc_names *names, const char *name, struct hc_error *error);
void hc_names_sort(struct hc_names *names);
bool hc_names_have(const struct hc_names *names, const char *name); /* sorted names only */
void hc_names_free(struct hc_names *names);

/* The files of a directory that are not hidden, each list sorted. */
struct hc_directory {
    struct hc_names safetensors, gguf; /* names, at the top */
    struct hc_names foreign;           /* weights in formats that are not read: *.bin, *.pt and so on; at the top */
    struct hc_names copies;            /* the other files, two folders deep */
    struct hc_names left_out;          /* those that are not copied: see below */
    bool indexed;                      /* model.safetensors.index.json is there */
};

/* The index of a model in several shards. */
#define HC_INDEX_NAME "model.safetensors.index.json"

/* Lists `path`. Not a copy, and left out, is a file above HC_COPY_MAX_BYTES, or a link to a file that is neither in the
 * directory nor in the store that a Hugging Face cache keeps beside it (`snapshots/REVISION/x` links to `blobs/...`): a
 * model from elsewhere must not be able to have other files of the user copied. Weights and their indices, hidden files
 * and links to folders are in no list. */
enum { HC_COPY_MAX_BYTES = 64 << 20 };
hc_status hc_directory_list(const char *path, struct hc_directory *directory, struct hc_error *error);
void hc_directory_free(struct hc_directory *directory);

#endif
