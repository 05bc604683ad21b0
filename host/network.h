/* A network that is ready to run, and a sequence of tokens on its way through it (hyperc/run.h). */
#ifndef HC_HOST_NETWORK_H
#define HC_HOST_NETWORK_H

#include <hyperc/run.h>

#include "context.h"
#include "runtime.h"
#include "tokenizer.h"

struct hc_network_layer {
    struct hc_matrix *matrices[HC_LAYER_MATRICES];
    float *biases[HC_LAYER_MATRICES]; /* NULL: none */
    float *norms[HC_LAYER_NORMS];     /* NULL: none */
};

struct hc_network {
    struct hc_model *model;
    const struct hc_architecture *architecture;
    struct hc_decoder decoder;
    struct hc_tokenizer *tokenizer;     /* NULL: none */
    struct hc_kernels kernels;          /* the owner's; the context that opened the network may be gone */
    char *device;                       /* NULL: the CPU */
    struct hc_runtime owner;            /* of matrices and vectors */
    struct hc_matrix *embedding, *head; /* the same if they are tied */
    float *norm, *frequencies;          /* head_width / 2 of these: radians per position */
    struct hc_network_layer *layers;
    hc_network_info info;
};

/* On the context's device. */
hc_status hc_network_load(const hc_context *context, const char *path, struct hc_network **network,
                          struct hc_error *error);

struct hc_sequence {
    hc_context *context;
    const struct hc_network *network;
    struct hc_runtime runtime;
    uint32_t length, room, batch; /* tokens: so far, at most, at once */
    uint64_t bytes;
    void *memory;            /* of the device: caches and activations */
    struct hc_cache *caches; /* of every layer; the array itself is the host's */
    /* Activations of a batch. */
    float *x, *normed, *queries, *keys, *values, *attended, *gate, *up, *turns;
    float *logits; /* of the device; logits_room rows */
    uint32_t logits_room;
    bool has_last;  /* logits of the last token stand at their beginning */
    float *fetched; /* the same, on the host; NULL: never wanted */
};

#endif
