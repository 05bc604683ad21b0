/* A *method*: a hyperfunction with its search, as the commands see it. host/methods.c lists them all.
 *
 * Everything that differs between methods lies behind this table; the container, the journal and the
 * commands know none of them by name.
 */
#ifndef HC_HOST_METHOD_H
#define HC_HOST_METHOD_H

#include <jansson.h>

#include "engine.h"

/* Takes the bytes of one part as they are made, in order. */
struct hc_sink {
    hc_status (*write)(struct hc_sink *sink, const void *data, size_t bytes, struct hc_error *error);
};

/* What coding a piece left behind. */
struct hc_coded {
    json_t *parameters;              /* stored; all that decoding needs beside the parts. Owned by the caller. */
    struct hc_compare_sum compare;   /* the error, of the decoder's own output */
    double published_mean_abs_error; /* see hyperc.h; < 0: none */
    const char *kept_because;        /* not NULL: not coded, nothing was written; a static string */
};

/* Called between stretches; false stops with HC_ERR_CANCELLED. */
struct hc_ticker {
    bool (*tick)(struct hc_ticker *ticker, uint64_t weights); /* of the piece, so far */
};

struct hc_method {
    const char *name;

    /* Options as JSON, for the journal (a run is resumed with the same options only) and the configuration. Also
     * checks them. */
    hc_status (*options)(const hc_compress_options *options, json_t **json, struct hc_error *error);

    /* An upper bound of the length of `parameters` as compact JSON text in which every quote counts twice. */
    size_t (*parameters_max)(const hc_compress_options *options);

    /* Codes a piece: parts to the sink, padded with zeros to a multiple of 64 bytes in all. */
    hc_status (*encode)(struct hc_engine *engine, const struct hc_piece *piece, const hc_compress_options *options,
                        struct hc_sink *sink, struct hc_ticker *ticker, struct hc_coded *coded, struct hc_error *error);

    /* Checks the stored parameters of a piece and tells how many bytes its codes take: a multiple of 64. */
    hc_status (*size)(const json_t *parameters, uint64_t weights, uint64_t *bytes, struct hc_error *error);
    /* Prepares the decoding of a piece: `codes` holds as many bytes as size says. */
    hc_status (*open)(const json_t *parameters, uint64_t weights, const uint8_t *codes, void **decoder,
                      struct hc_error *error);
    void (*close)(void *decoder);
    /* Weights first .. first + count - 1; first a multiple of HC_BLOCK. */
    hc_status (*decode)(struct hc_engine *engine, void *decoder, uint64_t first, uint64_t count, float *out,
                        struct hc_error *error);
    hc_status (*compare)(struct hc_engine *engine, void *decoder, const struct hc_piece *piece, uint64_t first,
                         uint64_t count, struct hc_compare_sum *sum, struct hc_error *error);
    /* The parameters for people, short: "side 0.1, 1600 points, 1 class, 12 bits". */
    void (*describe)(const json_t *parameters, char *text, size_t size);
};

/* NULL if there is none of that name. */
const struct hc_method *hc_method_find(const char *name);

#endif
