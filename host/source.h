/* A *source*: an opened model on disk, whatever its format, as a list of named tensors.
 *
 * safetensors.c and gguf.c fill it, everything else reads it. Files are mapped read-only and stay mapped until
 * hc_source_close. Everything in it was checked: data lies inside its file, counts and bytes agree.
 */
#ifndef HC_HOST_SOURCE_H
#define HC_HOST_SOURCE_H

#include <hyperc/hyperc.h>

#include "error.h"
#include "kernels.h"

#include <time.h>

struct hc_file {
    char *path;          /* as it was opened */
    char *name;          /* last component */
    const uint8_t *data; /* the mapping; NULL if size is 0 */
    uint64_t size;
    /* When it was opened. */
    uint64_t inode;
    struct timespec modified, changed;
    uint64_t data_offset; /* safetensors: where the tensors begin, 8 + header length */
    /* safetensors: __metadata__, in the order of the file; strings owned by the file */
    size_t metadata_count;
    char **metadata_keys, **metadata_values;
};

struct hc_checksum_stream; /* checksum.h */
struct hc_comm;            /* comm.h */

/* Adds the header and places all over the data: cheap, and it tells one model from another of the same shapes, but not
 * from a copy that differs between these places. */
void hc_file_sample(const struct hc_file *file, struct hc_checksum_stream *stream);

struct hc_moments_vector; /* moments.h */

struct hc_tensor {
    char *name; /* from GGUF: Hugging Face's name for it */
    hc_type type;
    int rank;                    /* 0: a scalar of one weight */
    uint64_t shape[HC_MAX_RANK]; /* row-major, slowest first (GGUF's order is reversed when read) */
    uint64_t weights;            /* product; 0 if a dimension is 0 */
    uint64_t bytes;
    const uint8_t *data; /* in the mapping; any alignment */
    size_t file;         /* index into files */
    /* GGUF stores the rows of q and k of LLaMA-type models in another order. If not 0: row r of the tensor
     * is stored as row hc_tensor_stored_row(t, r); `heads` heads of shape[0] / heads rows. */
    uint64_t permuted_heads;
    /* Second moments of its inputs, if they are known, else NULL; a run that has them sets it. Not owned. */
    const struct hc_moments_vector *moments;
};

enum hc_source_kind { HC_SOURCE_FILE, HC_SOURCE_DIRECTORY, HC_SOURCE_GGUF };

struct hc_source {
    enum hc_source_kind kind;
    char *path;        /* as given, without trailing slashes */
    size_t file_count; /* weight files, in the order of their names */
    struct hc_file *files;
    size_t tensor_count; /* in the order of files, then of offsets within */
    struct hc_tensor *tensors;
    size_t *by_name; /* indices of tensors in the order of their names */
    /* If `path` is a directory: its other files, to be copied, relative to `path`, with '/' where they lie in a
     * folder; and a line for people on everything that is left out. See directory.h. Sorted. */
    size_t copy_count, left_out_count;
    char **copies, **left_out;
    void *gguf; /* GGUF: struct hc_gguf of gguf.h, its metadata; else NULL */
};

/* Opens `path`: a directory with model.safetensors, or with model.safetensors.index.json and its shards, or with any
 * *.safetensors, or with one *.gguf (kind is then GGUF, path the directory); a single .safetensors file; a single .gguf
 * file. Which of the two a file is is decided by what it begins with, not by its name. Every tensor that the index
 * lists must be in its shard; tensors of the shards that it does not list are read too. HC_ERR_CORRUPT names file,
 * tensor and fault in one line; HC_ERR_IO a file that cannot be read, such as a missing shard; HC_ERR_UNSUPPORTED a
 * type that we do not read. On failure nothing is left open. */
hc_status hc_source_open(const char *path, struct hc_source **source, struct hc_error *error);
void hc_source_close(struct hc_source *source);

/* True if transformers needs an index to find the weights of a directory with the files of this source. */
bool hc_source_needs_index(const struct hc_source *source);

/* Index of the tensor called `name`, or -1. Takes logarithmic time. */
int64_t hc_source_find(const struct hc_source *source, const char *name);

/* Whether all ranks have the same weight files, byte for byte; all of them call it. Where they share a file system,
 * that is known at once; else everyone reads all of its own once, in little memory, and attends to the others
 * meanwhile. HC_ERR_DIFFERENT names a rank and the first file that is not as rank 0 has it; HC_ERR_CANCELLED:
 * comm->go_on says so; else what the comm says. */
hc_status hc_source_agree(const struct hc_source *source, struct hc_comm *comm, struct hc_error *error);

/* Refuses an output that is a part of the source, holds one, or lies inside of its folder: also where links lead. */
hc_status hc_source_check_apart(const struct hc_source *source, const char *output, struct hc_error *error);

enum { HC_TYPE_MOST_WEIGHTS = 256 };

/* Weights in a block of `type` (1 for plain types, else a divisor of HC_TYPE_MOST_WEIGHTS), bytes of one block. */
uint32_t hc_type_block_weights(hc_type type);
uint32_t hc_type_block_bytes(hc_type type);
/* False if no type has that name. */
bool hc_type_from_name(const char *name, hc_type *type);
bool hc_type_is_float(hc_type type); /* F64 .. F8, and all block types */
bool hc_type_is_block(hc_type type);
/* Bytes of `weights` elements; false on overflow or if they do not fill whole blocks. */
bool hc_type_bytes(hc_type type, uint64_t weights, uint64_t *bytes);

/* Converts `count` weights beginning with number `first` to float32. Float types only. first and first + count
 * must be multiples of HC_TYPE_MOST_WEIGHTS, ends of rows, or within a row ends of blocks of the type. Undoes the row
 * order of GGUF. */
void hc_tensor_read(const struct hc_tensor *tensor, const struct hc_kernels *kernels, uint64_t first, uint64_t count,
                    float *out);
uint64_t hc_tensor_stored_row(const struct hc_tensor *tensor, uint64_t row);

/* Asks the kernel to begin reading so many weights from number `first` on, but 64 MiB at most, so that they are there
 * when they are wanted. */
void hc_tensor_prefetch(const struct hc_tensor *tensor, uint64_t first, uint64_t count);
/* Tells the kernel that the mapped pages of these weights are not needed any more. */
void hc_tensor_drop(const struct hc_tensor *tensor);

#endif
