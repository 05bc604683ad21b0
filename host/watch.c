#include "watch.h"

#include <stdlib.h>

enum { NEIGHBOURS = 64 };

static struct hc_watch *watch_of(const struct hc_runtime *runtime)
{
    return (struct hc_watch *)(uintptr_t)runtime->table;
}

/* ---- Sums ----------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct hc_watched *)a)->matrix,
              y = (uintptr_t)((const struct hc_watched *)b)->matrix;
    return (x > y) - (x < y);
}

/* NULL: none that is watched. */
static struct hc_watched *find(const struct hc_watch *watch, const struct hc_matrix *matrix)
{
    const struct hc_watched key = {.matrix = matrix};
    return bsearch(&key, watch->watched, watch->count, sizeof key, by_address);
}

/* Every column in the order of the positions, so that threads do not show; a thread takes some neighbours. */
static void add_squares(const struct hc_watch *watch, double *sums, uint32_t columns, uint32_t n)
{
#pragma omp parallel for num_threads(watch->sequence->context->threads) schedule(static)
    for (uint32_t begin = 0; begin < columns; begin += NEIGHBOURS) {
        uint32_t end = columns - begin < NEIGHBOURS ? columns : begin + NEIGHBOURS;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = begin; j < end; j++) {
                double x = (double)watch->rows[(size_t)i * columns + j];
                sums[j] += x * x;
            }
    }
}

/* The first time a matrix passes, it joins the first one of its call. */
static void join(struct hc_watch *watch, struct hc_watched *leader, struct hc_watched *watched)
{
    if (watched->leader == SIZE_MAX)
        watched->leader = (size_t)(leader - watch->watched);
    if (watched == leader && !leader->sums && !(leader->sums = calloc(leader->columns, sizeof *leader->sums)))
        watch->status = HC_ERR_MEMORY;
}

static void watch_linear(struct hc_runtime *runtime, const struct hc_linear *layers, unsigned count,
                         const struct hc_input *input, uint32_t n)
{
    struct hc_watch *watch = watch_of(runtime);
    struct hc_watched *leader = find(watch, layers[0].matrix);
    const struct hc_input plain = {.x = hc_input_make(runtime, watch->inner, input, n), .columns = input->columns};
    for (unsigned i = 0; leader && i < count; i++)
        join(watch, leader, find(watch, layers[i].matrix));
    if (leader && leader->sums) {
        watch->inner->read(runtime, plain.x, (size_t)n * leader->columns * sizeof *plain.x, watch->rows);
        add_squares(watch, leader->sums, leader->columns, n);
    }
    watch->inner->linear(runtime, layers, count, &plain, n);
}

/* No operation may be left out. */
static bool watch_step_begin(struct hc_runtime *runtime, const struct hc_step *step)
{
    struct hc_step seen = *step;
    seen.usual = false;
    return watch_of(runtime)->inner->begin(runtime, &seen);
}

/* ---- Several texts -------------------------------------------------------------------------- */

static void watch_turns(struct hc_runtime *runtime, uint32_t first, uint32_t n, const float *frequencies,
                        uint32_t count, float *turns)
{
    const struct hc_watch *watch = watch_of(runtime);
    (void)first;
    for (uint32_t i = 0; i < n; i++)
        watch->inner->turns(runtime, watch->position, 1, frequencies, count, turns + (size_t)i * 2 * count);
}

/* What text i attends to in the layer of `where`. */
static struct hc_attention of_text(const struct hc_watch *watch, const struct hc_attention *where, uint32_t i)
{
    size_t layer = (size_t)(where->cache - watch->sequence->caches);
    return (struct hc_attention){where->decoder, &watch->caches[i * (size_t)where->decoder->layers + layer],
                                 watch->position, 1};
}

static void watch_remember(struct hc_runtime *runtime, const struct hc_attention *where, const float *keys,
                           const float *values)
{
    const struct hc_watch *watch = watch_of(runtime);
    const size_t width = (size_t)where->decoder->key_value_heads * where->decoder->head_width;
    for (uint32_t i = 0; i < where->count; i++) {
        const struct hc_attention one = of_text(watch, where, i);
        watch->inner->remember(runtime, &one, keys + i * width, values + i * width);
    }
}

static void watch_attend(struct hc_runtime *runtime, const struct hc_attention *where, const float *queries, float *out)
{
    const struct hc_watch *watch = watch_of(runtime);
    const size_t width = (size_t)where->decoder->heads * where->decoder->head_width;
    for (uint32_t i = 0; i < where->count; i++) {
        const struct hc_attention one = of_text(watch, where, i);
        watch->inner->attend(runtime, &one, queries + i * width, out + i * width);
    }
}

/* Of keys and values of one layer and text. */
static uint64_t cache_bytes(const struct hc_network *network, hc_type type, uint32_t context)
{
    return hc_cache_bytes(&network->decoder, type, context);
}

uint64_t hc_watch_text_bytes(const struct hc_network *network, hc_type type, uint32_t context)
{
    return 2 * cache_bytes(network, type, context) * network->decoder.layers;
}

static hc_status make_caches(struct hc_watch *watch, struct hc_error *error)
{
    hc_sequence *sequence = watch->sequence;
    const uint32_t layers = sequence->network->decoder.layers;
    const struct hc_cache shape = sequence->caches[0];
    const uint64_t bytes = cache_bytes(sequence->network, shape.type, shape.context);
    const size_t count = (size_t)watch->texts * layers;
    watch->caches = calloc(count, sizeof *watch->caches);
    if (!watch->caches)
        return hc_no_memory(error);
    hc_status status = watch->inner->allocate(&sequence->runtime, (size_t)(2 * bytes * count), &watch->memory, error);
    for (size_t i = 0; status == HC_OK && i < count; i++) {
        watch->caches[i] = shape;
        watch->caches[i].keys = (uint8_t *)watch->memory + 2 * bytes * i;
        watch->caches[i].values = (uint8_t *)watch->memory + 2 * bytes * i + bytes;
    }
    return status;
}

hc_status hc_watch_step(struct hc_watch *watch, const int32_t *tokens, float *logits)
{
    hc_status status = hc_sequence_cut(watch->sequence, 0); /* positions are ours */
    if (status == HC_OK)
        status = hc_evaluate(watch->sequence, tokens, watch->texts, HC_LOGITS_ALL, logits);
    watch->position++;
    return status;
}

void hc_watch_restart(struct hc_watch *watch)
{
    watch->position = 0;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static void watch_matrix(struct hc_watch *watch, const struct hc_matrix *matrix, uint32_t columns)
{
    watch->watched[watch->count++] = (struct hc_watched){.matrix = matrix, .leader = SIZE_MAX, .columns = columns};
}

/* All matrices but an embedding, whose rows are looked up. Returns the most columns. */
static uint32_t watch_matrices(struct hc_watch *watch, const struct hc_network *network)
{
    uint32_t most = network->decoder.width;
    for (uint32_t i = 0; i < network->decoder.layers; i++)
        for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
            uint32_t columns = hc_layer_matrix_shape(&network->decoder, m).columns;
            watch_matrix(watch, network->layers[i].matrices[m], columns);
            most = columns > most ? columns : most;
        }
    if (network->head != network->embedding)
        watch_matrix(watch, network->head, network->decoder.width);
    qsort(watch->watched, watch->count, sizeof *watch->watched, by_address);
    return most;
}

hc_status hc_watch_begin(struct hc_watch *watch, hc_sequence *sequence, uint32_t texts, struct hc_error *error)
{
    const struct hc_network *network = sequence->network;
    const size_t most = (size_t)network->decoder.layers * HC_LAYER_MATRICES + 1;
    *watch = (struct hc_watch){
        .table = *sequence->runtime.table, .inner = sequence->runtime.table, .sequence = sequence, .texts = texts};
    watch->table.begin = watch_step_begin;
    watch->table.linear = watch_linear;
    watch->watched = malloc(most * sizeof *watch->watched);
    if (!watch->watched)
        return hc_no_memory(error);
    watch->rows = malloc((size_t)sequence->batch * watch_matrices(watch, network) * sizeof *watch->rows);
    hc_status status = watch->rows ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && texts > 0) {
        watch->table.turns = watch_turns;
        watch->table.remember = watch_remember;
        watch->table.attend = watch_attend;
        status = make_caches(watch, error);
    }
    sequence->runtime.table = &watch->table;
    return status;
}

hc_status hc_watch_add(const struct hc_watch *watch, uint64_t positions, struct hc_moments *moments,
                       struct hc_error *error)
{
    hc_status status = watch->status == HC_OK ? HC_OK : hc_no_memory(error);
    for (size_t i = 0; status == HC_OK && i < watch->count; i++) {
        const struct hc_watched *watched = &watch->watched[i];
        if (watched->leader == SIZE_MAX)
            continue;
        double *means = malloc(watched->columns * sizeof *means);
        if (!means)
            return hc_no_memory(error);
        for (uint32_t j = 0; j < watched->columns; j++)
            means[j] = watch->watched[watched->leader].sums[j] / (double)positions;
        status = hc_moments_add(moments, watch->inner->matrix_name(watched->matrix), means, watched->columns,
                                HC_MOMENTS_MEASURED, error);
        free(means);
    }
    return status;
}

void hc_watch_end(struct hc_watch *watch)
{
    if (watch->sequence) {
        watch->inner->release(&watch->sequence->runtime, watch->memory);
        watch->sequence->runtime.table = watch->inner;
    }
    for (size_t i = 0; i < watch->count; i++)
        free(watch->watched[i].sums);
    free(watch->watched);
    free(watch->rows);
    free(watch->caches);
}
