/* A network that is ready to run, and a sequence of tokens on its way through it (hyperc/run.h). */
#ifndef HC_HOST_NETWORK_H
#define HC_HOST_NETWORK_H

#include <hyperc/run.h>

#include "context.h"
#include "crew.h"
#include "runtime.h"
#include "tokenizer.h"

struct hc_network_layer {
    struct hc_matrix *matrices[HC_LAYER_MATRICES]; /* NULL: none of it */
    float *biases[HC_LAYER_MATRICES];              /* NULL: none */
    float *norms[HC_LAYER_NORMS];                  /* NULL: none */
};

/* What one rank has of a network. The public handle is that of the first rank of this process; the others follow. */
struct hc_network {
    struct hc_network *next; /* that of the next rank of this process; owned */
    struct hc_model *model;  /* the same for all of them, owned by the first, as the tokenizer */
    const struct hc_architecture *architecture;
    struct hc_decoder whole;   /* the model's */
    struct hc_decoder decoder; /* as this rank sees it (share.h) */
    struct hc_share share;
    /* How many numbers of a position each rank has: of the logits, of the heads, of the inner width; and of what o and
     * down give, where they are cut by rows. One array: that of the logits owns it. */
    uint32_t *logits_of, *heads_of, *inner_of, *rows_of;
    struct hc_tokenizer *tokenizer; /* NULL: none */
    struct hc_kernels kernels;      /* the owner's; the context that opened the network may be gone */
    char *device;
    struct hc_runtime owner;            /* of matrices and vectors */
    struct hc_matrix *embedding, *head; /* the same if they are tied, and both here; NULL: none of it */
    float *norm, *frequencies;          /* head_width / 2 of these: radians per position */
    struct hc_network_layer *layers;    /* this rank's */
    uint64_t held_bytes;                /* of the tensors, as they are stored: what this rank has */
    hc_network_info info;               /* of the model */
};

/* On the context's devices and ranks; or `alone` on the first device, in every process for itself. */
hc_status hc_network_load(hc_context *context, const char *path, bool alone, struct hc_network **network,
                          struct hc_error *error);

/* Of one rank, as networks are; that of the first rank runs the others. */
struct hc_sequence {
    struct hc_sequence *next; /* that of the next rank of this process; owned */
    hc_context *context;
    const struct hc_network *network;
    struct hc_crew *crew; /* the threads of all ranks of this process; the first rank's; NULL: there is one */
    struct hc_comm *comm; /* with the other ranks; NULL: alone */
    struct hc_runtime runtime;
    uint32_t length, room, batch; /* tokens: so far, at most, at once */
    uint64_t bytes;
    void *memory;            /* of the device: caches and activations */
    struct hc_cache *caches; /* of every layer; the array itself is the host's */
    /* Activations of a batch. Those of attention (from queries on) lie where gate and up do. */
    float *x, *normed, *queries, *keys, *values, *attended, *gate, *up, *turns;
    float *gathered, *part; /* of a matrix that is cut by rows: what it reads, of all ranks; what its rows here give */
    int32_t *tokens;        /* of the host, as rows of this rank's embedding; -1: not here */
    float *logits;          /* of the device; logits_room rows, in ranks that decide */
    uint32_t logits_room;
    bool has_last;  /* logits of the last token stand at their beginning */
    float *fetched; /* of the host, the first fetched_room rows of them */
    uint32_t fetched_room;
    float *all_logits; /* of the host: a row, of all ranks; the first rank's; NULL: never wanted */
};

#endif
