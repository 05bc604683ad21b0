/* File operations that say what failed: thin layers over POSIX. */
#ifndef HC_HOST_FILES_H
#define HC_HOST_FILES_H

#include "error.h"

/* "a/b"; NULL if memory is out. The caller frees it. */
char *hc_path_join(const char *a, const char *b);
/* a followed by b, no slash between. */
char *hc_path_append(const char *a, const char *b);
/* The path without trailing slashes (but "/" stays). The caller frees it; NULL if memory is out. */
char *hc_path_trim(const char *path);
/* The folder that holds `path`: "." if there is no slash. The caller frees it. */
char *hc_path_parent(const char *path);

bool hc_path_exists(const char *path);
bool hc_path_is_directory(const char *path);
bool hc_path_is_empty_directory(const char *path);
/* The number that a file or folder keeps when it is renamed; 0 if there is none. */
uint64_t hc_path_inode(const char *path);
/* True if both exist and are the same file or folder, or `inner` lies somewhere below `outer`. */
bool hc_path_contains(const char *outer, const char *inner);
/* HC_ERR_ARGUMENT if the output, which need not exist yet, is the input, or one lies in the other: replacing an output
 * that holds the input would lose it, and an output in the input would be taken for a part of it. */
hc_status hc_check_apart(const char *input, const char *output, struct hc_error *error);

/* One that is there is fine; a new one is synced in its parent. */
hc_status hc_make_directory(const char *path, struct hc_error *error);
hc_status hc_make_parents(const char *path, struct hc_error *error); /* every folder above `path` */
hc_status hc_remove_tree(const char *path, struct hc_error *error);  /* one that is not there is fine */
hc_status hc_sync_directory(const char *path, struct hc_error *error);

/* Puts `from` in the place of `to`, atomically. With `replace`, what lies at `to` takes the place of `from` (whatever
 * the kinds); without, `to` must not exist, or be an empty folder. Both folders' parents are synced.
 * HC_ERR_UNSUPPORTED, with nothing changed, if the file system cannot exchange two folders. */
hc_status hc_move_into_place(const char *from, const char *to, bool replace, struct hc_error *error);

/* A file that is being written. */
struct hc_out {
    int fd;     /* -1: none */
    char *path; /* for messages */
};

/* Opens for reading and writing, keeping what is there; `truncate` empties it. */
hc_status hc_out_open(struct hc_out *out, const char *path, bool truncate, struct hc_error *error);
hc_status hc_out_write_at(struct hc_out *out, uint64_t offset, const void *data, size_t bytes, struct hc_error *error);
/* Lets the disk begin with these bytes, so that a later sync has less to wait for. */
void hc_out_start_sync(struct hc_out *out, uint64_t offset, uint64_t bytes);
hc_status hc_out_resize(struct hc_out *out, uint64_t size, struct hc_error *error);
/* Bytes in the file by now; 0 if that cannot be told. */
uint64_t hc_out_size(const struct hc_out *out);
/* Reads a stretch of what is there; HC_ERR_CORRUPT if it is not whole. */
hc_status hc_out_read_at(const struct hc_out *out, uint64_t offset, void *data, size_t bytes, struct hc_error *error);
hc_status hc_out_sync(struct hc_out *out, struct hc_error *error);
/* Syncs and closes. */
hc_status hc_out_finish(struct hc_out *out, struct hc_error *error);
/* Closes, whatever the state; also after finish. */
void hc_out_close(struct hc_out *out);

/* Writes a whole small file, synced. */
hc_status hc_write_file(const char *path, const void *data, size_t bytes, struct hc_error *error);
/* Reads a whole file of at most `limit` bytes into memory, with a zero behind it. The caller frees *data. */
hc_status hc_read_file(const char *path, size_t limit, char **data, size_t *bytes, struct hc_error *error);
/* Copies a regular file, it and its place in the folder synced, and gives its checksum and size (either may be NULL).
 */
hc_status hc_copy_file(const char *from, const char *to, char *checksum, uint64_t *bytes, struct hc_error *error);
/* Checksum (HC_CHECKSUM_DIGITS + 1 characters) and size of a file. */
hc_status hc_checksum_file(const char *path, char *checksum, uint64_t *bytes, struct hc_error *error);

#endif
