/* Second moments on their way through weights: what models/moments.c is made of. */
#include "comm.h"
#include "method.h"
#include "moments.h"
#include "partition.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STRETCH = 1 << 20, /* weights that are read at a time, by all threads together */
    NEIGHBOURS = 64,   /* columns that a thread takes at a time */
    LANES = 8
};

static const struct hc_tensor *find(const struct hc_propagation *propagation, const char *name)
{
    int64_t found = hc_source_find(propagation->source, name);
    assert(found >= 0);
    return &propagation->source->tensors[found];
}

static uint64_t columns_of(const struct hc_tensor *tensor)
{
    return tensor->weights / tensor->shape[0];
}

/* Rows of a stretch. */
static uint64_t stretch_rows(const struct hc_tensor *tensor)
{
    uint64_t rows = STRETCH / columns_of(tensor);
    rows = rows ? rows : 1;
    return rows < tensor->shape[0] ? rows : tensor->shape[0];
}

/* Called with whole rows, one stretch after the other. */
typedef void (*stretch_fn)(void *user, const float *rows, uint64_t first, uint64_t count);

/* Of some rows of a tensor. */
static hc_status each_stretch(const struct hc_propagation *propagation, const struct hc_tensor *tensor,
                              uint64_t first_row, uint64_t row_count, stretch_fn fn, void *user, struct hc_error *error)
{
    uint64_t columns = columns_of(tensor), stretch = stretch_rows(tensor);
    float *rows = malloc(stretch * columns * sizeof *rows);
    hc_status status = rows ? HC_OK : hc_no_memory(error);
    hc_tensor_prefetch(tensor, first_row * columns, row_count * columns);
    for (uint64_t at = first_row; status == HC_OK && at < first_row + row_count; at += stretch) {
        uint64_t rest = first_row + row_count - at, count = rest < stretch ? rest : stretch;
#pragma omp parallel for num_threads(propagation->threads) schedule(static)
        for (int64_t r = 0; r < (int64_t)count; r++)
            hc_tensor_read(tensor, propagation->kernels, (at + (uint64_t)r) * columns, columns,
                           rows + (uint64_t)r * columns);
        fn(user, rows, at, count);
        if (propagation->ticker && !propagation->ticker->tick(propagation->ticker, 0))
            status = hc_fail(error, HC_ERR_CANCELLED, "interrupted");
    }
    free(rows);
    hc_tensor_drop(tensor);
    return status;
}

struct work {
    int threads;
    uint64_t columns;
    const double *in;
    double *out;
};

/* A thread takes some neighbouring columns, and all rows of them. */
static void add_columns(void *user, const float *rows, uint64_t first, uint64_t count)
{
    const struct work *work = user;
    (void)first;
#pragma omp parallel for num_threads(work->threads) schedule(static)
    for (int64_t begin = 0; begin < (int64_t)work->columns; begin += NEIGHBOURS) {
        uint64_t rest = work->columns - (uint64_t)begin,
                 end = rest < NEIGHBOURS ? work->columns : (uint64_t)begin + NEIGHBOURS;
        for (uint64_t r = 0; r < count; r++)
            for (uint64_t j = (uint64_t)begin; j < end; j++) {
                double weight = (double)rows[r * work->columns + j];
                work->out[j] += weight * weight;
            }
    }
}

hc_status hc_propagate_columns(const struct hc_propagation *propagation, const char *name, double *out,
                               struct hc_error *error)
{
    const struct hc_tensor *tensor = find(propagation, name);
    struct work work = {propagation->threads, columns_of(tensor), NULL, out};
    for (uint64_t j = 0; j < work.columns; j++)
        out[j] = 0;
    hc_status status = each_stretch(propagation, tensor, 0, tensor->shape[0], add_columns, &work, error);
    for (uint64_t j = 0; j < work.columns; j++)
        out[j] /= (double)tensor->shape[0];
    return status;
}

static double row_sum(const float *row, const double *in, uint64_t columns)
{
    double lanes[LANES] = {0}, sum = 0;
    for (uint64_t j = 0; j < columns; j++)
        lanes[j % LANES] += (double)row[j] * (double)row[j] * in[j];
    for (size_t l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

static void sum_rows(void *user, const float *rows, uint64_t first, uint64_t count)
{
    const struct work *work = user;
#pragma omp parallel for num_threads(work->threads) schedule(static)
    for (int64_t r = 0; r < (int64_t)count; r++)
        work->out[first + (uint64_t)r] = row_sum(rows + (uint64_t)r * work->columns, work->in, work->columns);
}

/* Sums over rows, to work->out: a rank does its share of them, and has the others' from those. */
static hc_status share_rows(const struct hc_propagation *propagation, const struct hc_tensor *tensor, struct work *work,
                            struct hc_error *error)
{
    struct hc_comm *comm = propagation->comm;
    if (!comm || comm->ranks == 1)
        return each_stretch(propagation, tensor, 0, tensor->shape[0], sum_rows, work, error);
    size_t ranks = (size_t)comm->ranks, *bytes = malloc(ranks * sizeof *bytes);
    uint64_t *rows = malloc(ranks * sizeof *rows), first = 0;
    double *speeds = malloc(ranks * sizeof *speeds);
    char what[256];
    hc_status status = bytes && rows && speeds ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    for (size_t r = 0; r < ranks; r++)
        speeds[r] = 1; /* it is reading that takes the time */
    hc_partition(tensor->shape[0], speeds, ranks, rows);
    for (size_t r = 0; r < ranks; r++) {
        bytes[r] = rows[r] * sizeof *work->out;
        first += (int)r < comm->rank ? rows[r] : 0;
    }
    HC_TRY(each_stretch(propagation, tensor, first, rows[comm->rank], sum_rows, work, error));
    snprintf(what, sizeof what, "the moments behind %s", tensor->name);
    HC_TRY(hc_comm_all_gather(comm, work->out + first, work->out, bytes, what, error));
done:
    free(bytes);
    free(rows);
    free(speeds);
    return status;
}

hc_status hc_propagate_matrix(const struct hc_propagation *propagation, const char *name, const char *bias,
                              const double *in, double *out, struct hc_error *error)
{
    const struct hc_tensor *tensor = find(propagation, name);
    uint64_t rows = tensor->shape[0];
    struct work work = {propagation->threads, columns_of(tensor), in, out};
    double *squares = bias ? malloc(rows * sizeof *squares) : NULL;
    hc_status status = bias && !squares ? hc_no_memory(error) : HC_OK;
    if (status == HC_OK)
        status = share_rows(propagation, tensor, &work, error);
    if (status == HC_OK && bias)
        status = hc_propagate_squares(propagation, bias, squares, error);
    for (uint64_t i = 0; status == HC_OK && bias && i < rows; i++)
        out[i] += squares[i];
    free(squares);
    return status;
}

hc_status hc_propagate_squares(const struct hc_propagation *propagation, const char *name, double *out,
                               struct hc_error *error)
{
    const struct hc_tensor *tensor = find(propagation, name);
    float *values = malloc(tensor->weights * sizeof *values);
    if (!values)
        return hc_no_memory(error);
    hc_tensor_read(tensor, propagation->kernels, 0, tensor->weights, values);
    for (uint64_t j = 0; j < tensor->weights; j++)
        out[j] = (double)values[j] * (double)values[j];
    free(values);
    return HC_OK;
}
