/* hyperc: compression of neural network weights by hyperfunctions.
 *
 * The whole of the library's public interface. It compiles alone as C11 and as C++17 and needs no
 * CUDA headers. Conventions:
 *
 *  - Every function that can fail returns an hc_status; HC_OK is 0. The text that explains a
 *    failure is read with hc_message() from the context, until the next call on that context; after
 *    a success it means nothing.
 *  - A context belongs to one thread at a time. Two contexts share nothing.
 *  - Strings are UTF-8, zero-terminated. Strings and arrays handed out belong to the object they
 *    came from and live as long as it does; those handed to a callback live until it returns.
 *  - Options are structs: fill them with their _init function first, then change what you want.
 *  - Pointers must not be NULL where nothing else is said.
 *  - Models are mapped, not read: a file that shrinks, or cannot be read, while it is in use ends in
 *    the signal SIGBUS, as with every mapped file.
 *  - The library never prints, never exits, installs no signal handlers, has no global state.
 */
#ifndef HYPERC_HYPERC_H
#define HYPERC_HYPERC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HC_VERSION_MAJOR 0
#define HC_VERSION_MINOR 1
#define HC_VERSION_PATCH 0

/* "major.minor.patch" of the library that is linked. */
const char *hc_version(void);

/* ---- Status ------------------------------------------------------------------------------- */

typedef enum hc_status {
    HC_OK = 0,
    HC_ERR_ARGUMENT,    /* an option or argument is out of its range */
    HC_ERR_MEMORY,      /* the host ran out of memory */
    HC_ERR_IO,          /* the operating system refused a file operation; also a full disk */
    HC_ERR_CORRUPT,     /* a file is malformed, truncated, or fails its checksum */
    HC_ERR_DIFFERENT,   /* verify: the contents differ from what they are held against */
    HC_ERR_UNSUPPORTED, /* well-formed, but of a kind that hyperc does not handle */
    HC_ERR_EXISTS,      /* the output exists, or an interrupted run lies there */
    HC_ERR_CANCELLED,   /* the progress callback asked to stop */
    HC_ERR_DEVICE,      /* the accelerator failed, or is not there */
    HC_ERR_RANKS        /* another rank failed, is gone, or does not answer */
} hc_status;

/* A short English name of a status, such as "corrupt". */
const char *hc_status_name(hc_status status);

/* ---- Element types ------------------------------------------------------------------------ */

/* Types of stored elements. The block types are GGUF's; a block holds 32 or 256 weights. */
typedef enum hc_type {
    HC_TYPE_F64,
    HC_TYPE_F32,
    HC_TYPE_F16,
    HC_TYPE_BF16,
    HC_TYPE_F8_E4M3,
    HC_TYPE_F8_E5M2,
    HC_TYPE_I64,
    HC_TYPE_U64,
    HC_TYPE_I32,
    HC_TYPE_U32,
    HC_TYPE_I16,
    HC_TYPE_U16,
    HC_TYPE_I8,
    HC_TYPE_U8,
    HC_TYPE_BOOL,
    HC_TYPE_Q4_0,
    HC_TYPE_Q4_1,
    HC_TYPE_Q5_0,
    HC_TYPE_Q5_1,
    HC_TYPE_Q8_0,
    HC_TYPE_Q2_K,
    HC_TYPE_Q3_K,
    HC_TYPE_Q4_K,
    HC_TYPE_Q5_K,
    HC_TYPE_Q6_K,
    HC_TYPE_Q8_K,
    HC_TYPE_COUNT
} hc_type;

/* "F32", "BF16", "Q4_K": safetensors' and GGUF's own names. */
const char *hc_type_name(hc_type type);

/* ---- Context ------------------------------------------------------------------------------ */

typedef struct hc_context hc_context;

/* Instruction sets of the CPU. HC_TIER_BEST takes the best that the machine has. */
typedef enum hc_tier {
    HC_TIER_BEST = -1,
    HC_TIER_C = 0,  /* plain C: the truth that the others are held against */
    HC_TIER_AVX2,   /* with FMA, F16C and BMI2 */
    HC_TIER_AVX512, /* F, BW, DQ, VL, VBMI */
    HC_TIER_COUNT
} hc_tier;

/* What a long operation reports. Counts are of the whole operation; where it goes over a text (hyperc/run.h), weights
 * are tokens, and there are no tensors. */
typedef struct hc_progress {
    const char *tensor; /* the tensor at hand; NULL outside of tensors */
    uint64_t tensors_done, tensors_total;
    uint64_t weights_done, weights_total;
    double seconds;           /* since the operation began */
    uint64_t weights_resumed; /* of weights_done: taken over from an earlier run */
} hc_progress;

/* Return true to go on, false to stop with HC_ERR_CANCELLED. Called several times a second, from
 * the calling thread; also while hc_context_create waits for other ranks. */
typedef bool (*hc_progress_fn)(const hc_progress *progress, void *user);

/* How several devices share a network: each has some rows or columns of every matrix; or each has a run of layers, by
 * what memory is free when the network is opened: all alike where one of them does not tell, as the CPU. */
typedef enum hc_split { HC_SPLIT_TENSORS, HC_SPLIT_LAYERS } hc_split;

enum { HC_LAYERS_THAT_FIT = -1 };

typedef struct hc_context_options {
    int threads;  /* 0: one per core that this process may use */
    hc_tier tier; /* instruction set to use at most */
    /* NULL or "cpu"; "cuda" or "cuda:N"; or several, separated by commas, which work together. A "cuda" without a
     * number is, rank by rank, the next one of this machine that is neither taken so nor named by a rank: the first in
     * a program that runs alone. */
    const char *device;
    /* How fast each of these devices is, in cores of a CPU (hyperc/plan.h), 1e-9 to 1e9: hc_compress shares out its
     * work by it, within a process and between those of mpirun, each of which may say something else. Copied. 0, and
     * all of them if speed_count is 0: a CPU's is its threads, a GPU's what follows from its multiprocessors and their
     * clock. */
    const double *speeds;
    size_t speed_count; /* 0, or as many as there are devices */
    hc_split split;     /* of networks, over devices and ranks */
    /* If not 0: of a network, so many layers are on the devices before the last one, and the rest on that, which must
     * be the CPU; or as many as there is memory for, if a sequence keeps 4096 positions in F16 (longer ones may not
     * fit). Devices that get none are not used. */
    int device_layers;
    bool ranks;     /* be a rank of the processes that mpirun started, if it did: one context of a process, which makes
                     * the same calls as the others' */
    double timeout; /* seconds after which a rank that does not answer is lost; also to join, but then at least 20; 0:
                     * 300 */
    hc_progress_fn progress; /* may be NULL */
    void *user;              /* handed to progress */
} hc_context_options;

/* One thread per core, the best tier, the CPU, tensors split, no ranks, no callback. */
void hc_context_options_init(hc_context_options *options);

/* Options NULL: all defaults. On failure *context is NULL unless there was memory for a context
 * that can carry the message; in both cases hc_context_destroy(*context) is right. */
hc_status hc_context_create(hc_context **context, const hc_context_options *options);
void hc_context_destroy(hc_context *context);

/* Which of how many ranks this process is: 0 of 1 without mpirun. All ranks work; rank 0 reads what others need not,
 * writes what there is to write, and is the one to print. */
int hc_context_rank(const hc_context *context);
int hc_context_ranks(const hc_context *context);

/* For a rank that ends before the others do, such as one that was told to stop, or cannot write: calls of the others
 * that need it, under way or to come, fail with HC_ERR_RANKS and a message with `why`. After this only what destroys is
 * to be called. Nothing where there is one rank. */
void hc_context_leave(hc_context *context, const char *why);

/* What a device did since hc_compress began on this context, or, before it did, since there is the context. */
typedef struct hc_device_report {
    char name[32];    /* "cpu", "cuda:1" */
    int rank;         /* whose device it is */
    uint64_t weights; /* that it coded; those of all devices are what the run coded itself */
    double busy;      /* seconds at work on weights, in passes of all kinds: measuring, coding, comparing */
    double seconds;   /* in all. When it was not busy it waited: for other devices, for files, for the moments of the
                       * inputs */
} hc_device_report;

/* The devices of this context, in the order they were given in; with several ranks, and device_reports of
 * hc_compress_options, those of all ranks, rank by rank, as of the last stretch of a tensor that is done. May be called
 * from the progress callback too. Index out of range: HC_ERR_ARGUMENT, and no message. */
size_t hc_context_devices(const hc_context *context);
hc_status hc_context_device_report(const hc_context *context, size_t index, hc_device_report *report);

/* Why the last call on this context failed: one line, no newline. Never NULL. */
const char *hc_message(const hc_context *context);

/* ---- Tensors ------------------------------------------------------------------------------ */

#define HC_MAX_RANK 8

/* One tensor as its users know it: X.weight, not the parts it is stored in. */
typedef struct hc_tensor_info {
    const char *name;
    hc_type type; /* of the original */
    int rank;
    uint64_t shape[HC_MAX_RANK];
    uint64_t weights;         /* product of the shape */
    uint64_t stored_bytes;    /* all its parts, padding included */
    const char *method;       /* "window", "pair"; NULL if the tensor is stored as it is */
    const char *parameters;   /* of the method, short, for people; "" if none */
    const char *kept_because; /* why a tensor of a compressed model was kept; "" if not known */
    double mean_abs_error;    /* 0 if stored as it is */
    double max_abs_error;
    double signal_to_noise;                /* decibel; INFINITY if stored as it is or without error */
    double squared_error, squared_weights; /* sums behind it */
    double published_mean_abs_error;       /* with a chosen side: the error at the published one; else < 0 */
} hc_tensor_info;

/* ---- Compressing -------------------------------------------------------------------------- */

/* A list of fnmatch patterns on tensor names. */
typedef struct hc_patterns {
    const char *const *items;
    size_t count;
} hc_patterns;

/* `pair`, the published method (arXiv 2409.00592): one code for two neighbouring weights. */
typedef struct hc_pair_options {
    double side;            /* side of the inner square; 0: chosen per tensor for the least error */
    const uint32_t *points; /* point counts of the trajectory, tried in this order */
    size_t point_counts;    /* 0: the published list, {1600} */
    uint32_t classes;       /* most classes of outer pairs, 1 to 15 */
    double loss_max;        /* an error above this tries the next point count */
    double loss_threshold;  /* the first class count whose error is at most this is taken */
    double keep_above;      /* a tensor whose mean absolute error exceeds this stays as it is */
} hc_pair_options;

/* What a matrix is divided by, column by column, before it is coded: where its columns may err how much. */
typedef enum hc_columns {
    HC_COLUMNS_NORM, /* their root mean square: every column has the same relative error */
    HC_COLUMNS_NONE  /* nothing: every column has the same error */
} hc_columns;

/* k bits per weight for the tensors that match an fnmatch pattern. */
typedef struct hc_bits_for {
    const char *pattern;
    int bits; /* 1 to 6, or 8 */
} hc_bits_for;

/* `window`: one code per weight, read through overlapping windows of a trajectory (docs/FORMAT.md). */
typedef struct hc_window_options {
    double bits;                 /* 1 to 6, or 8: bits per weight of every tensor. A fraction from 1 to 8: tensors get
                                  * different ones, so that their stored rate, scales included, comes to this at the
                                  * least error. Holds for all tensors but those that the following name. */
    int embedding_bits;          /* of token, position and type embeddings; 0: they are kept as they are */
    int head_bits;               /* of the output matrix, if it is not the embedding; 0: kept */
    const hc_bits_for *bits_for; /* goes before all of them; the first match counts */
    size_t bits_for_count;
    int length; /* L, bits of a window: 8 to 16. More is better, and takes twice as long for each */
    hc_columns columns;
    /* Where the second moments of the inputs of the matrices come from: errors then go where they do least harm.
     * "weights": propagated through the weights alone; "self": measured on text that the model writes itself; "none";
     * else a file of hc_calibrate. NULL: "weights" for the architectures that hyperc can run, else "none". They have no
     * use with HC_COLUMNS_NONE. */
    const char *moments;
} hc_window_options;

/* The bits per weight that these options give to the tensor of a name, if it is coded; 0: it is kept; -1: it is one of
 * those that share a fractional rate. */
int hc_window_bits(const char *name, const hc_window_options *options);

typedef struct hc_compress_options {
    const char *method; /* "window" or "pair" */
    hc_window_options window;
    hc_pair_options pair;
    hc_patterns only; /* if not empty: code only tensors that match one of these */
    hc_patterns keep; /* keep tensors that match one of these as they are */
    bool resume;      /* finish an interrupted run if there is one */
    bool force;       /* replace the model, or the empty folder, at the output; finished or not */
    bool dry_run;     /* measure everything, write nothing */
    /* Called for every tensor when it is done, coded ones first in every file; may be NULL. */
    void (*tensor_done)(const hc_tensor_info *info, void *user);
    /* Called with what the user should know although nothing failed, one line; may be NULL. */
    void (*notice)(const char *text, void *user);
    void *user; /* handed to both */
    /* Of several ranks: hc_context_device_report tells of the devices of all, which takes one more exchange behind
     * every stretch of a tensor. Rank 0 decides. */
    bool device_reports;
} hc_compress_options;

/* `window`: 4 bits, embeddings and head 6, L = 12, columns by their norm. `pair`, the published settings: side 0.1,
 * points {1600}, 3 classes, both losses 0.001. */
void hc_compress_options_init(hc_compress_options *options);

/* Compresses the model at `input` (a directory, a .safetensors or a .gguf file) into the new
 * directory `output`, which appears whole or not at all. The work in progress lies in
 * `output`.partial; after an interruption it is kept there for options.resume. */
hc_status hc_compress(hc_context *context, const char *input, const char *output, const hc_compress_options *options);

/* ---- Reading models ----------------------------------------------------------------------- */

/* An opened model, compressed or not. Its files are mapped, not read. */
typedef struct hc_model hc_model;

typedef struct hc_model_totals {
    uint64_t tensors, coded_tensors;
    uint64_t weights, coded_weights;
    uint64_t stored_bytes, coded_bytes;     /* of tensors; of the coded ones */
    uint64_t file_bytes;                    /* of the weight files, headers included */
    double coded_bits_per_weight;           /* coded bytes over coded weights */
    double bits_per_weight;                 /* file bytes over all weights */
    double mean_abs_error, signal_to_noise; /* over the coded weights */
} hc_model_totals;

hc_status hc_model_open(hc_context *context, const char *path, hc_model **model);
void hc_model_close(hc_model *model);
uint64_t hc_model_tensor_count(const hc_model *model);
/* In the order of the files. Index out of range: HC_ERR_ARGUMENT (and no message: no context is at hand). */
hc_status hc_model_tensor(const hc_model *model, uint64_t index, hc_tensor_info *info);
void hc_model_totals_get(const hc_model *model, hc_model_totals *totals);
/* Decodes `count` weights of tensor `index`, beginning with weight `first` of its row-major order,
 * into `out`. Tensors of integers are HC_ERR_UNSUPPORTED. */
hc_status hc_model_read(hc_context *context, const hc_model *model, uint64_t index, uint64_t first, uint64_t count,
                        float *out);

/* ---- Restoring and checking --------------------------------------------------------------- */

typedef struct hc_decompress_options {
    int type;   /* an hc_type for the decoded tensors: F32, F16, BF16, F64; -1: their own */
    bool force; /* replace the model, or the file, at the output */
} hc_decompress_options;

void hc_decompress_options_init(hc_decompress_options *options);

/* Restores a compressed model. `output` ending in .safetensors: one file; else a directory with
 * everything but the quantization_config. Appears whole or not at all. */
hc_status hc_decompress(hc_context *context, const char *input, const char *output,
                        const hc_decompress_options *options);

typedef struct hc_verify_report {
    uint64_t files, tensors; /* checked against their checksums */
    uint64_t compared;       /* coded tensors held against the original */
    uint64_t faults;         /* of any kind */
} hc_verify_report;

/* Called for every fault (fault not NULL), and for every tensor compared (fault NULL). */
typedef void (*hc_verify_fn)(const char *where, const char *fault, const hc_tensor_info *info, void *user);

/* Checks every checksum of a compressed model. With `against`, the original, it also decodes
 * every tensor, and holds shapes, kept bytes and recorded errors against it. All faults are
 * reported, then HC_ERR_CORRUPT (checksums) or HC_ERR_DIFFERENT is returned. */
hc_status hc_verify(hc_context *context, const char *directory, const char *against, hc_verify_fn fn, void *user,
                    hc_verify_report *report);

#ifdef __cplusplus
}
#endif
#endif
