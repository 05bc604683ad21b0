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

/* Names in the directory of a model, as transformers has them. */
#define HC_WEIGHTS_NAME "model.safetensors"
#define HC_INDEX_NAME "model.safetensors.index.json" /* of several shards, or one of another name */
#define HC_CONFIG_NAME "config.json"

/* What is in a directory and not hidden, each list sorted. Everything is in one of them, but for the index. */
struct hc_directory {
    struct hc_names safetensors, gguf; /* names, at the top */
    struct hc_names foreign;           /* formats of weights that are not read: *.bin, *.pt and so on; at the top */
    struct hc_names copies;            /* the other files, two folders deep, weights there included */
    struct hc_names left_out;          /* what is not copied, as lines for people, "NAME: not copied: WHY" */
    bool indexed;                      /* HC_INDEX_NAME is there */
};

/* Lists `path`. Left out are: files in formats that are not read, and their indices; files above HC_COPY_MAX_BYTES;
 * folders below the second level, links to folders, and what is neither file nor folder; links to a file that is
 * neither in the directory nor in the store that a Hugging Face cache keeps beside it (`snapshots/REVISION/x` links to
 * `blobs/...`): a model from elsewhere must not be able to have other files of the user copied. */
enum { HC_COPY_MAX_BYTES = 64 << 20 };
hc_status hc_directory_list(const char *path, struct hc_directory *directory, struct hc_error *error);
/* Adds to the left out, behind their end. */
#define HC_FOREIGN "of a format that is not read"
#define HC_UNUSED "not a part of the model"
hc_status hc_directory_leave_out(struct hc_directory *directory, const char *name, const char *why,
                                 struct hc_error *error);
void hc_directory_free(struct hc_directory *directory);

/* What --force may replace: nothing at all, an empty folder, or one that holds a model (a manifest of ours, or
 * safetensors files). HC_ERR_EXISTS names anything else: it could be somebody's work. */
hc_status hc_check_replaceable(const char *path, struct hc_error *error);

#endif
