#include "rate.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICES = 7, MOST_PLACES = 1 << 14, LEAST_PLACES = 1 << 12, TABLE_BYTES = 1 << 26, HALVINGS = 128 };

static const uint8_t choices[CHOICES] = {1, 2, 3, 4, 5, 6, 8};

/* ---- By name -------------------------------------------------------------------------------- */

/* Last components. */
static const char *const embeddings[] = {"embed_tokens",
                                         "embed_tokens_per_layer",
                                         "embed_positions",
                                         "embed_in",
                                         "embedding",
                                         "embeddings",
                                         "position_embedding",
                                         "position_embeddings",
                                         "positions_embed",
                                         "position_embd",
                                         "relative_attention_bias",
                                         "tok_embeddings",
                                         "token_embd",
                                         "token_embedding",
                                         "token_embeddings",
                                         "token_type_embeddings",
                                         "token_types",
                                         "tokens_embed",
                                         "word_embedding",
                                         "word_embeddings",
                                         "wpe",
                                         "wte"};
static const char *const heads[] = {"embed_out",           "lm_head",        "lm_head.decoder", "output_layer",
                                    "predictions.decoder", "vocab_projector"};
/* Words of blocks too: only at the top. */
static const char *const top_embeddings[] = {"emb", "embed", "shared"};
static const char *const top_heads[] = {"head", "output"};
static const char *const tops[] = {"", "backbone.", "language_model.", "model.", "rwkv.", "transformer."};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Whether the first `length` characters of name end in a word of the list, as a component. What lies in front of a word
 * of more than one part may also be a part of it, as in x_position_embeddings. */
static bool ends_in(const char *name, size_t length, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t word = strlen(words[i]);
        if (word > length || memcmp(name + length - word, words[i], word) != 0)
            continue;
        char before = word < length ? name[length - word - 1] : '.';
        if (before == '.' || (before == '_' && strchr(words[i], '_')))
            return true;
    }
    return false;
}

/* Whether they are a word of the list behind a top, and nothing else. */
static bool is_top(const char *name, size_t length, const char *const *words, size_t count)
{
    for (size_t t = 0; t < COUNT(tops); t++) {
        size_t top = strlen(tops[t]);
        if (top > length || memcmp(name, tops[t], top) != 0)
            continue;
        for (size_t i = 0; i < count; i++)
            if (strlen(words[i]) == length - top && memcmp(name + top, words[i], length - top) == 0)
                return true;
    }
    return false;
}

enum hc_role hc_tensor_role(const char *name)
{
    static const char ending[] = ".weight";
    size_t length = strlen(name), end = sizeof ending - 1;
    if (length > end && strcmp(name + length - end, ending) == 0)
        length -= end;
    if (ends_in(name, length, heads, COUNT(heads)) || is_top(name, length, top_heads, COUNT(top_heads)))
        return HC_ROLE_HEAD;
    if (ends_in(name, length, embeddings, COUNT(embeddings)) ||
        is_top(name, length, top_embeddings, COUNT(top_embeddings)))
        return HC_ROLE_EMBEDDING;
    return HC_ROLE_OTHER;
}

int hc_window_bits(const char *name, const hc_window_options *options)
{
    for (size_t i = 0; i < options->bits_for_count; i++)
        if (fnmatch(options->bits_for[i].pattern, name, 0) == 0)
            return options->bits_for[i].bits;
    switch (hc_tensor_role(name)) {
    case HC_ROLE_EMBEDDING:
        return options->embedding_bits;
    case HC_ROLE_HEAD:
        return options->head_bits;
    default:
        return options->bits == floor(options->bits) ? (int)options->bits : -1;
    }
}

int hc_rate_fixed(const struct hc_tensor *tensor, const hc_compress_options *options)
{
    return hc_window_bits(tensor->name, &options->window);
}

/* ---- Sharing -------------------------------------------------------------------------------- */

/* The best choice so far for one place of the table. Bytes are counted from all tensors at k = 1. */
struct place {
    double cost; /* error + lambda bytes; INFINITY: no choice comes here */
    double error;
    uint64_t bytes;
};

struct table {
    const struct hc_rate_tensor *tensors;
    size_t count;
    uint64_t least;      /* bytes at k = 1 */
    uint64_t low, asked; /* what counts as met, from there */
    uint64_t limit;      /* more is not looked at */
    double lambda;
    size_t places;
    uint64_t width;           /* bytes of a place */
    struct place *now, *next; /* after some tensors, and one more */
    uint8_t *taken;           /* the k of each tensor on the way to each of its places */
};

static uint64_t extra(const struct hc_rate_tensor *tensor, unsigned k)
{
    return tensor->bytes[k] - tensor->bytes[1];
}

/* Bytes beyond the least, if every tensor minimises error + lambda bytes by itself; ties go to fewer bits. */
static uint64_t bytes_at(const struct table *table, double lambda)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct hc_rate_tensor *tensor = &table->tensors[i];
        unsigned best = 1;
        double least = tensor->error[1];
        for (size_t c = 1; c < CHOICES && choices[c] <= tensor->most; c++) {
            double cost = tensor->error[choices[c]] + lambda * (double)extra(tensor, choices[c]);
            if (cost < least) {
                least = cost;
                best = choices[c];
            }
        }
        bytes += extra(tensor, best);
    }
    return bytes;
}

/* The least lambda, nearly, at which the tensors by themselves stay within the asked bytes. */
static double find_lambda(const struct table *table)
{
    double below = 0, above = 0;
    if (bytes_at(table, 0) <= table->asked)
        return 0;
    /* Where a byte costs more than all errors together, nobody takes one. */
    for (size_t i = 0; i < table->count; i++)
        above += table->tensors[i].error[1];
    for (int n = 0; n < HALVINGS; n++) {
        double middle = (below + above) / 2;
        if (bytes_at(table, middle) <= table->asked)
            above = middle;
        else
            below = middle;
    }
    return above;
}

/* Bytes of a rate beyond the least, a fraction rounded down or up; 0 if it is below. */
static uint64_t bytes_of_rate(double rate, uint64_t weights, uint64_t least, bool up)
{
    double bytes = rate * (double)weights / 8;
    bytes = up ? ceil(bytes) : floor(bytes);
    return bytes > (double)least ? (uint64_t)bytes - least : 0;
}

static void clear(struct place *places, size_t count)
{
    for (size_t p = 0; p < count; p++)
        places[p] = (struct place){INFINITY, 0, 0};
}

/* One more tensor: every choice so far goes on with every k. */
static void add_tensor(struct table *table, size_t i)
{
    const struct hc_rate_tensor *tensor = &table->tensors[i];
    uint8_t *taken = table->taken + i * table->places;
    clear(table->next, table->places);
    for (size_t p = 0; p < table->places; p++) {
        const struct place *from = &table->now[p];
        for (size_t c = 0; c < CHOICES && choices[c] <= tensor->most && from->cost < INFINITY; c++) {
            uint64_t more = extra(tensor, choices[c]), bytes = from->bytes + more;
            double cost = from->cost + (tensor->error[choices[c]] + table->lambda * (double)more);
            if (bytes > table->limit || !(cost < table->next[bytes / table->width].cost))
                continue;
            table->next[bytes / table->width] = (struct place){cost, from->error + tensor->error[choices[c]], bytes};
            taken[bytes / table->width] = choices[c];
        }
    }
    struct place *swap = table->now;
    table->now = table->next;
    table->next = swap;
}

/* Whether a is what was asked for more than b is (rate.h). */
static bool is_better(const struct table *table, const struct place *a, const struct place *b)
{
    int rank_a = a->bytes > table->asked ? 1 : a->bytes >= table->low ? 0 : 2;
    int rank_b = b->bytes > table->asked ? 1 : b->bytes >= table->low ? 0 : 2;
    if (rank_a != rank_b)
        return rank_a < rank_b;
    return rank_a == 0 ? a->error < b->error : rank_a == 1 ? a->bytes < b->bytes : a->bytes > b->bytes;
}

/* Fills in k, from the last tensor to the first; returns the bytes beyond the least. */
static uint64_t choose(const struct table *table, uint8_t *k)
{
    const struct place *best = NULL;
    for (size_t p = 0; p < table->places; p++)
        if (table->now[p].cost < INFINITY && (!best || is_better(table, &table->now[p], best)))
            best = &table->now[p];
    uint64_t bytes = best->bytes; /* all tensors at k = 1 always come through */
    for (size_t i = table->count; i-- > 0;) {
        k[i] = table->taken[i * table->places + bytes / table->width];
        bytes -= extra(&table->tensors[i], k[i]);
    }
    return best->bytes;
}

static void set_scale(struct table *table, uint64_t weights, double asked)
{
    uint64_t most = 0;
    for (size_t i = 0; i < table->count; i++) {
        uint64_t largest = 0;
        for (size_t c = 0; c < CHOICES && choices[c] <= table->tensors[i].most; c++)
            if (extra(&table->tensors[i], choices[c]) > largest)
                largest = extra(&table->tensors[i], choices[c]);
        most += largest;
    }
    table->asked = bytes_of_rate(asked, weights, table->least, false);
    table->low = bytes_of_rate(asked - HC_RATE_TOLERANCE, weights, table->least, true);
    table->limit = bytes_of_rate(asked + HC_RATE_TOLERANCE, weights, table->least, false);
    if (table->limit > most)
        table->limit = most;
    table->places = TABLE_BYTES / table->count;
    if (table->places > MOST_PLACES)
        table->places = MOST_PLACES;
    if (table->places < LEAST_PLACES)
        table->places = LEAST_PLACES;
    table->width = table->limit / table->places + 1;
    table->lambda = find_lambda(table);
}

hc_status hc_rate_share(const struct hc_rate_tensor *tensors, size_t count, double asked, uint8_t *k, double *reached,
                        struct hc_error *error)
{
    struct table table = {.tensors = tensors, .count = count};
    uint64_t weights = 0;
    hc_status status = HC_OK;
    *reached = 0;
    if (count == 0)
        return HC_OK;
    for (size_t i = 0; i < count; i++) {
        weights += tensors[i].weights;
        table.least += tensors[i].bytes[1];
    }
    set_scale(&table, weights, asked);
    table.now = malloc(table.places * sizeof *table.now);
    table.next = malloc(table.places * sizeof *table.next);
    table.taken = calloc(count, table.places);
    if (!table.now || !table.next || !table.taken) {
        status = hc_no_memory(error);
        goto done;
    }
    clear(table.now, table.places);
    table.now[0] = (struct place){0, 0, 0};
    for (size_t i = 0; i < count; i++)
        add_tensor(&table, i);
    uint64_t bytes = table.least + choose(&table, k);
    *reached = weights ? 8 * (double)bytes / (double)weights : 0;
done:
    free(table.now);
    free(table.next);
    free(table.taken);
    return status;
}
