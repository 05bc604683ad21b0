/* What the container says of one tensor: the JSON text under the key "hyperc.tensor.NAME" of a shard's __metadata__.
 * docs/FORMAT.md defines it. */
#ifndef HC_HOST_DESCRIPTION_H
#define HC_HOST_DESCRIPTION_H

#include "checksum.h"
#include "method.h"

#define HC_TENSOR_KEY "hyperc.tensor."
#define HC_VERSION_KEY "hyperc.version"
#define HC_PART_PREFIX "hc_" /* names whose last dot is followed by it are those of parts */
#define HC_CODES_SUFFIX ".hc_codes"

enum { HC_FORMAT_VERSION = 1 };

struct hc_description {
    const struct hc_method *method;        /* NULL: the tensor is stored as it is */
    char checksum[HC_CHECKSUM_DIGITS + 1]; /* of its parts, one behind the other, or of its bytes */
    /* stored as it is: */
    char *kept_because; /* owned; may be NULL */
    /* coded: */
    hc_type type;
    int rank;
    uint64_t shape[HC_MAX_RANK];
    uint64_t weights;
    json_t *pieces; /* owned: the parameters of every piece */
    double mean_abs_error, max_abs_error, squared_error, squared_weights;
    double published_mean_abs_error; /* < 0: none */
    char moments[48];                /* of its inputs, that it was coded with: hc_moments_vector.label; "": none */
};

void hc_description_clear(struct hc_description *description);

/* Compact JSON text; the caller frees it. NULL if memory is out. */
char *hc_description_text(const struct hc_description *description);

/* An upper bound of the length of that text for a tensor that may be coded in `pieces` pieces. */
size_t hc_description_max(const struct hc_tensor *tensor, size_t pieces, size_t parameters_max);

/* Reads the text; every field is checked. HC_ERR_CORRUPT names the fault, HC_ERR_UNSUPPORTED an unknown method. */
hc_status hc_description_parse(const char *text, struct hc_description *description, struct hc_error *error);

/* Whether a stored tensor of that name is a part of a coded one. */
bool hc_is_part(const char *name);

/* What the pieces of a coded tensor take of its parts: bytes[i] is the size of part i in the file, padding included; 0
 * if it is left out. offsets may be NULL; else it has an entry per piece: where it begins in every part. Checks the
 * parameters of all pieces. */
hc_status hc_description_layout(const struct hc_description *description, uint64_t bytes[HC_MAX_PARTS],
                                uint64_t (*offsets)[HC_MAX_PARTS], struct hc_error *error);

/* The matrix that a piece of a coded tensor is (hc_piece_shape). */
struct hc_shape hc_description_piece_shape(const struct hc_description *description);

/* As the public interface tells it. */
void hc_description_info(const struct hc_description *description, hc_tensor_info *info);

/* Signal to noise in decibel from the two sums; INFINITY without error. */
double hc_signal_to_noise(double squared_weights, double squared_error);

#endif
