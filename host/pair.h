/* The fit of `pair` to a piece (docs/FORMAT.md, arXiv 2409.00592). */
#ifndef HC_HOST_PAIR_H
#define HC_HOST_PAIR_H

#include "method.h"
#include "pair_grid.h"

struct hc_pair_fit {
    double centre[2]; /* mean of the pairs, rounded to float32 */
    double farthest;  /* largest distance of a pair from the centre */
    uint64_t outer;   /* pairs outside the square */
    double side;
    uint32_t points, classes;
    uint32_t max_code;
    unsigned bits;                   /* of a code */
    float pad;                       /* stands in for the second weight of the last pair of an odd count */
    double mean_abs_error;           /* over the weights, without padding */
    double published_mean_abs_error; /* of side 0.1, if the side was chosen here; else < 0 */
};

/* Fits centre, side, point count and classes to the piece as the options say. *kept_because is a static string if the
 * piece must stay as it is (too few weights, NaN, an error above the limit), else NULL. */
hc_status hc_pair_fit(struct hc_engine *engine, const struct hc_piece *piece, const hc_pair_options *options,
                      struct hc_ticker *ticker, struct hc_pair_fit *fit, const char **kept_because,
                      struct hc_error *error);

/* The grid of a fit. */
hc_status hc_pair_fit_grid(const struct hc_pair_fit *fit, struct hc_pair_grid *grid, struct hc_error *error);

extern const struct hc_method hc_method_pair;

/* A stored matrix as a device needs it. */
struct hc_pair_matrix {
    const uint8_t *codes; /* where the decoder found them */
    uint64_t bytes;       /* of the codes */
    unsigned bits;        /* of a code */
    uint32_t entries;
    const float (*table)[2]; /* the decoded pair of every code; the decoder's */
};

/* Whether a decoder has the table of its codebook, which pays where there are as many pairs as entries (settle). */
bool hc_pair_has_table(const void *decoder);

/* Of a decoder of this method, as long as that is open. */
hc_status hc_pair_matrix_view(void *decoder, struct hc_pair_matrix *matrix, struct hc_error *error);

#endif
