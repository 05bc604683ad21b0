#include <float.h>
#include <math.h>
#include <string.h>

#include "attention/attention_cuda.h"
#include "device.h"

/* Scores as they are, some thirty times larger, with NaN and infinities in keys and queries, or in values. */
enum { NORMAL, SPREAD, STRANGE_SCORES, STRANGE_VALUES, KINDS };

struct shape {
    uint32_t key_value_heads, group, width, context, first, count, window, most;
};

/* Few queries; what tensor cores do not take; many queries, for tensor cores but of F32. */
static const struct shape shapes[] = {
    {1, 1, 2, 1, 0, 1, 0, 1},           {2, 1, 6, 70, 64, 1, 0, 70},
    {2, 3, 64, 300, 299, 1, 0, 300},    {1, 9, 100, 130, 127, 1, 0, 130},
    {2, 4, 128, 200, 131, 2, 0, 140},   {1, 2, 130, 80, 70, 3, 0, 80},
    {1, 5, 256, 90, 66, 1, 0, 80},      {1, 1, 512, 40, 33, 1, 0, 40},
    {2, 8, 128, 700, 690, 1, 100, 700}, {1, 4, 96, 401, 0, 1, 0, 400},
    {1, 7, 14, 99, 3, 9, 5, 99},        {1, 1, 16, 64, 0, 40, 0, 64},
    {2, 4, 64, 100, 0, 20, 0, 100},     {1, 9, 128, 151, 70, 33, 0, 150},
    {1, 3, 80, 200, 130, 30, 0, 160},   {2, 2, 128, 300, 190, 70, 64, 300},
    {1, 1, 256, 120, 50, 64, 0, 120},   {1, 32, 48, 90, 80, 1, 0, 81},
    {1, 4, 128, 64, 0, 64, 0, 64},      {1, 2, 512, 20, 0, 18, 0, 20},
    {2, 1, 14, 700, 600, 40, 0, 700},   /* more blocks than are aimed at */
    {1, 1, 16, 9000, 8300, 1, 0, 9000}, /* many stretches */
    {1, 1, 256, 900, 840, 40, 0, 900},
};

/* On the host; `device` is the same on the device. */
struct scene {
    struct hc_attention_cuda host, device;
    float *queries;
};

static size_t element_size(hc_type type)
{
    return type == HC_TYPE_F32 ? 4 : type == HC_TYPE_F16 ? 2 : 1;
}

static size_t positions_of(const struct hc_attention_cuda *a)
{
    return (size_t)a->key_value_heads * a->context;
}

static void make_strange(struct check *c, float *x, size_t width)
{
    static const float strange[] = {INFINITY, -INFINITY, NAN};
    memset(x, 0, width * sizeof *x); /* so that the order of a sum does not matter */
    x[0] = strange[check_below(&c->random, 3)];
}

/* Positions that somebody sees hold numbers, others NaN. */
static void fill_cache(struct check *c, const struct hc_attention_cuda *a, int kind, void *cache, float *scales)
{
    size_t size = element_size(a->type);
    uint32_t from = a->window && *a->first >= a->window ? *a->first + 1 - a->window : 0;
    float x[HC_ATTENTION_WIDTH];
    memset(cache, 0xff, positions_of(a) * a->width * size);
    memset(scales, 0xff, positions_of(a) * sizeof *scales);
    for (uint32_t head = 0; head < a->key_value_heads; head++)
        for (uint32_t t = from; t < *a->first + a->count; t++) {
            size_t place = (size_t)head * a->context + t;
            check_fill_normal(&c->random, x, a->width, 0, 1);
            bool strange = kind == (cache == a->keys ? STRANGE_SCORES : STRANGE_VALUES);
            if (strange && check_below(&c->random, 50) == 0)
                make_strange(c, x, a->width);
            c->truth->kernels.attention.store(a->type, x, a->width, (uint8_t *)cache + place * a->width * size,
                                              &scales[place]);
        }
}

/* Of half precision but for F32: that queries are rounded is no error. */
static void fill_queries(struct check *c, const struct hc_attention_cuda *a, int kind, float *queries)
{
    size_t rows = (size_t)a->count * a->heads;
    uint16_t halves[HC_ATTENTION_WIDTH];
    for (float *q = queries; q < queries + rows * a->width; q += a->width) {
        check_fill_normal(&c->random, q, a->width, 0, 1);
        if (kind == STRANGE_SCORES && check_below(&c->random, 20) == 0)
            make_strange(c, q, a->width);
        if (a->type == HC_TYPE_F32)
            continue;
        c->truth->kernels.convert.f32_to_f16(q, a->width, halves);
        c->truth->kernels.convert.f16_to_f32(halves, a->width, q);
    }
}

static struct hc_attention_cuda attention_of(hc_type type, const struct shape *shape)
{
    return (struct hc_attention_cuda){.type = type,
                                      .context = shape->context,
                                      .heads = shape->key_value_heads * shape->group,
                                      .key_value_heads = shape->key_value_heads,
                                      .width = shape->width,
                                      .window = shape->window,
                                      .scale = 1 / sqrtf((float)shape->width),
                                      .first = &shape->first,
                                      .count = shape->count,
                                      .most = shape->most};
}

static struct scene make_scene(struct check *c, int kind, const struct shape *shape)
{
    hc_type type = *(const hc_type *)c->op->about;
    struct scene scene = {.host = attention_of(type, shape)};
    struct hc_attention_cuda *host = &scene.host, *device = &scene.device;
    size_t bytes = positions_of(host) * host->width * element_size(type), scale_bytes = 4 * positions_of(host);
    host->scale *= kind == SPREAD ? 30.0f : 1.0f;
    host->keys = check_buffer(c, bytes, 0);
    host->values = check_buffer(c, bytes, 0);
    host->key_scales = check_buffer(c, scale_bytes, 0);
    host->value_scales = check_buffer(c, scale_bytes, 0);
    fill_cache(c, host, kind, host->keys, host->key_scales);
    fill_cache(c, host, kind, host->values, host->value_scales);
    scene.queries = check_buffer(c, (size_t)host->count * host->heads * host->width * sizeof(float), 0);
    fill_queries(c, host, kind, scene.queries);
    *device = *host;
    device->keys = device_copy(c, host->keys, bytes);
    device->values = device_copy(c, host->values, bytes);
    device->key_scales = type == HC_TYPE_I8 ? device_copy(c, host->key_scales, scale_bytes) : NULL;
    device->value_scales = type == HC_TYPE_I8 ? device_copy(c, host->value_scales, scale_bytes) : NULL;
    device->first = device_copy(c, host->first, sizeof *host->first);
    return scene;
}

/* The head that a query of position t reads, for the CPU. */
static struct hc_attention_head head_of(const struct hc_attention_cuda *a, uint32_t head, uint32_t t, float *scores)
{
    size_t at = (size_t)head * a->context;
    return (struct hc_attention_head){.type = a->type,
                                      .width = a->width,
                                      .keys = (const uint8_t *)a->keys + at * a->width * element_size(a->type),
                                      .values = (const uint8_t *)a->values + at * a->width * element_size(a->type),
                                      .key_scales = a->key_scales + at,
                                      .value_scales = a->value_scales + at,
                                      .from = a->window && t >= a->window ? t + 1 - a->window : 0,
                                      .to = t + 1,
                                      .scale = a->scale,
                                      .scores = scores};
}

static float number_at(const struct check *c, const struct hc_attention_head *head, const void *cache,
                       const float *scales, size_t t, size_t d)
{
    size_t at = t * head->width + d;
    float value;
    if (head->type == HC_TYPE_F32)
        return ((const float *)cache)[at];
    if (head->type == HC_TYPE_I8)
        return (float)((const int8_t *)cache)[at] * scales[t];
    c->truth->kernels.convert.f16_to_f32((const uint16_t *)cache + at, 1, &value);
    return value;
}

/* Scores are sums in float32, of another order: 2^-19 is 32 units of the last place of the sum of magnitudes, where
 * some 10 are usual for 512 numbers. A score wrong by e makes p wrong by e, and a mean of values by 2 e of the largest.
 * Sums over positions and exp are good for 2^-18; where tensor cores may be at work, p, and values of I8, are rounded
 * to half precision, by 2^-11 each. */
static double tolerance_of(const struct check *c, const struct hc_attention_head *head, bool halves, const float *query)
{
    double largest = 0, products = 0;
    for (size_t t = head->from; t < head->to; t++) {
        double sum = 0;
        for (size_t d = 0; d < head->width; d++) {
            double value = fabs((double)number_at(c, head, head->values, head->value_scales, t, d));
            sum += fabs((double)query[d] * (double)number_at(c, head, head->keys, head->key_scales, t, d));
            largest = value > largest && value <= (double)FLT_MAX ? value : largest;
        }
        products = sum > products && sum <= (double)FLT_MAX ? sum : products;
    }
    double score = 0x1p-19 * products * (double)head->scale;
    return largest * (2 * score + 0x1p-18 + (halves ? head->type == HC_TYPE_I8 ? 0x1p-10 : 0x1p-11 : 0));
}

static void compare(struct check *c, const struct hc_attention_head *head, int kind, bool halves, const float *query,
                    const float *expected, const float *got, size_t at)
{
    double tolerance = tolerance_of(c, head, halves, query);
    for (size_t d = 0; d < head->width; d++) {
        double error = fabs((double)got[d] - (double)expected[d]);
        bool strange = !(fabsf(expected[d]) <= FLT_MAX);
        /* Tensor cores multiply values that a query does not see by 0. */
        bool allowed = strange ? expected[d] == got[d] || isnan(got[d])
                               : error <= tolerance || (isnan(got[d]) && kind == STRANGE_VALUES && halves);
        if (!allowed)
            check_fail(c, "out", at + d, error);
    }
}

static void check_out(struct check *c, const struct scene *scene, int kind, const float *got)
{
    const struct hc_attention_cuda *a = &scene->host;
    uint32_t group = a->heads / a->key_value_heads;
    bool halves = a->type != HC_TYPE_F32 && a->count * group >= 32 && a->width % 16 == 0;
    float *scores = check_buffer(c, group * a->context * sizeof *scores, 0);
    float *expected = check_buffer(c, (size_t)group * a->width * sizeof *expected, 0);
    for (uint32_t i = 0; i < a->count; i++)
        for (uint32_t h = 0; h < a->key_value_heads; h++) {
            size_t at = ((size_t)i * a->heads + h * group) * a->width;
            struct hc_attention_head head = head_of(a, h, *a->first + i, scores);
            c->truth->kernels.attention.attend(&head, scene->queries + at, group, expected);
            for (uint32_t q = 0; q < group; q++)
                compare(c, &head, kind, halves, scene->queries + at + q * a->width, expected + q * a->width,
                        got + at + q * a->width, at + q * a->width);
        }
}

static void one_case(struct check *c, int kind, const struct shape *shape)
{
    check_case(c, "kind=%d heads=%ux%u width=%u first=%u count=%u window=%u most=%u context=%u", kind,
               shape->key_value_heads, shape->group, shape->width, shape->first, shape->count, shape->window,
               shape->most, shape->context);
    struct scene scene = make_scene(c, kind, shape);
    struct hc_attention_cuda larger = scene.device;
    size_t bytes = (size_t)shape->count * scene.host.heads * shape->width * sizeof(float);
    float *out = device_buffer(c, bytes), *got = check_buffer(c, bytes, 0);
    void *workspace = device_buffer(c, hc_attention_cuda_workspace(&scene.device));
    device_launched(
        c, "attention",
        hc_attention_cuda(&scene.device, device_copy(c, scene.queries, bytes), workspace, out, device_stream(c)));
    device_fetch(c, out, got, bytes);
    check_out(c, &scene, kind, got);
    for (larger.count = 1; larger.count < 70; larger.count++) {
        struct hc_attention_cuda next = larger;
        next.count++;
        if (hc_attention_cuda_workspace(&larger) > hc_attention_cuda_workspace(&next))
            check_fail(c, "a workspace of fewer queries is larger: ", larger.count, INFINITY);
    }
    device_end(c);
}

static void run(struct check *c)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int kind = 0; kind < KINDS; kind++)
            if (kind == NORMAL || i % 3 == (size_t)kind - 1)
                one_case(c, kind, &shapes[i]);
}

static void fill_for_store(struct check *c, float *x, size_t n)
{
    static const float extremes[] = {0,     -0.0f, 0x1p-149f, 0x1.7cp-142f, 1e5f,
                                     3e38f, NAN,   INFINITY,  65519.99f,    0x1p-25f};
    check_fill_normal(&c->random, x, n, 0, 1);
    for (size_t i = 0; i < n; i += 1 + check_below(&c->random, 100))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    for (size_t i = 0; check_below(&c->random, 4) == 0 && i < n; i++)
        x[i] = extremes[check_below(&c->random, 4)]; /* zeros and subnormals alone */
}

static void check_stored(struct check *c, const char *what, const struct hc_attention_cuda *host, const void *expected,
                         const void *device)
{
    size_t n = positions_of(host) * host->width, bytes = n * element_size(host->type);
    uint8_t *got = check_buffer(c, bytes, 0);
    device_fetch(c, device, got, bytes);
    if (host->type == HC_TYPE_I8)
        check_bytes(c, what, expected, got, bytes);
    for (size_t i = 0; host->type != HC_TYPE_I8 && i < n; i++) {
        struct hc_attention_head head = {.type = host->type, .width = 1};
        float a = number_at(c, &head, expected, NULL, i, 0), b = number_at(c, &head, got, NULL, i, 0);
        check_f32(c, what, &a, &b, 1);
    }
}

static void store_case(struct check *c, const struct shape *shape)
{
    check_case(c, "heads=%u width=%u first=%u count=%u context=%u", shape->key_value_heads, shape->width, shape->first,
               shape->count, shape->context);
    struct scene scene = make_scene(c, NORMAL, shape);
    struct hc_attention_cuda *host = &scene.host;
    size_t rows = (size_t)host->count * host->key_value_heads, n = rows * host->width;
    float *x[2] = {check_buffer(c, n * sizeof(float), 0), check_buffer(c, n * sizeof(float), 0)};
    uint8_t *caches[2] = {host->keys, host->values};
    float *scales[2] = {host->key_scales, host->value_scales};
    for (int i = 0; i < 2; i++) {
        fill_for_store(c, x[i], n);
        for (size_t row = 0; row < rows; row++) {
            size_t place = row % host->key_value_heads * host->context + *host->first + row / host->key_value_heads;
            c->truth->kernels.attention.store(host->type, x[i] + row * host->width, host->width,
                                              caches[i] + place * host->width * element_size(host->type),
                                              scales[i] + place);
        }
    }
    device_launched(c, "store",
                    hc_attention_store_cuda(&scene.device, device_copy(c, x[0], n * sizeof(float)),
                                            device_copy(c, x[1], n * sizeof(float)), device_stream(c)));
    check_stored(c, "key", host, caches[0], scene.device.keys);
    check_stored(c, "value", host, caches[1], scene.device.values);
    for (int i = 0; host->type == HC_TYPE_I8 && i < 2; i++) {
        float *got = check_buffer(c, positions_of(host) * sizeof *got, 0);
        device_fetch(c, i ? scene.device.value_scales : scene.device.key_scales, got, positions_of(host) * sizeof *got);
        check_f32(c, i ? "value scale" : "key scale", scales[i], got, positions_of(host));
    }
    device_end(c);
}

static void run_store(struct check *c)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        store_case(c, &shapes[i]);
}

static const hc_type f32 = HC_TYPE_F32, f16 = HC_TYPE_F16, i8 = HC_TYPE_I8;

const struct check_op check_cuda_attention[] = {
    {"attention.attend_f32", "number", CHECK_DEVICE, &f32, run, NULL},
    {"attention.attend_f16", "number", CHECK_DEVICE, &f16, run, NULL},
    {"attention.attend_i8", "number", CHECK_DEVICE, &i8, run, NULL},
    {"attention.store_f32", "number", CHECK_DEVICE, &f32, run_store, NULL},
    {"attention.store_f16", "number", CHECK_DEVICE, &f16, run_store, NULL},
    {"attention.store_i8", "number", CHECK_DEVICE, &i8, run_store, NULL},
    {0},
};
