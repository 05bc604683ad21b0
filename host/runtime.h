/* A *runtime* carries out the operations of a network on one device. runtime_cpu.c is one; others register like
 * engines.
 *
 * models/ evaluates networks through this table and sees neither matrices nor memory: arrays are addresses on the
 * device, which only the runtime may read. Activations of n positions are n rows, one behind the other, of float32.
 * Operations are queued and do not fail: what goes wrong is kept, and told by `finish`. Everything is allocated before
 * the first operation.
 */
#ifndef HC_HOST_RUNTIME_H
#define HC_HOST_RUNTIME_H

#include "comm.h"
#include "model.h"
#include "share.h"

struct hc_matrix; /* of a runtime: a weight matrix, outputs x inputs, ready for products; shared, never changed */

/* Keys and values of one layer: [key_value_heads][context][head_width] each, in `type`; I8 with a float32 scale for
 * every head and position behind all of them. */
struct hc_cache {
    void *keys, *values;
    hc_type type; /* F16, F32 or I8 */
    uint32_t context;
};

static inline size_t hc_cache_type_bytes(hc_type type)
{
    return type == HC_TYPE_F32 ? 4 : type == HC_TYPE_F16 ? 2 : 1;
}

/* The scales in a cache of I8, NULL in others. memory: its keys, or its values. */
static inline float *hc_cache_scales(const struct hc_decoder *decoder, const struct hc_cache *cache, void *memory)
{
    size_t numbers = (size_t)decoder->key_value_heads * cache->context * decoder->head_width;
    return cache->type == HC_TYPE_I8 ? (float *)(void *)((uint8_t *)memory + (numbers + 3) / 4 * 4) : NULL;
}

/* Of `keys`, or of `values`: a multiple of 64. */
static inline uint64_t hc_cache_bytes(const struct hc_decoder *decoder, hc_type type, uint32_t context)
{
    uint64_t heads = (uint64_t)decoder->key_value_heads * context;
    uint64_t bytes = heads * decoder->head_width * hc_cache_type_bytes(type);
    return (bytes + (type == HC_TYPE_I8 ? heads * sizeof(float) + 4 : 0) + 63) / 64 * 64;
}

struct hc_attention {
    const struct hc_decoder *decoder;
    const struct hc_cache *cache;
    uint32_t first, count; /* positions of the queries; those before `first` are in the cache */
};

/* A linear layer: y = W x + bias */
struct hc_linear {
    const struct hc_matrix *matrix;
    const float *bias; /* on the device, or NULL */
    float *out;        /* n x rows */
};

/* What linear layers read, n x columns: x; or RMSNorm of x, where there is a gain; or silu(x) * up, where there is
 * `up`, and then no gain. */
struct hc_input {
    const float *x, *gain, *up;
    float epsilon; /* of the norm */
    uint32_t columns;
    float *ready; /* n x columns: room for it, which a runtime may use or not; x itself with `up` */
};

/* Tokens that are evaluated at once, at positions first .. first + count - 1; logits of the last `wanted`. */
struct hc_step {
    const int32_t *tokens; /* of the host */
    uint32_t first, count, wanted;
    bool usual; /* the operations are the architecture's own, and the same for every step of this count and `wanted` */
};

/* How a token is chosen by logits: as hc_sampler_choose does it without a penalty. */
struct hc_choice {
    float temperature, top_p, min_p;
    uint32_t top_k;
    double uniform; /* the random number */
};

/* What a runtime is made ready for. */
struct hc_needs {
    const struct hc_decoder *decoder;
    uint32_t n;        /* positions at once */
    uint32_t context;  /* positions in the cache */
    uint32_t gathered; /* columns that are gathered at most; 0: nothing is */
    const struct hc_matrix *const *matrices;
    size_t matrix_count;
};

struct hc_runtime {
    const struct hc_runtime_table *table;
    void *state;
};

struct hc_runtime_table {
    const char *name;
    void (*destroy)(struct hc_runtime *runtime);

    /* Opens a matrix, or what `cut` says of it (NULL: all), for this kind of runtime; it may outlive the runtime, not
     * the model. The cut begins at a whole tile and ends at one, or where the matrix does; its columns, if they are not
     * all, at Hadamard blocks (share.h). `embedding`: rows of it are wanted, too. */
    hc_status (*open_matrix)(struct hc_runtime *runtime, const struct hc_model_tensor *tensor, const struct hc_cut *cut,
                             bool embedding, struct hc_matrix **matrix, struct hc_error *error);
    void (*close_matrix)(struct hc_matrix *matrix); /* NULL: nothing */
    const char *(*matrix_name)(const struct hc_matrix *matrix);

    /* Of the device, in bytes. NULL: not known. */
    hc_status (*free_memory)(struct hc_runtime *runtime, uint64_t *bytes, struct hc_error *error);
    /* Memory of the device, 64-byte aligned, with nothing in it. On the CPU, pages of a cache that are never used cost
     * nothing. */
    hc_status (*allocate)(struct hc_runtime *runtime, size_t bytes, void **memory, struct hc_error *error);
    void (*release)(struct hc_runtime *runtime, void *memory);
    void (*write)(struct hc_runtime *runtime, void *to, const void *from, size_t bytes);
    void (*read)(struct hc_runtime *runtime, const void *from, size_t bytes, void *to);
    /* Before prepare: the other ranks, of which all do the same. `comm` outlives the runtime. Without it there is one
     * rank, and none of the operations between ranks is called. */
    hc_status (*join)(struct hc_runtime *runtime, struct hc_comm *comm, struct hc_error *error);
    /* Working memory for what comes; *bytes: how much there is now. Who fails here can only be destroyed. */
    hc_status (*prepare)(struct hc_runtime *runtime, const struct hc_needs *needs, uint64_t *bytes,
                         struct hc_error *error);

    /* Begins a step. False: none of its operations is to be called, as they are known from an earlier one and are
     * queued already; or as something is wrong, which `finish` will tell. */
    bool (*begin)(struct hc_runtime *runtime, const struct hc_step *step);
    /* After the operations of a step that begin let through. */
    void (*end)(struct hc_runtime *runtime);

    /* out: n x columns; tokens: n numbers of rows, on the host: those of the step. A negative one gives zeros. */
    void (*embed)(struct hc_runtime *runtime, const struct hc_matrix *matrix, const int32_t *tokens, uint32_t n,
                  float *out);
    /* Row by row: out = x / sqrt(mean(x^2) + epsilon) * gain; in place if out == x. */
    void (*norm)(struct hc_runtime *runtime, const float *x, const float *gain, uint32_t rows, uint32_t width,
                 float epsilon, float *out);
    /* `count` layers (at most 3) that read the same. */
    void (*linear)(struct hc_runtime *runtime, const struct hc_linear *layers, unsigned count,
                   const struct hc_input *input, uint32_t n);
    /* turns: n x 2 x count: for position first + i the cosines, then the sines of position * frequencies[d]. */
    void (*turns)(struct hc_runtime *runtime, uint32_t first, uint32_t n, const float *frequencies, uint32_t count,
                  float *turns);
    /* In place, n x heads x head_width: the pair (d, d + head_width / 2) of every head is turned by turn d of its row.
     */
    void (*rotate)(struct hc_runtime *runtime, float *x, uint32_t n, uint32_t heads, uint32_t head_width,
                   const float *turns);
    /* Puts keys and values (count x key_value_heads x head_width) into the cache at attention->first. */
    void (*remember)(struct hc_runtime *runtime, const struct hc_attention *attention, const float *keys,
                     const float *values);
    /* queries, out: count x heads x head_width. Keys and values of all positions up to a query's own are in the cache.
     */
    void (*attend)(struct hc_runtime *runtime, const struct hc_attention *attention, const float *queries, float *out);
    /* gate = silu(gate) * up, n numbers. */
    void (*gate)(struct hc_runtime *runtime, float *gate, const float *up, size_t n);
    /* x += y, n numbers. */
    void (*add)(struct hc_runtime *runtime, float *x, const float *y, size_t n);
    /* x = 0, n numbers. */
    void (*clear)(struct hc_runtime *runtime, float *x, size_t n);

    /* Between ranks. x becomes the sum over all ranks of theirs, the same everywhere. */
    void (*all_reduce)(struct hc_runtime *runtime, float *x, size_t n);
    void (*send)(struct hc_runtime *runtime, int to, const float *x, size_t n);
    void (*receive)(struct hc_runtime *runtime, int from, float *x, size_t n);
    /* all: n rows, in each the columns of all ranks in their order, widths[r] of rank r (0: none); x is this rank's, n
     * x widths[rank]. All ranks say the same widths. */
    void (*gather)(struct hc_runtime *runtime, const float *x, uint32_t n, const uint32_t *widths, float *all);

    /* Queues a choice by `vocabulary` logits; *token is there after `finish`. False if this runtime does not choose so.
     */
    bool (*choose)(struct hc_runtime *runtime, const float *logits, uint32_t vocabulary, const struct hc_choice *choice,
                   int32_t *token);

    /* Waits for all of it, and tells what went wrong since the last time. */
    hc_status (*finish)(struct hc_runtime *runtime, struct hc_error *error);
};

/* The CPU's. `kernels` must outlive it. */
hc_status hc_runtime_cpu(struct hc_runtime *runtime, const struct hc_kernels *kernels, int threads,
                         struct hc_error *error);

/* What every `join` does first: whether the devices of all ranks reach each other without the host, as GPUs do. Where
 * some do not, sums go through hc_comm_all_reduce (HC_SUM_F32), once for every call, what is gathered through
 * hc_comm_all_gather, the rows of one rank behind those of another, and what is sent through send and receive of the
 * comm. */
static inline hc_status hc_runtime_direct(struct hc_comm *comm, bool mine, bool *all, struct hc_error *error)
{
    int64_t missing = mine ? 0 : 1;
    hc_status status =
        hc_comm_all_reduce(comm, &missing, 1, HC_MAX_I64, "whether devices reach each other directly", error);
    *all = status == HC_OK && missing == 0;
    return status;
}

/* What the layers read, made by the operations of `table` where it is not x itself. */
static inline const float *hc_input_make(struct hc_runtime *runtime, const struct hc_runtime_table *table,
                                         const struct hc_input *input, uint32_t n)
{
    if (input->gain)
        table->norm(runtime, input->x, input->gain, n, input->columns, input->epsilon, input->ready);
    else if (input->up)
        table->gate(runtime, input->ready, input->up, (size_t)n * input->columns);
    return input->gain || input->up ? input->ready : input->x;
}

#endif
