#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Passes are repeated for so long, and at least so often. */
static const double LEAST_SECONDS = 0.25;
enum { LEAST_PASSES = 3 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_time(void (*pass)(void *state), void *state)
{
    double total = 0, best = 0;
    for (int passes = 0; passes < LEAST_PASSES || total < LEAST_SECONDS; passes++) {
        double begin = now();
        pass(state);
        double seconds = now() - begin;
        total += seconds;
        if (passes == 0 || seconds < best)
            best = seconds;
    }
    return best;
}

void *check_bench_alloc(struct check_bench *b, size_t bytes)
{
    void *memory = NULL;
    if (b->allocations < sizeof b->allocated / sizeof b->allocated[0])
        memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL)
        return NULL;
    memset(memory, 0, bytes); /* present before anything is timed */
    b->allocated[b->allocations++] = memory;
    return memory;
}

float *check_bench_weights(struct check_bench *b, double deviation)
{
    float *weights = check_bench_alloc(b, CHECK_BENCH_WEIGHTS * sizeof *weights);
    if (weights != NULL)
        check_fill_normal(&b->random, weights, CHECK_BENCH_WEIGHTS, 0, deviation);
    return weights;
}

void check_bench_run(struct check_bench *b, uint64_t items, uint64_t bytes, void (*pass)(void *state), void *state)
{
    b->seconds = best_time(pass, state);
    b->items = items;
    b->bytes = bytes;
    b->done = true;
}

void check_bench_free(struct check_bench *b)
{
    for (size_t i = 0; i < b->allocations; i++)
        free(b->allocated[i]);
    b->allocations = 0;
}

struct copy {
    void *to;
    const void *from;
    size_t bytes;
};

static void copy_pass(void *state)
{
    /* Volatile: a compiler that sees that nobody reads the copy leaves it out. */
    static void *(*volatile const copy_bytes)(void *, const void *, size_t) = memcpy;
    const struct copy *copy = state;
    copy_bytes(copy->to, copy->from, copy->bytes);
}

double check_copy_rate(void)
{
    struct check_bench b = {0};
    struct copy copy = {.bytes = CHECK_BENCH_WEIGHTS * sizeof(float)};
    copy.to = check_bench_alloc(&b, copy.bytes);
    copy.from = check_bench_alloc(&b, copy.bytes);
    double rate = 0;
    if (copy.to != NULL && copy.from != NULL)
        rate = 2 * (double)copy.bytes / best_time(copy_pass, &copy);
    check_bench_free(&b);
    return rate;
}
