/* An opened model: a source, and what its container says of every tensor. */
#ifndef HC_HOST_MODEL_H
#define HC_HOST_MODEL_H

#include "description.h"
#include "source.h"

struct hc_model_tensor {
    /* Stored as it is: itself. Coded: the parts of its method; NULL: left out. Those that are there are in one file. */
    const struct hc_tensor *parts[HC_MAX_PARTS];
    struct hc_tensor_info info;
    struct hc_description description; /* method NULL: stored as it is */
    char *name;                        /* owned if coded */
    uint64_t (*offsets)[HC_MAX_PARTS]; /* coded: where each piece begins in each part; owned */
    char parameters[128];
};

struct hc_model {
    struct hc_source *source;
    size_t tensor_count;
    struct hc_model_tensor *tensors;
    struct hc_model_tensor **by_name; /* sorted */
    bool compressed;                  /* by hyperc */
};

/* NULL if there is no tensor of that name. */
const struct hc_model_tensor *hc_model_find(const struct hc_model *model, const char *name);

hc_status hc_model_load(const char *path, struct hc_model **model, struct hc_error *error);

/* Whether its parts, one behind the other, have the recorded checksum. */
hc_status hc_model_is_sound(const struct hc_model_tensor *tensor, bool *sound, struct hc_error *error);
/* Its mapped pages are not needed any more. */
void hc_model_drop(const struct hc_model_tensor *tensor);

/* A stretch of a coded tensor that lies in one piece: the weights first .. first + count - 1 of the piece, which are
 * those from at + first of the tensor. */
struct hc_stretch {
    uint64_t at, weights; /* of the piece: where it begins in the tensor, how many it has */
    struct hc_shape shape;
    uint64_t first, count;
    void *decoder; /* of the piece */
};
typedef hc_status (*hc_stretch_fn)(void *user, const struct hc_stretch *stretch, struct hc_error *error);

/* Opens the decoder of a piece of a coded tensor, to be closed by the tensor's method. */
hc_status hc_model_open_piece(const struct hc_model_tensor *tensor, size_t piece, void **decoder,
                              struct hc_error *error);

/* Runs over the weights first .. first + count - 1 of the coded tensor in stretches of at most `most` (a multiple of
 * HC_BLOCK), each from a multiple of HC_BLOCK of its piece on, so that the first one may begin too early. The
 * decoder of a piece is open as long as its stretches last. */
hc_status hc_model_each_stretch(const struct hc_model_tensor *tensor, uint64_t first, uint64_t count, uint64_t most,
                                hc_stretch_fn fn, void *user, struct hc_error *error);

/* Decodes the whole tensor stretch by stretch to `out` (room for HC_MODEL_STRETCH numbers of `type`, which
 * hc_engine_round names) and hands them on, to be changed at will; `first` is of the tensor. */
enum { HC_MODEL_STRETCH = 1 << 20 };
typedef hc_status (*hc_decoded_fn)(void *user, uint64_t first, uint64_t count, void *weights, struct hc_error *error);
hc_status hc_model_decode(struct hc_engine *engine, const struct hc_model_tensor *tensor, hc_type type, void *out,
                          hc_decoded_fn fn, void *user, struct hc_error *error);

#endif
