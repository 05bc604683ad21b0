/* Sequences of tokens: memory for them, and their evaluation batch by batch. */
#include "arena.h"
#include "backend.h"
#include "network.h"
#include "sampler.h"

#include <stdlib.h>

enum {
    DEFAULT_BATCH = 128,
    MAX_BATCH = UINT16_MAX /* no more at once: so many blocks has a grid of a GPU, and 32 bits count all heads */
};

void hc_sequence_options_init(hc_sequence_options *options)
{
    *options = (hc_sequence_options){.cache_type = HC_TYPE_F16};
}

static hc_status check_options(const hc_sequence_options *options, const struct hc_decoder *decoder,
                               struct hc_error *error)
{
    if (options->context > decoder->context)
        return hc_fail(error, HC_ERR_ARGUMENT, "a context of %u tokens: the model allows %u", options->context,
                       decoder->context);
    if (options->cache_type != HC_TYPE_F16 && options->cache_type != HC_TYPE_F32 && options->cache_type != HC_TYPE_I8)
        return hc_fail(error, HC_ERR_ARGUMENT, "keys and values are kept as F16, F32 or I8, not %s",
                       hc_type_name(options->cache_type));
    return HC_OK;
}

static float *take_floats(struct hc_arena *arena, uint64_t rows, uint64_t width)
{
    return hc_arena_take(arena, rows * width * sizeof(float));
}

/* The sizes are bounded by what `configure` allows, so that sums of products of two fit in 64 bits. */
static void lay_out(struct hc_sequence *sequence, struct hc_arena *arena)
{
    const struct hc_decoder *d = &sequence->network->decoder;
    const uint64_t n = sequence->batch, queries = (uint64_t)d->heads * d->head_width;
    const uint64_t keys = (uint64_t)d->key_value_heads * d->head_width;
    sequence->x = take_floats(arena, n, d->width);
    sequence->normed = take_floats(arena, n, d->width);
    sequence->queries = take_floats(arena, n, queries);
    sequence->keys = take_floats(arena, n, keys);
    sequence->values = take_floats(arena, n, keys);
    sequence->attended = take_floats(arena, n, queries);
    sequence->gate = take_floats(arena, n, d->inner_width);
    sequence->up = take_floats(arena, n, d->inner_width);
    sequence->turns = take_floats(arena, n, d->head_width);
    for (uint32_t i = 0; i < d->layers; i++) {
        struct hc_cache *cache = &sequence->caches[i];
        cache->context = sequence->room;
        cache->keys = hc_arena_take(arena, hc_cache_bytes(d, cache->type, sequence->room));
        cache->values = hc_arena_take(arena, hc_cache_bytes(d, cache->type, sequence->room));
    }
}

/* All matrices that the sequence multiplies with; the caller frees them. */
static const struct hc_matrix **list_matrices(const struct hc_network *network, size_t *count)
{
    const struct hc_matrix **list = malloc(((size_t)network->decoder.layers * HC_LAYER_MATRICES + 2) * sizeof *list);
    *count = 0;
    if (!list)
        return NULL;
    for (uint32_t i = 0; i < network->decoder.layers; i++)
        for (unsigned m = 0; m < HC_LAYER_MATRICES; m++)
            list[(*count)++] = network->layers[i].matrices[m];
    list[(*count)++] = network->embedding;
    list[(*count)++] = network->head;
    return list;
}

static hc_status prepare(struct hc_sequence *sequence, struct hc_error *error)
{
    size_t count;
    uint64_t bytes = 0;
    const struct hc_matrix **matrices = list_matrices(sequence->network, &count);
    if (!matrices)
        return hc_no_memory(error);
    const struct hc_needs needs = {&sequence->network->decoder, sequence->batch, sequence->room, matrices, count};
    hc_status status = sequence->runtime.table->prepare(&sequence->runtime, &needs, &bytes, error);
    sequence->bytes += bytes;
    free(matrices);
    return status;
}

static hc_status allocate(struct hc_sequence *sequence, hc_type cache_type, struct hc_error *error)
{
    const struct hc_decoder *decoder = &sequence->network->decoder;
    struct hc_arena counted = {.alignment = 64}, arena = {.alignment = 64};
    void *memory;
    sequence->caches = calloc(decoder->layers, sizeof *sequence->caches);
    if (!sequence->caches)
        return hc_no_memory(error);
    for (uint32_t i = 0; i < decoder->layers; i++)
        sequence->caches[i].type = cache_type;
    lay_out(sequence, &counted);
    hc_status status = sequence->runtime.table->allocate(&sequence->runtime, (size_t)counted.used, &memory, error);
    if (status != HC_OK)
        return status;
    sequence->memory = memory;
    sequence->bytes = counted.used;
    arena.base = memory;
    lay_out(sequence, &arena);
    return prepare(sequence, error);
}

/* Room for the logits of `rows` tokens: those of a whole batch are large, and few ask for them. */
static hc_status make_room(struct hc_sequence *sequence, uint32_t rows, struct hc_error *error)
{
    const uint64_t row = sequence->network->decoder.vocabulary * sizeof(float);
    void *logits;
    if (rows <= sequence->logits_room)
        return HC_OK;
    hc_status status = sequence->runtime.table->allocate(&sequence->runtime, (size_t)(rows * row), &logits, error);
    if (status != HC_OK)
        return status;
    sequence->runtime.table->release(&sequence->runtime, sequence->logits);
    sequence->logits = logits;
    sequence->bytes += (rows - sequence->logits_room) * row;
    sequence->logits_room = rows;
    return HC_OK;
}

hc_status hc_sequence_create(hc_context *context, const hc_network *network, const hc_sequence_options *options,
                             hc_sequence **out)
{
    hc_sequence_options defaults;
    hc_sequence_options_init(&defaults);
    if (!options)
        options = &defaults;
    struct hc_error *error = &context->error;
    hc_sequence *sequence = NULL;
    *out = NULL;
    hc_status status = check_options(options, &network->decoder, error);
    if (status != HC_OK)
        return status;
    sequence = calloc(1, sizeof *sequence);
    if (!sequence)
        return hc_no_memory(error);
    sequence->context = context;
    sequence->network = network;
    sequence->room = options->context ? options->context : network->decoder.context;
    sequence->batch = options->batch ? options->batch : DEFAULT_BATCH;
    sequence->batch = sequence->batch < MAX_BATCH ? sequence->batch : MAX_BATCH;
    sequence->batch = sequence->batch < sequence->room ? sequence->batch : sequence->room;
    HC_TRY(hc_backend_runtime(network->device, &sequence->runtime, &context->kernels, context->threads, error));
    HC_TRY(allocate(sequence, options->cache_type, error));
    HC_TRY(make_room(sequence, 1, error));
    *out = sequence;
    sequence = NULL;
done:
    hc_sequence_destroy(sequence);
    return status;
}

void hc_sequence_destroy(hc_sequence *sequence)
{
    if (!sequence)
        return;
    if (sequence->runtime.table) {
        sequence->runtime.table->release(&sequence->runtime, sequence->memory);
        sequence->runtime.table->release(&sequence->runtime, sequence->logits);
        sequence->runtime.table->destroy(&sequence->runtime);
    }
    free(sequence->caches);
    free(sequence->fetched);
    free(sequence);
}

static hc_status check_tokens(const struct hc_sequence *sequence, const int32_t *tokens, size_t count)
{
    struct hc_error *error = &sequence->context->error;
    if (count == 0)
        return hc_fail(error, HC_ERR_ARGUMENT, "no tokens to evaluate");
    if (count > sequence->room - sequence->length)
        return hc_fail(error, HC_ERR_ARGUMENT, "%llu tokens after %u: the context holds %u", (unsigned long long)count,
                       sequence->length, sequence->room);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= sequence->network->decoder.vocabulary)
            return hc_fail(error, HC_ERR_ARGUMENT, "token %d is not in 0 .. %u", (int)tokens[i],
                           sequence->network->decoder.vocabulary - 1);
    return HC_OK;
}

static void evaluate(hc_sequence *sequence, const struct hc_step *step)
{
    const struct hc_runtime_table *run = sequence->runtime.table;
    if (!run->begin(&sequence->runtime, step))
        return;
    sequence->network->architecture->evaluate(sequence, step->first, step->tokens, step->count, step->wanted);
    run->end(&sequence->runtime);
}

hc_status hc_evaluate(hc_sequence *sequence, const int32_t *tokens, size_t count, hc_logits which, float *logits)
{
    struct hc_error *error = &sequence->context->error;
    const uint32_t vocabulary = sequence->network->decoder.vocabulary, begin = sequence->length;
    hc_status status = check_tokens(sequence, tokens, count);
    if (status == HC_OK && which == HC_LOGITS_ALL)
        status = make_room(sequence, count < sequence->batch ? (uint32_t)count : sequence->batch, error);
    for (size_t at = 0; status == HC_OK && at < count;) {
        size_t rest = count - at;
        uint32_t n = rest < sequence->batch ? (uint32_t)rest : sequence->batch;
        uint32_t wanted = which == HC_LOGITS_ALL ? n : which == HC_LOGITS_LAST && n == rest ? 1 : 0;
        evaluate(sequence, &(struct hc_step){tokens + at, sequence->length, n, wanted, true});
        if (wanted > 0 && logits)
            sequence->runtime.table->read(&sequence->runtime, sequence->logits,
                                          (size_t)wanted * vocabulary * sizeof *logits, logits);
        logits = logits ? logits + (size_t)wanted * vocabulary : NULL;
        status = sequence->runtime.table->finish(&sequence->runtime, error);
        sequence->length += n;
        at += n;
    }
    sequence->has_last = status == HC_OK && which == HC_LOGITS_LAST;
    if (status != HC_OK)
        sequence->length = begin;
    return status;
}

/* Chooses by what is fetched from the device. */
static hc_status choose_here(hc_sequence *sequence, hc_sampler *sampler, int32_t *token)
{
    const size_t bytes = sequence->network->decoder.vocabulary * sizeof *sequence->fetched;
    if (!sequence->fetched && !(sequence->fetched = malloc(bytes)))
        return hc_no_memory(&sequence->context->error);
    sequence->runtime.table->read(&sequence->runtime, sequence->logits, bytes, sequence->fetched);
    hc_status status = sequence->runtime.table->finish(&sequence->runtime, &sequence->context->error);
    if (status == HC_OK)
        *token = hc_sampler_choose(sampler, sequence->fetched);
    return status;
}

hc_status hc_sequence_choose(hc_sequence *sequence, hc_sampler *sampler, int32_t *token)
{
    const struct hc_runtime_table *run = sequence->runtime.table;
    struct hc_error *error = &sequence->context->error;
    struct hc_choice choice;
    if (!sequence->has_last)
        return hc_fail(error, HC_ERR_ARGUMENT, "there are no logits of a last token to choose by");
    if (hc_sampler_vocabulary(sampler) != sequence->network->decoder.vocabulary)
        return hc_fail(error, HC_ERR_ARGUMENT, "the sampler is for %u tokens, the model has %u",
                       hc_sampler_vocabulary(sampler), sequence->network->decoder.vocabulary);
    if (!hc_sampler_plan(sampler, &choice) ||
        !run->choose(&sequence->runtime, sequence->logits, sequence->network->decoder.vocabulary, &choice, token))
        return choose_here(sequence, sampler, token);
    hc_status status = run->finish(&sequence->runtime, error);
    if (status == HC_OK)
        hc_sampler_chosen(sampler);
    return status;
}

uint32_t hc_sequence_length(const hc_sequence *sequence)
{
    return sequence->length;
}

hc_status hc_sequence_cut(hc_sequence *sequence, uint32_t length)
{
    if (length > sequence->length)
        return hc_fail(&sequence->context->error, HC_ERR_ARGUMENT, "cannot cut %u tokens to %u", sequence->length,
                       length);
    sequence->has_last = sequence->has_last && length == sequence->length;
    sequence->length = length;
    return HC_OK;
}

uint64_t hc_sequence_bytes(const hc_sequence *sequence)
{
    return sequence->bytes;
}
