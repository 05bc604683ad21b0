/* A *method*: a hyperfunction with its search, as the commands see it. host/methods.c lists them all.
 *
 * Everything that differs between methods lies behind this table; the container, the journal and the
 * commands know none of them by name.
 */
#ifndef HC_HOST_METHOD_H
#define HC_HOST_METHOD_H

#include <jansson.h>

#include "engine.h"

/* A coded tensor is stored in *parts*, each a tensor of the file: NAME.hc_codes first, then what else its method has. A
 * part of no bytes is left out. They lie one behind the other; the last one is padded with zeros, so that together
 * they take a multiple of HC_PART_ALIGNMENT bytes. Every part holds the pieces of the tensor, one behind the other. */
enum { HC_MAX_PARTS = 3, HC_PART_ALIGNMENT = 64 };

struct hc_part {
    const char *suffix; /* ".hc_codes" */
    hc_type type;
};

/* Takes the bytes of the parts as they are made, in order within a part. */
struct hc_sink {
    hc_status (*write)(struct hc_sink *sink, unsigned part, const void *data, size_t bytes, struct hc_error *error);
};

/* A piece as a matrix: outputs x inputs. */
struct hc_shape {
    uint64_t rows, columns;
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
    struct hc_part parts[HC_MAX_PARTS];
    size_t part_count;

    /* Options as JSON, for the journal (a run is resumed with the same options only) and the configuration. Also
     * checks them. */
    hc_status (*options)(const hc_compress_options *options, json_t **json, struct hc_error *error);

    /* May be NULL: no use for second moments. What the options ask for of them: see hc_window_options.moments. */
    const char *(*moments)(const hc_compress_options *options);

    /* An upper bound of the length of `parameters` as compact JSON text in which every quote counts twice. */
    size_t (*parameters_max)(const hc_compress_options *options);

    /* May be NULL. Decides, before anything is coded, what every tensor of the source that is not kept gets: `rates`
     * has an entry for each tensor of the source, 0 to begin with, which encode is then given. */
    hc_status (*share)(struct hc_engine *engine, const struct hc_source *source, const hc_compress_options *options,
                       struct hc_ticker *ticker, uint8_t *rates, struct hc_error *error);

    /* Codes a piece: as many bytes to the parts as `size` says of the parameters. */
    hc_status (*encode)(struct hc_engine *engine, const struct hc_piece *piece, const hc_compress_options *options,
                        unsigned rate, struct hc_sink *sink, struct hc_ticker *ticker, struct hc_coded *coded,
                        struct hc_error *error);

    /* Checks the stored parameters of a piece and tells how many bytes it takes of each part: of the first one a
     * multiple of HC_PART_ALIGNMENT. */
    hc_status (*size)(const json_t *parameters, const struct hc_shape *shape, uint64_t bytes[HC_MAX_PARTS],
                      struct hc_error *error);
    /* Prepares the decoding of a piece: parts[i], of any alignment, holds as many bytes as size says. */
    hc_status (*open)(const json_t *parameters, const struct hc_shape *shape, const uint8_t *const parts[HC_MAX_PARTS],
                      void **decoder, struct hc_error *error);
    void (*close)(void *decoder);
    /* May be NULL. Makes now what decoding would make on its way: from then on threads may share the decoder. */
    hc_status (*settle)(void *decoder, struct hc_error *error);
    /* Weights first .. first + count - 1, first a multiple of HC_BLOCK, as hc_engine_round makes them. */
    hc_status (*decode)(struct hc_engine *engine, void *decoder, uint64_t first, uint64_t count, hc_type type,
                        void *out, struct hc_error *error);
    hc_status (*compare)(struct hc_engine *engine, void *decoder, const struct hc_piece *piece, uint64_t first,
                         uint64_t count, struct hc_compare_sum *sum, struct hc_error *error);
    /* The parameters for people, short: "side 0.1, 1600 points, 1 class, 12 bits". */
    void (*describe)(const json_t *parameters, char *text, size_t size);
};

/* NULL if there is none of that name. */
const struct hc_method *hc_method_find(const char *name);

#endif
