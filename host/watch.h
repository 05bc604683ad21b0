/* A look at the inputs of matrices while a network runs: a table of operations in front of the sequence's own, which
 * sums the squares that pass through `linear`.
 *
 * It can also turn n positions of one text into one position of n texts: then every row of an evaluation has the same
 * place, and keys and values of its own, so that matrices are read once for all texts.
 */
#ifndef HC_HOST_WATCH_H
#define HC_HOST_WATCH_H

#include "moments.h"
#include "network.h"

/* Matrices that always read the same input share its sums. */
struct hc_watched {
    const struct hc_matrix *matrix;
    size_t leader; /* index of the one whose sums count; SIZE_MAX: nothing has passed yet */
    double *sums;  /* of a leader, one per column; owned */
    uint32_t columns;
};

struct hc_watch {
    struct hc_runtime_table table; /* comes first: operations find the rest by it */
    const struct hc_runtime_table *inner;
    hc_sequence *sequence;
    size_t count;
    struct hc_watched *watched; /* in the order of the addresses of their matrices */
    float *rows;                /* a batch of inputs, of the host */
    hc_status status;           /* of the sums; kept until hc_watch_add */
    /* Several texts. */
    uint32_t texts, position;
    struct hc_cache *caches; /* texts x layers; NULL: one text */
    void *memory;            /* of the device */
};

/* Puts itself in front of a fresh sequence; hc_watch_end comes before the sequence is destroyed. texts: 0: one, as it
 * is; else as many are evaluated side by side, a position of each at a time (hc_watch_step). */
hc_status hc_watch_begin(struct hc_watch *watch, hc_sequence *sequence, uint32_t texts, struct hc_error *error);
/* The next position of every text; logits: texts x vocabulary. */
hc_status hc_watch_step(struct hc_watch *watch, const int32_t *tokens, float *logits);
/* All texts begin anew. */
void hc_watch_restart(struct hc_watch *watch);
/* Adds the sums of squares, divided by the number of positions that have passed, to a set. */
hc_status hc_watch_add(const struct hc_watch *watch, uint64_t positions, struct hc_moments *moments,
                       struct hc_error *error);
/* Leaves the sequence as it was; also after a failure of hc_watch_begin. */
void hc_watch_end(struct hc_watch *watch);

/* Bytes that a text side by side with others takes for its keys and values. */
uint64_t hc_watch_text_bytes(const struct hc_network *network, hc_type type, uint32_t context);

#endif
