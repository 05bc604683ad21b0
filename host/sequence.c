/* Sequences of tokens: memory for them, and their evaluation batch by batch. */
#include "arena.h"
#include "backend.h"
#include "candidates.h"
#include "network.h"
#include "sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No more at once: so many blocks has a grid of a GPU, and 32 bits count all heads. */
enum { MAX_BATCH = UINT16_MAX };

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

/* Attention has done with its activations when the inner layer begins, and that with its own: they share their place.
 */
static void lay_out_layer(struct hc_sequence *sequence, struct hc_arena *arena)
{
    const struct hc_decoder *d = &sequence->network->decoder;
    const uint64_t n = sequence->batch, queries = (uint64_t)d->heads * d->head_width;
    const uint64_t keys = (uint64_t)d->key_value_heads * d->head_width;
    struct hc_arena inner = *arena;
    sequence->queries = take_floats(arena, n, queries);
    sequence->keys = take_floats(arena, n, keys);
    sequence->values = take_floats(arena, n, keys);
    sequence->attended = take_floats(arena, n, queries);
    sequence->gate = take_floats(&inner, n, d->inner_width);
    sequence->up = take_floats(&inner, n, d->inner_width);
    arena->used = inner.used > arena->used ? inner.used : arena->used;
}

/* The sizes are bounded by what `configure` allows, so that sums of products of two fit in 64 bits. */
static void lay_out(struct hc_sequence *sequence, struct hc_arena *arena)
{
    const struct hc_decoder *d = &sequence->network->decoder;
    const struct hc_share *share = &sequence->network->share;
    const uint64_t n = sequence->batch;
    sequence->x = take_floats(arena, n, d->width);
    sequence->normed = take_floats(arena, n, d->width);
    lay_out_layer(sequence, arena);
    sequence->turns = take_floats(arena, n, d->head_width);
    sequence->logits = take_floats(arena, share->decides ? sequence->logits_room : 0, d->vocabulary);
    sequence->gathered = take_floats(arena, n, hc_share_gathered(share, &sequence->network->whole));
    sequence->part = take_floats(arena, n, share->rows.count);
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
    const struct hc_matrix *const top[] = {network->embedding, network->head};
    *count = 0;
    if (!list)
        return NULL;
    for (uint32_t i = 0; i < network->decoder.layers; i++)
        for (unsigned m = 0; m < HC_LAYER_MATRICES; m++)
            if (network->layers[i].matrices[m])
                list[(*count)++] = network->layers[i].matrices[m];
    for (size_t i = 0; i < sizeof top / sizeof *top; i++)
        if (top[i])
            list[(*count)++] = top[i];
    return list;
}

static hc_status prepare(struct hc_sequence *sequence, struct hc_error *error)
{
    size_t count;
    uint64_t bytes = 0;
    const struct hc_matrix **matrices = list_matrices(sequence->network, &count);
    if (!matrices)
        return hc_no_memory(error);
    const struct hc_network *network = sequence->network;
    const struct hc_needs needs = {.decoder = &network->decoder,
                                   .n = sequence->batch,
                                   .context = sequence->room,
                                   .gathered = hc_share_gathered(&network->share, &network->whole),
                                   .matrices = matrices,
                                   .matrix_count = count};
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
    sequence->tokens = malloc(sequence->batch * sizeof *sequence->tokens);
    if (!sequence->caches || !sequence->tokens)
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

/* ---- Ranks ---------------------------------------------------------------------------------- */

/* That of a rank of this process. */
static struct hc_sequence *member(struct hc_sequence *sequence, int rank)
{
    while (sequence->network->share.rank != rank)
        sequence = sequence->next;
    return sequence;
}

/* The other processes of a network, told of a failure that this one alone may have. */
static hc_status tell_failure(const struct hc_sequence *first, hc_status status)
{
    if (status != HC_OK && first->comm && !first->crew)
        hc_comm_abort(first->comm, first->context->error.text);
    return status;
}

/* Runs work(user, rank) for all ranks of this process. A failure ends the other processes', too. */
static hc_status on_all(struct hc_sequence *first, hc_crew_fn work, void *user, struct hc_error *error)
{
    if (first->crew)
        return hc_crew_run(first->crew, work, user, error);
    return tell_failure(first, work(user, first->network->share.rank, error));
}

/* Threads of ranks on the CPU, which share those of the context. */
static int threads_of(const struct hc_sequence *first)
{
    int ranks = 0;
    for (const struct hc_sequence *s = first; s; s = s->next)
        ranks += hc_backend_is_cpu(s->network->device);
    const int threads = first->context->threads / (ranks > 0 ? ranks : 1);
    return threads > 0 ? threads : 1;
}

struct creation {
    struct hc_sequence *first;
    hc_type cache_type;
    int threads;
};

static hc_status create_rank(void *user, int rank, struct hc_error *error)
{
    const struct creation *creation = user;
    struct hc_sequence *s = member(creation->first, rank);
    hc_status status;
    HC_TRY(hc_backend_runtime(s->network->device, &s->runtime, &s->context->kernels, creation->threads, error));
    if (s->comm)
        HC_TRY(s->runtime.table->join(&s->runtime, s->comm, error));
    HC_TRY(allocate(s, creation->cache_type, error));
done:
    return status;
}

uint32_t hc_network_batch(const hc_network *network)
{
    enum { SHARE = 50, LEAST = 64, UNIT = 32 };
    if (network->share.ranks > 1 || !hc_backend_is_cpu(network->device))
        return HC_DEFAULT_BATCH;
    const uint64_t position = hc_decoder_activations(&network->whole) * sizeof(float);
    const uint64_t fit = network->info.stored_bytes / SHARE / position / UNIT * UNIT;
    return fit < LEAST ? LEAST : fit < HC_DEFAULT_BATCH ? (uint32_t)fit : HC_DEFAULT_BATCH;
}

/* The sequences of all ranks of this process, without their memory. */
static hc_status make_members(struct hc_sequence *first, const hc_sequence_options *options, struct hc_error *error)
{
    hc_context *context = first->context;
    struct hc_sequence *s = first;
    for (const struct hc_network *network = first->network; network; network = network->next) {
        if (network != first->network && !(s = s->next = calloc(1, sizeof *s)))
            return hc_no_memory(error);
        s->context = context;
        s->network = network;
        s->room = options->context ? options->context : network->whole.context;
        s->batch = options->batch ? options->batch : hc_network_batch(first->network);
        s->batch = s->batch < MAX_BATCH ? s->batch : MAX_BATCH;
        s->batch = s->batch < s->room ? s->batch : s->room;
        s->logits_room = options->logits && options->logits < s->batch ? options->logits : s->batch;
    }
    return HC_OK;
}

/* The context's other processes, where they have the rest of the network. */
static hc_status join_processes(struct hc_sequence *first, struct hc_error *error)
{
    struct hc_comm *comm = &first->context->comm;
    const struct hc_share *share = &first->network->share;
    if (share->ranks == 1 || first->network->next)
        return HC_OK;
    if (comm->ranks != share->ranks || comm->rank != share->rank)
        return hc_fail(error, HC_ERR_ARGUMENT, "the network is split over %d ranks, the context is rank %d of %d",
                       share->ranks, comm->rank, comm->ranks);
    first->comm = comm;
    return HC_OK;
}

/* Threads, where the ranks are devices of this process. */
static hc_status make_crew(struct hc_sequence *first, struct hc_error *error)
{
    const struct hc_comm *comm = &first->context->comm;
    if (!first->next)
        return HC_OK;
    hc_status status = hc_crew_create(&first->crew, first->network->share.ranks, comm->timeout, error);
    for (struct hc_sequence *s = first; status == HC_OK && s; s = s->next)
        s->comm = hc_crew_comm(first->crew, s->network->share.rank);
    if (status == HC_OK) { /* the calling thread is the first rank's */
        first->comm->go_on = comm->go_on;
        first->comm->user = comm->user;
    }
    return status;
}

/* What the ranks evaluate at once, and how far, is the same. */
static hc_status agree_on_options(const struct hc_sequence *first, const hc_sequence_options *options,
                                  struct hc_error *error)
{
    char text[64];
    if (!first->comm)
        return HC_OK;
    snprintf(text, sizeof text, "%u %u %u %d", options->context, options->batch, options->logits,
             (int)options->cache_type);
    return hc_comm_agree(first->comm, text, "the options of a sequence", error);
}

hc_status hc_sequence_create(hc_context *context, const hc_network *network, const hc_sequence_options *options,
                             hc_sequence **out)
{
    hc_sequence_options defaults;
    hc_sequence_options_init(&defaults);
    if (!options)
        options = &defaults;
    struct hc_error *error = &context->error;
    hc_status status;
    *out = NULL;
    hc_sequence *sequence = calloc(1, sizeof *sequence);
    if (!sequence) {
        hc_no_memory(error);
        hc_context_leave(context, error->text);
        return HC_ERR_MEMORY;
    }
    sequence->context = context;
    sequence->network = network;
    HC_TRY(join_processes(sequence, error));
    HC_TRY(agree_on_options(sequence, options, error));
    HC_TRY(check_options(options, &network->whole, error));
    HC_TRY(make_members(sequence, options, error));
    HC_TRY(make_crew(sequence, error));
    struct creation creation = {sequence, options->cache_type, threads_of(sequence)};
    HC_TRY(on_all(sequence, create_rank, &creation, error));
    *out = sequence;
    sequence = NULL;
done:
    if (sequence)
        tell_failure(sequence, status);
    hc_sequence_destroy(sequence);
    return status;
}

/* Runtimes of several ranks end together. */
static hc_status destroy_runtime(void *user, int rank, struct hc_error *error)
{
    struct hc_sequence *s = member(user, rank);
    (void)error;
    if (!s->runtime.table)
        return HC_OK;
    s->runtime.table->release(&s->runtime, s->memory);
    s->runtime.table->destroy(&s->runtime);
    return HC_OK;
}

void hc_sequence_destroy(hc_sequence *sequence)
{
    struct hc_error error;
    if (!sequence)
        return;
    on_all(sequence, destroy_runtime, sequence, &error);
    hc_crew_destroy(sequence->crew);
    for (struct hc_sequence *next; sequence; sequence = next) {
        next = sequence->next;
        free(sequence->caches);
        free(sequence->tokens);
        free(sequence->fetched);
        free(sequence->all_logits);
        free(sequence);
    }
}

/* ---- Evaluation ----------------------------------------------------------------------------- */

static hc_status check_tokens(const struct hc_sequence *sequence, const int32_t *tokens, size_t count)
{
    struct hc_error *error = &sequence->context->error;
    if (count == 0)
        return hc_fail(error, HC_ERR_ARGUMENT, "no tokens to evaluate");
    if (count > sequence->room - sequence->length)
        return hc_fail(error, HC_ERR_ARGUMENT, "%llu tokens after %u: the context holds %u", (unsigned long long)count,
                       sequence->length, sequence->room);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= sequence->network->whole.vocabulary)
            return hc_fail(error, HC_ERR_ARGUMENT, "token %d is not in 0 .. %u", (int)tokens[i],
                           sequence->network->whole.vocabulary - 1);
    return HC_OK;
}

/* Tokens as rows of this rank's embedding. */
static void find_rows(struct hc_sequence *s, const int32_t *tokens, uint32_t count)
{
    const struct hc_range *mine = &s->network->share.vocabulary;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t token = (uint32_t)tokens[i];
        s->tokens[i] = token >= mine->first && token - mine->first < mine->count ? (int32_t)(token - mine->first) : -1;
    }
}

static void run_step(struct hc_sequence *s, const struct hc_step *step)
{
    const struct hc_runtime_table *run = s->runtime.table;
    if (!run->begin(&s->runtime, step))
        return;
    s->network->architecture->evaluate(s, step->first, step->tokens, step->count, step->wanted);
    run->end(&s->runtime);
}

/* What is read from the device, before anything is chosen by it or told of it: one weight that is no number spoils all
 * logits, and text or figures made of them would look as if the model were no better. A device that chooses where the
 * logits are does not come here. */
static hc_status check_logits(const struct hc_sequence *s, const float *logits, size_t count, struct hc_error *error)
{
    bool bad = false;
    for (size_t i = 0; i < count; i++)
        bad |= !isfinite(logits[i]);
    return bad ? hc_fail(error, HC_ERR_CORRUPT, "%s: the logits are not finite: the weights are damaged, or too large",
                         s->network->model->source->path)
               : HC_OK;
}

/* Waits until rows of this rank's logits are there; s->fetched has them. */
static hc_status fetch_logits(struct hc_sequence *s, uint32_t rows, struct hc_error *error)
{
    const struct hc_network *network = s->network;
    const size_t row = network->logits_of[network->share.rank] * sizeof(float);
    if (row > 0 && rows > s->fetched_room) {
        float *fetched = malloc(rows * row);
        if (!fetched)
            return hc_no_memory(error);
        free(s->fetched);
        s->fetched = fetched;
        s->fetched_room = rows;
    }
    if (row > 0 && rows > 0)
        s->runtime.table->read(&s->runtime, s->logits, rows * row, s->fetched);
    hc_status status = s->runtime.table->finish(&s->runtime, error);
    return status == HC_OK ? check_logits(s, s->fetched, rows * (row / sizeof(float)), error) : status;
}

/* Puts what was fetched into rows of logits that all ranks have: threads write to the same ones, processes tell each
 * other. */
static hc_status join_logits(struct hc_sequence *s, uint32_t rows, float *logits, struct hc_error *error)
{
    const struct hc_network *network = s->network;
    const struct hc_share *share = &network->share;
    const uint32_t all = network->whole.vocabulary, mine = network->logits_of[share->rank];
    size_t *bytes = NULL;
    hc_status status = HC_OK;
    for (uint32_t i = 0; mine > 0 && i < rows; i++)
        memcpy(logits + (size_t)i * all + share->vocabulary.first, s->fetched + (size_t)i * mine,
               mine * sizeof *logits);
    if (s->comm != &s->context->comm)
        return HC_OK;
    if (!(bytes = malloc((size_t)share->ranks * sizeof *bytes)))
        return hc_no_memory(error);
    for (int r = 0; r < share->ranks; r++)
        bytes[r] = network->logits_of[r] * sizeof *logits;
    for (uint32_t i = 0; status == HC_OK && i < rows; i++, logits += all)
        status = hc_comm_all_gather(s->comm, logits + share->vocabulary.first, logits, bytes, "logits", error);
    free(bytes);
    return status;
}

/* Waits for a step, and hands out its logits. */
static hc_status take_logits(struct hc_sequence *s, uint32_t rows, float *logits, struct hc_error *error)
{
    const struct hc_runtime_table *run = s->runtime.table;
    const size_t count = logits ? (size_t)rows * s->network->whole.vocabulary : 0;
    hc_status status;
    if (count > 0 && s->comm) {
        status = fetch_logits(s, rows, error);
        return status == HC_OK ? join_logits(s, rows, logits, error) : status;
    }
    if (count > 0)
        run->read(&s->runtime, s->logits, count * sizeof *logits, logits);
    status = run->finish(&s->runtime, error);
    return status == HC_OK ? check_logits(s, logits, count, error) : status;
}

struct evaluation {
    struct hc_sequence *first;
    const int32_t *tokens;
    size_t count;
    hc_logits which;
    float *logits;
};

static hc_status evaluate_rank(void *user, int rank, struct hc_error *error)
{
    const struct evaluation *e = user;
    struct hc_sequence *s = member(e->first, rank);
    float *logits = e->logits;
    hc_status status = HC_OK;
    const uint32_t most = e->which == HC_LOGITS_ALL ? s->logits_room : s->batch;
    for (size_t at = 0; status == HC_OK && at < e->count;) {
        size_t rest = e->count - at;
        uint32_t n = rest < most ? (uint32_t)rest : most;
        uint32_t wanted = e->which == HC_LOGITS_ALL ? n : e->which == HC_LOGITS_LAST && n == rest ? 1 : 0;
        find_rows(s, e->tokens + at, n);
        run_step(s, &(struct hc_step){s->tokens, s->length + (uint32_t)at, n, wanted, true});
        status = take_logits(s, wanted, logits, error);
        logits = logits ? logits + (size_t)wanted * s->network->whole.vocabulary : NULL;
        at += n;
    }
    return status;
}

hc_status hc_evaluate(hc_sequence *sequence, const int32_t *tokens, size_t count, hc_logits which, float *logits)
{
    struct evaluation evaluation = {sequence, tokens, count, which, logits};
    hc_status status = check_tokens(sequence, tokens, count);
    if (status == HC_OK)
        status = on_all(sequence, evaluate_rank, &evaluation, &sequence->context->error);
    for (struct hc_sequence *s = sequence; s; s = s->next)
        s->length += status == HC_OK ? (uint32_t)count : 0;
    sequence->has_last = status == HC_OK && which == HC_LOGITS_LAST;
    return status;
}

/* ---- Choosing ------------------------------------------------------------------------------- */

struct choosing {
    struct hc_sequence *first;
    uint32_t most; /* so many of the best are enough; 0: all are needed */
};

/* How many of the best a rank tells. */
static uint32_t told_by(const struct hc_network *network, int rank, uint32_t most)
{
    return network->logits_of[rank] < most ? network->logits_of[rank] : most;
}

/* A row of logits that has these, rank by rank, and no others. What other ranks say is looked at before it is used. */
static hc_status put_best(const struct hc_network *network, const struct hc_candidate *best, uint32_t most,
                          float *logits, struct hc_error *error)
{
    const uint32_t vocabulary = network->whole.vocabulary;
    for (uint32_t t = 0; t < vocabulary; t++)
        logits[t] = -INFINITY;
    for (int r = 0; r < network->share.ranks; r++)
        for (uint32_t i = told_by(network, r, most); i-- > 0; best++) {
            if ((uint32_t)best->token >= vocabulary)
                return hc_fail(error, HC_ERR_RANKS, "rank %d chooses otherwise: among them token %d", r,
                               (int)best->token);
            logits[best->token] = best->logit;
        }
    return HC_OK;
}

/* Makes the row of all ranks' logits out of the best of every process: nothing else can be chosen. */
static hc_status join_best(struct hc_sequence *s, uint32_t most, float *logits, struct hc_error *error)
{
    const struct hc_network *network = s->network;
    const struct hc_share *share = &network->share;
    const size_t ranks = (size_t)share->ranks;
    size_t *bytes = malloc(ranks * sizeof *bytes);
    const uint32_t count = network->logits_of[share->rank];
    uint64_t *heap = malloc((count + (size_t)1) * sizeof *heap);
    struct hc_candidate *mine = malloc(most * sizeof *mine), *all = malloc(ranks * most * sizeof *all);
    hc_status status = bytes && heap && mine && all ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    for (int r = 0; r < share->ranks; r++)
        bytes[r] = told_by(network, r, most) * sizeof *all;
    hc_candidates_best(&s->context->kernels.sampling, s->fetched, count, (int32_t)share->vocabulary.first, most, heap,
                       mine);
    HC_TRY(hc_comm_all_gather(s->comm, mine, all, bytes, "the most likely tokens", error));
    status = put_best(network, all, most, logits, error);
done:
    free(bytes);
    free(heap);
    free(mine);
    free(all);
    return status;
}

static hc_status gather_rank(void *user, int rank, struct hc_error *error)
{
    const struct choosing *choosing = user;
    struct hc_sequence *s = member(choosing->first, rank);
    float *logits = choosing->first->all_logits;
    hc_status status = fetch_logits(s, 1, error);
    if (status != HC_OK)
        return status;
    if (choosing->most > 0 && s->comm == &s->context->comm)
        return join_best(s, choosing->most, logits, error);
    return join_logits(s, 1, logits, error);
}

/* Chooses by what is fetched from the devices. Processes choose what the first one does, whatever their seeds are. */
static hc_status choose_here(hc_sequence *sequence, hc_sampler *sampler, uint32_t most, int32_t *token)
{
    struct hc_error *error = &sequence->context->error;
    const size_t bytes = sequence->network->whole.vocabulary * sizeof *sequence->all_logits;
    struct hc_comm *processes = sequence->crew ? NULL : sequence->comm;
    struct choosing choosing = {sequence, most};
    hc_status status = HC_OK;
    if (processes)
        HC_TRY(hc_sampler_agree(sampler, processes, error));
    if (!sequence->all_logits && !(sequence->all_logits = malloc(bytes)))
        status = hc_no_memory(error);
    HC_TRY(status);
    HC_TRY(on_all(sequence, gather_rank, &choosing, error));
    *token = hc_sampler_choose(sampler, sequence->all_logits);
    if (processes)
        status = hc_comm_broadcast(processes, 0, token, sizeof *token, "the next token", error);
done:
    return tell_failure(sequence, status);
}

/* How many of the best logits are enough for a choice; 0: all are needed. */
static uint32_t enough(const struct hc_choice *choice)
{
    enum { MOST = 1024 };
    return choice->temperature <= 0 ? 1 : choice->top_k <= MOST ? choice->top_k : 0;
}

hc_status hc_sequence_choose(hc_sequence *sequence, hc_sampler *sampler, int32_t *token)
{
    const struct hc_runtime_table *run = sequence->runtime.table;
    const uint32_t vocabulary = sequence->network->whole.vocabulary;
    struct hc_error *error = &sequence->context->error;
    struct hc_choice choice;
    if (!sequence->has_last)
        return hc_fail(error, HC_ERR_ARGUMENT, "there are no logits of a last token to choose by");
    if (hc_sampler_vocabulary(sampler) != vocabulary)
        return hc_fail(error, HC_ERR_ARGUMENT, "the sampler is for %u tokens, the model has %u",
                       hc_sampler_vocabulary(sampler), vocabulary);
    const bool planned = hc_sampler_plan(sampler, &choice);
    if (sequence->comm || !planned || !run->choose(&sequence->runtime, sequence->logits, vocabulary, &choice, token))
        return choose_here(sequence, sampler, planned ? enough(&choice) : 0, token);
    hc_status status = run->finish(&sequence->runtime, error);
    if (status == HC_OK)
        hc_sampler_chosen(sampler);
    return status;
}

/* ---- The rest ------------------------------------------------------------------------------- */

uint32_t hc_sequence_length(const hc_sequence *sequence)
{
    return sequence->length;
}

uint32_t hc_sequence_batch(const hc_sequence *sequence)
{
    return sequence->batch;
}

hc_status hc_sequence_cut(hc_sequence *sequence, uint32_t length)
{
    if (length > sequence->length)
        return hc_fail(&sequence->context->error, HC_ERR_ARGUMENT, "cannot cut %u tokens to %u", sequence->length,
                       length);
    sequence->has_last = sequence->has_last && length == sequence->length;
    for (struct hc_sequence *s = sequence; s; s = s->next)
        s->length = length;
    return HC_OK;
}

uint64_t hc_sequence_bytes(const hc_sequence *sequence)
{
    uint64_t bytes = 0;
    for (const struct hc_sequence *s = sequence; s; s = s->next)
        bytes += s->bytes;
    return bytes;
}

static hc_rank_use use_of(const struct hc_sequence *s)
{
    hc_rank_use use = {.weight_bytes = s->network->held_bytes, .sequence_bytes = s->bytes};
    snprintf(use.device, sizeof use.device, "%s", s->network->device);
    return use;
}

hc_status hc_sequence_use(hc_sequence *sequence, hc_rank_use *uses)
{
    const size_t ranks = (size_t)sequence->network->share.ranks;
    struct hc_error *error = &sequence->context->error;
    for (const struct hc_sequence *s = sequence; s; s = s->next)
        uses[s->network->share.rank] = use_of(s);
    if (sequence->crew || !sequence->comm)
        return HC_OK;
    size_t *bytes = malloc(ranks * sizeof *bytes);
    if (!bytes)
        return tell_failure(sequence, hc_no_memory(error));
    for (size_t r = 0; r < ranks; r++)
        bytes[r] = sizeof *uses;
    hc_status status = hc_comm_all_gather(sequence->comm, &uses[sequence->comm->rank], uses, bytes,
                                          "how much memory the ranks take", error);
    free(bytes);
    return tell_failure(sequence, status);
}
