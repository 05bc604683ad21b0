#include <math.h>

#include "check.h"

/* What a row is about: a type of cache; the queries of its bench. */
struct about {
    hc_type type;
    size_t queries;
};

/* What the scores are like. */
enum { NORMAL, EQUAL, HUGE_SCORES, SPREAD, NOT_FINITE, KINDS };

static size_t element_size(hc_type type)
{
    return type == HC_TYPE_F32 ? 4 : type == HC_TYPE_F16 ? 2 : 1;
}

/* n numbers as the cache holds them; `scales`, one for each `width` of them, for I8 alone. */
static void fill(struct check_random *random, const struct hc_kernels *kernels, hc_type type, float *numbers, size_t n,
                 size_t width, void *cache, float *scales)
{
    check_fill_normal(random, numbers, n, 0, 1);
    for (size_t i = 0; i < n; i += width)
        kernels->attention.store(type, numbers + i, width, (char *)cache + i * element_size(type), scales + i / width);
}

static float *numbers_of(struct check *c, size_t n)
{
    float *numbers = check_buffer(c, n * sizeof *numbers, 0);
    check_fill_normal(&c->random, numbers, n, 0, 1);
    return numbers;
}

/* Makes a head of one kind, all in buffers of the check. */
static struct hc_attention_head make_head(struct check *c, int kind, size_t width, size_t from, size_t to)
{
    const struct about *about = c->op->about;
    size_t n = to * width, bytes = n * element_size(about->type);
    void *keys = check_buffer(c, bytes, 0), *values = check_buffer(c, bytes, 0);
    float *key_scales = check_buffer(c, to * sizeof(float), 0), *value_scales = check_buffer(c, to * sizeof(float), 0);
    float *room = check_buffer(c, n * sizeof(float), 0);
    fill(&c->random, &c->truth->kernels, about->type, room, n, width, keys, key_scales);
    fill(&c->random, &c->truth->kernels, about->type, room, n, width, values, value_scales);
    if (kind == NOT_FINITE && about->type != HC_TYPE_I8)
        check_fill(&c->random, check_below(&c->random, 2) ? keys : values, bytes / 8);
    if (kind == NOT_FINITE)
        value_scales[from] = INFINITY;
    static const float scales[KINDS] = {0.125f, 0, 1e36f, 20, 0.125f};
    return (struct hc_attention_head){.type = about->type,
                                      .width = width,
                                      .keys = keys,
                                      .values = values,
                                      .key_scales = about->type == HC_TYPE_I8 ? key_scales : NULL,
                                      .value_scales = about->type == HC_TYPE_I8 ? value_scales : NULL,
                                      .from = from,
                                      .to = to,
                                      .scale = scales[kind]};
}

/* The same at other addresses; what lies before `from` is not to be read, and is not there. */
static struct hc_attention_head copy_head(struct check *c, const struct hc_attention_head *head, int at)
{
    struct hc_attention_head copy = *head;
    size_t size = element_size(head->type), skip = head->from, n = head->to - skip;
    copy.keys = check_copy(c, (const char *)head->keys + skip * head->width * size, n * head->width * size, at);
    copy.values = check_copy(c, (const char *)head->values + skip * head->width * size, n * head->width * size, at);
    if (head->type == HC_TYPE_I8) {
        copy.key_scales = check_copy(c, head->key_scales + skip, n * sizeof(float), at);
        copy.value_scales = check_copy(c, head->value_scales + skip, n * sizeof(float), at);
    }
    copy.from = 0;
    copy.to = n;
    return copy;
}

static void one_case(struct check *c, int kind, size_t width, size_t from, size_t to, size_t queries)
{
    check_case(c, "kind=%d width=%zu from=%zu to=%zu queries=%zu", kind, width, from, to, queries);
    struct hc_attention_head head = make_head(c, kind, width, from, to);
    float *query = numbers_of(c, queries * width);
    size_t bytes = queries * width * sizeof(float), score_bytes = queries * (to - from) * sizeof(float);
    head.scores = check_buffer(c, score_bytes, 0);
    float *expected = check_buffer(c, bytes, 0);
    c->truth->kernels.attention.attend(&head, query, queries, expected);
    int at = check_below(&c->random, 2) ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
    struct hc_attention_head copy = copy_head(c, &head, at);
    copy.scores = check_buffer(c, score_bytes, at);
    float *got = check_buffer(c, bytes, at);
    c->tested->kernels.attention.attend(&copy, check_copy(c, query, bytes, at), queries, got);
    check_f32(c, "out", expected, got, queries * width);
    for (size_t i = 0; kind != NOT_FINITE && i < queries * width; i++)
        if (!isfinite(got[i]))
            check_fail(c, "not finite: ", i, INFINITY);
}

static void run(struct check *c)
{
    static const size_t widths[] = {2, 6, 14, 16, 18, 24, 30, 64, 80, 96, 100, 128, 256, 512};
    static const size_t positions[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 79, 130};
    static const size_t froms[] = {0, 0, 1, 5};
    for (size_t i = 0; i < 2 * sizeof widths / sizeof widths[0]; i++)
        for (size_t j = 0; j < sizeof positions / sizeof positions[0]; j++) {
            size_t from = froms[check_below(&c->random, 4)];
            one_case(c, (int)check_below(&c->random, KINDS), widths[i / 2], from, from + positions[j],
                     1 + check_below(&c->random, 10));
        }
}

static void one_store(struct check *c, size_t width, int kind)
{
    static const float extremes[] = {0, -0.0f, 0x1p-149f, 0x1.7cp-142f, 1e5f, 3e38f, NAN, INFINITY};
    const struct about *about = c->op->about;
    size_t bytes = width * element_size(about->type);
    check_case(c, "width=%zu kind=%d", width, kind);
    float *x = numbers_of(c, width);
    for (size_t i = 0; kind > 0 && i < width; i++)
        if (kind < 4 || check_below(&c->random, 20) == 0) /* a few subnormals, or now and then any of them */
            x[i] = extremes[check_below(&c->random, kind < 4 ? (uint64_t)kind + 1 : 8)];
    float scales[2] = {7, 7};
    void *expected = check_buffer(c, bytes, 0);
    c->truth->kernels.attention.store(about->type, x, width, expected, &scales[0]);
    int at = width % 4 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
    void *got = check_buffer(c, bytes, at);
    c->tested->kernels.attention.store(about->type, check_copy(c, x, width * sizeof *x, at), width, got, &scales[1]);
    check_f32(c, "scale", &scales[0], &scales[1], 1);
    if (about->type == HC_TYPE_I8)
        check_bytes(c, "byte", expected, got, bytes);
    for (size_t i = 0; about->type == HC_TYPE_F16 && i < width; i++) {
        uint16_t e = ((const uint16_t *)expected)[i], g = ((const uint16_t *)got)[i];
        if (e != g && !isnan(x[i]))
            check_fail(c, "half", i, fabs((double)e - (double)g));
    }
}

static void run_store(struct check *c)
{
    static const size_t widths[] = {2, 4, 6, 14, 16, 18, 30, 64, 80, 96, 128, 256, 512};
    for (size_t i = 0; i < 5 * sizeof widths / sizeof widths[0]; i++)
        for (int kind = 0; kind < 5; kind++)
            one_store(c, widths[i / 5], kind);
}

/* Heads of 128 numbers and 4096 positions; CHECK_BENCH_WEIGHTS numbers of keys and values in all. */
enum { WIDTH = 128, POSITIONS = 4096, HEAD = WIDTH * POSITIONS, CACHES = CHECK_BENCH_WEIGHTS / HEAD, MOST_QUERIES = 4 };

struct work {
    const struct hc_kernels *kernels;
    const struct about *about;
    char *caches;
    float *numbers, *scales, *query, *out, *scores;
};

static void pass(void *state)
{
    const struct work *work = state;
    size_t bytes = HEAD * element_size(work->about->type);
    for (size_t i = 0; i < CACHES; i += 2) {
        struct hc_attention_head head = {.type = work->about->type,
                                         .width = WIDTH,
                                         .keys = work->caches + i * bytes,
                                         .values = work->caches + (i + 1) * bytes,
                                         .key_scales = work->scales + i * POSITIONS,
                                         .value_scales = work->scales + (i + 1) * POSITIONS,
                                         .to = POSITIONS,
                                         .scale = 0.09f,
                                         .scores = work->scores};
        work->kernels->attention.attend(&head, work->query, work->about->queries, work->out);
    }
}

static void pass_store(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += WIDTH)
        work->kernels->attention.store(work->about->type, work->numbers + i, WIDTH,
                                       work->caches + i * element_size(work->about->type), work->scales + i / WIDTH);
}

static bool make_work(struct check_bench *b, struct work *work)
{
    const struct about *about = b->op->about;
    *work = (struct work){&b->tier->kernels,
                          about,
                          check_bench_alloc(b, CHECK_BENCH_WEIGHTS * element_size(about->type)),
                          check_bench_alloc(b, CHECK_BENCH_WEIGHTS * sizeof(float)),
                          check_bench_alloc(b, CHECK_BENCH_WEIGHTS / WIDTH * sizeof(float)),
                          check_bench_alloc(b, MOST_QUERIES * WIDTH * sizeof(float)),
                          check_bench_alloc(b, MOST_QUERIES * WIDTH * sizeof(float)),
                          check_bench_alloc(b, MOST_QUERIES * POSITIONS * sizeof(float))};
    if (work->caches == NULL || work->numbers == NULL || work->scales == NULL || work->query == NULL ||
        work->out == NULL || work->scores == NULL)
        return false;
    fill(&b->random, work->kernels, about->type, work->numbers, CHECK_BENCH_WEIGHTS, WIDTH, work->caches, work->scales);
    check_fill_normal(&b->random, work->query, MOST_QUERIES * WIDTH, 0, 1);
    return true;
}

static void bench(struct check_bench *b)
{
    struct work work;
    uint64_t size = element_size(((const struct about *)b->op->about)->type);
    if (make_work(b, &work))
        check_bench_run(b, CHECK_BENCH_WEIGHTS, size * CHECK_BENCH_WEIGHTS, pass, &work);
}

static void bench_store(struct check_bench *b)
{
    struct work work;
    uint64_t size = element_size(((const struct about *)b->op->about)->type);
    if (make_work(b, &work))
        check_bench_run(b, CHECK_BENCH_WEIGHTS, (4 + size) * CHECK_BENCH_WEIGHTS, pass_store, &work);
}

static const struct about f32 = {HC_TYPE_F32, 1}, f16 = {HC_TYPE_F16, 1}, i8 = {HC_TYPE_I8, 1},
                          f16_x4 = {HC_TYPE_F16, 4}, i8_x4 = {HC_TYPE_I8, 4};

#define ATTEND(about)                                                                                                  \
    {                                                                                                                  \
        "attention.attend_" #about, "cached number", CHECK_SLOT(attention.attend), &(about), run, bench                \
    }
#define STORE(about)                                                                                                   \
    {                                                                                                                  \
        "attention.store_" #about, "number", CHECK_SLOT(attention.store), &(about), run_store, bench_store             \
    }
const struct check_op check_attention[] = {
    ATTEND(f32), ATTEND(f16), ATTEND(i8), ATTEND(f16_x4), ATTEND(i8_x4), STORE(f16), STORE(i8), {0},
};
