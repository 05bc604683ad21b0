/* Second moments of the inputs of matrices, h_j = mean of x_j^2: where the errors of their weights do harm. They decide
 * what `window` divides the columns by (window_frame.h), and weigh its errors where a rate is shared out.
 */
#ifndef HC_HOST_MOMENTS_H
#define HC_HOST_MOMENTS_H

#include "checksum.h"
#include "source.h"

/* How far the values of a vector are believed: h^(q/4) (1 / c^2)^(1 - q/4) is taken in their place, c^2 the mean
 * squares of the columns. 1 / c^2 is what columns say of their inputs by themselves: large inputs tend to meet small
 * weights. */
enum { HC_MOMENTS_MEASURED = 4 };

struct hc_moments_vector {
    char *name;     /* of the tensor, "model.layers.0.mlp.up_proj.weight"; owned */
    uint64_t count; /* inputs: columns of the matrix */
    float *values;  /* finite, not negative, one of them positive; owned */
    unsigned trust; /* in quarters: see below */
    char label[48]; /* where they are from, and their checksum: "weights:0123..." */
};

struct hc_moments {
    const char *origin; /* "weights", "file", "self", "text"; not owned */
    size_t count, room;
    struct hc_moments_vector *vectors; /* in the order of their names */
};

hc_status hc_moments_create(const char *origin, struct hc_moments **moments, struct hc_error *error);
void hc_moments_destroy(struct hc_moments *moments);

/* Adds a vector, rounded to float32, believed by `trust` quarters. One that is not finite, or negative, or zero
 * everywhere says nothing and is left out, as is one that float32 cannot hold. HC_ERR_CORRUPT if there is one of that
 * name already. */
hc_status hc_moments_add(struct hc_moments *moments, const char *name, const double *values, uint64_t count,
                         unsigned trust, struct hc_error *error);

/* NULL if it is not known; moments may be NULL. */
const struct hc_moments_vector *hc_moments_find(const struct hc_moments *moments, const char *name);

/* Of all of them: names with the zero behind them, and values, in the order of the names. */
hc_status hc_moments_checksum(const struct hc_moments *moments, char text[HC_CHECKSUM_DIGITS + 1],
                              struct hc_error *error);

/* A safetensors file of float32 vectors "X.weight.moments" (docs/FORMAT.md). HC_ERR_CORRUPT names a tensor of another
 * name, type or shape, a vector that is not finite or negative somewhere, and a file without any. */
hc_status hc_moments_read(const char *path, struct hc_moments **moments, struct hc_error *error);
/* Writes a new one, whole or not at all. HC_ERR_EXISTS if something is there. */
hc_status hc_moments_write(const struct hc_moments *moments, const char *path, struct hc_error *error);

/* ---- Propagation through weights -------------------------------------------------------------- */

struct hc_comm;   /* comm.h */
struct hc_ticker; /* method.h */

/* What an architecture's `propagate` works with. */
struct hc_propagation {
    const struct hc_source *source;
    const struct hc_kernels *kernels;
    int threads;
    struct hc_ticker *ticker;   /* may be NULL */
    struct hc_moments *moments; /* gets the results */
    struct hc_comm *comm;       /* of the ranks that share the rows of matrices, all with the same calls; NULL: alone */
};

/* They read a tensor of the source, which must be there and of floats, once, a stretch at a time. All sums are made in
 * double: over a row in 8 lanes (j mod 8), which are then added in order; over a column in the order of the rows. So
 * the results depend neither on threads nor on tiers. HC_ERR_CANCELLED if the ticker says so. */

/* out[j] = mean over the rows of W_ij^2 */
hc_status hc_propagate_columns(const struct hc_propagation *propagation, const char *name, double *out,
                               struct hc_error *error);
/* out[i] = sum over j of W_ij^2 in[j], + bias_i^2 if `bias` is not NULL */
hc_status hc_propagate_matrix(const struct hc_propagation *propagation, const char *name, const char *bias,
                              const double *in, double *out, struct hc_error *error);
/* The square of every element of a vector. */
hc_status hc_propagate_squares(const struct hc_propagation *propagation, const char *name, double *out,
                               struct hc_error *error);

#endif
