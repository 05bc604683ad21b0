#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN = 0xa5, AROUND = 256 };

uint64_t check_bits(struct check_random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t check_below(struct check_random *random, uint64_t limit)
{
    return check_bits(random) % limit;
}

double check_uniform(struct check_random *random)
{
    return (double)(check_bits(random) >> 11) * 0x1p-53;
}

/* Twelve uniform numbers have variance 1; four of 16 bits each come from one draw. */
double check_normal(struct check_random *random)
{
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t bits = check_bits(random);
        for (int j = 0; j < 4; j++)
            sum += (double)(bits >> 16 * j & 0xffff) + 0.5;
    }
    return sum / 65536 - 6;
}

void check_fill(struct check_random *random, void *out, size_t bytes)
{
    unsigned char *to = out;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t bits = check_bits(random);
        memcpy(to + i, &bits, bytes - i < 8 ? bytes - i : 8);
    }
}

void check_fill_normal(struct check_random *random, float *out, size_t n, double mean, double deviation)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(mean + deviation * check_normal(random));
}

static void note(struct check *c, const char *text, size_t i)
{
    if (i == CHECK_WHOLE)
        snprintf(c->where, sizeof c->where, "%s (%s)", text, c->context);
    else
        snprintf(c->where, sizeof c->where, "%s[%zu] (%s)", text, i, c->context);
}

void check_fail(struct check *c, const char *what, size_t i, double deviation)
{
    /* A deviation that is not a number is worse than any other. */
    if (!c->failed || !(deviation <= c->worst)) {
        c->worst = isnan(deviation) ? INFINITY : deviation;
        note(c, what, i);
    }
    c->failed = true;
}

static void check_around(struct check *c, const struct check_buffer *buffer)
{
    const uint8_t *end = buffer->arena + CHECK_BUFFER_BYTES;
    const uint8_t *before = buffer->start - AROUND;
    for (size_t i = 0; i < AROUND; i++) {
        if (before[i] != PATTERN)
            check_fail(c, "written before a buffer: -", AROUND - i, INFINITY);
    }
    for (const uint8_t *p = buffer->start + buffer->bytes; p < end; p++) {
        if (*p != PATTERN)
            check_fail(c, "written beyond a buffer: ", (size_t)(p - buffer->start), INFINITY);
    }
}

void check_finish(struct check *c)
{
    for (size_t i = 0; i < c->used; i++)
        check_around(c, &c->buffers[i]);
    c->used = 0;
}

void check_case(struct check *c, const char *format, ...)
{
    check_finish(c);
    c->cases++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->context, sizeof c->context, format, arguments);
    va_end(arguments);
}

void *check_buffer(struct check *c, size_t bytes, int misalign)
{
    if (c->used == CHECK_BUFFERS || bytes > CHECK_BUFFER_BYTES)
        abort(); /* the check's own fault */
    struct check_buffer *buffer = &c->buffers[c->used++];
    uint8_t *end = buffer->arena + CHECK_BUFFER_BYTES;
    uint8_t *start = end - bytes;
    if (misalign != CHECK_FLUSH)
        start -= ((uintptr_t)start - (uintptr_t)misalign) % 64;
    memset(start - AROUND, PATTERN, (size_t)(end - start) + AROUND);
    buffer->start = start;
    buffer->bytes = bytes;
    return start;
}

void *check_copy(struct check *c, const void *data, size_t bytes, int misalign)
{
    void *copy = check_buffer(c, bytes, misalign);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    return copy;
}

void check_bytes(struct check *c, const char *what, const uint8_t *expected, const uint8_t *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (expected[i] != got[i])
            check_fail(c, what, i, fabs((double)expected[i] - (double)got[i]));
    }
}

void check_u32(struct check *c, const char *what, const uint32_t *expected, const uint32_t *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (expected[i] != got[i])
            check_fail(c, what, i, fabs((double)expected[i] - (double)got[i]));
    }
}

void check_u64(struct check *c, const char *what, uint64_t expected, uint64_t got)
{
    if (expected != got)
        check_fail(c, what, CHECK_WHOLE, fabs((double)expected - (double)got));
}

void check_f32(struct check *c, const char *what, const float *expected, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        /* By bytes: the arrays may lie at odd addresses. */
        float e, g;
        memcpy(&e, (const char *)expected + i * sizeof e, sizeof e);
        memcpy(&g, (const char *)got + i * sizeof g, sizeof g);
        if (memcmp(&e, &g, sizeof e) != 0 && !(isnan(e) && isnan(g)))
            check_fail(c, what, i, fabs((double)e - (double)g));
    }
}

void check_f64(struct check *c, const char *what, double expected, double got)
{
    if (memcmp(&expected, &got, sizeof got) != 0 && !(isnan(expected) && isnan(got)))
        check_fail(c, what, CHECK_WHOLE, fabs(expected - got));
}

void check_kernel(const struct hc_kernels *kernels, size_t slot, void *pointer, size_t size)
{
    memcpy(pointer, (const char *)kernels + slot, size);
}
