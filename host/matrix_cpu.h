/* A weight matrix on the CPU, or a part of one. Its weights stay where the model's files are mapped, and as they are
 * coded; of columns that are cut out the codes are copied. */
#ifndef HC_HOST_MATRIX_CPU_H
#define HC_HOST_MATRIX_CPU_H

#include "pair.h"
#include "runtime.h"
#include "window.h"

/* How its products are made. */
enum hc_matrix_kind {
    HC_MATRIX_WINDOW, /* straight from the codes */
    HC_MATRIX_PAIR,   /* the same, where it has a table, and columns are even */
    HC_MATRIX_CODED,  /* a panel of rows at a time is decoded by its method */
    HC_MATRIX_FLOAT,  /* read where it lies */
    HC_MATRIX_STORED  /* of another type: a panel of rows at a time is converted */
};

struct hc_matrix {
    enum hc_matrix_kind kind;
    uint32_t rows, columns; /* of the cut */
    const struct hc_model_tensor *tensor;
    struct hc_cut cut; /* where it lies in the tensor */
    void *decoder; /* of its method: PAIR and CODED, of the cut alone; of all of a WINDOW whose rows are wanted, too */
    struct hc_window_matrix window; /* of the cut */
    struct hc_pair_matrix pair;     /* of the cut */
    struct hc_window_values *values;
    uint8_t *copied; /* codes of the cut, where they had to be; owned */
};

/* cut: as in runtime.h; NULL: all. HC_ERR_UNSUPPORTED names one that cannot be made. Of a WINDOW rows are wanted only
 * with all columns. */
hc_status hc_matrix_cpu_open(const struct hc_model_tensor *tensor, const struct hc_cut *cut, bool embedding,
                             struct hc_matrix **matrix, struct hc_error *error);
void hc_matrix_cpu_close(struct hc_matrix *matrix);

/* Rows first .. first + count - 1 as floats: what the tensor says, exactly. buffer: hc_matrix_cpu_room floats. The rows
 * lie where *rows points afterwards. `engine` is of one thread. Not for a WINDOW that was opened without its rows. */
size_t hc_matrix_cpu_room(const struct hc_matrix *matrix, uint32_t count);
hc_status hc_matrix_cpu_rows(const struct hc_matrix *matrix, struct hc_engine *engine, uint32_t first, uint32_t count,
                             float *buffer, const float **rows, struct hc_error *error);

#endif
