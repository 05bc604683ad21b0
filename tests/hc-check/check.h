/* hc-check: every implementation of every operation, held against plain C on the same random input.
 *
 * An *operation* is one row of a table in a check_<family>.c; registry.c lists the tables. A *tier* provides
 * implementations: an instruction set of the CPU (a table of kernels, and the CPU's engine over it) or a backend of
 * host/engine.h (an engine only). The truth is the tier `c` with one thread.
 *
 * An operation's check runs cases. Each begins with check_case(); buffers come from check_buffer(): whatever a tested
 * function writes before them, or reads or writes beyond their end, makes the row fail. Results are compared with
 * check_bytes() and its kin.
 */
#ifndef HC_CHECK_H
#define HC_CHECK_H

#include <stdbool.h>

#include "engine.h"
#include "kernels.h"

struct check_tier {
    const char *name;
    bool cpu;     /* has kernels of its own */
    bool present; /* else it is not run, because: */
    char why_not[256];
    struct hc_kernels kernels;
    struct hc_engine engine;
};

struct check;
struct check_bench;

/* Where an operation's function pointer stands in struct hc_kernels; operations of engines have none, and launchers
 * (cuda/device.h) belong to a device alone. */
#define CHECK_SLOT(member) offsetof(struct hc_kernels, member)
#define CHECK_ENGINE ((size_t)-1)
#define CHECK_DEVICE ((size_t)-2)

struct check_op {
    const char *name; /* "family.function" */
    const char *item; /* what --bench counts */
    size_t slot;
    const void *about; /* for the family's own use */
    void (*check)(struct check *c);
    void (*bench)(struct check_bench *b); /* launchers have none: bench/gpu times them */
};

/* Ends with NULL; each table ends with a NULL name. */
extern const struct check_op *const check_families[], *const check_device_families[];
extern const struct check_op check_attention[], check_bitpack[], check_compare[], check_convert[],
    check_dense_product[], check_dequant[], check_engine[], check_hadamard[], check_pair_decode[], check_pair_extent[],
    check_pair_moments[], check_pair_product[], check_pair_search[], check_rms_norm[], check_rotary[], check_sampling[],
    check_silu[], check_softmax[], check_window_decode[], check_window_encode[], check_window_product[],
    check_window_rows[];

/* ---- Random numbers (splitmix64): the same for the same seed everywhere ------------------------------------ */

struct check_random {
    uint64_t state;
};

uint64_t check_bits(struct check_random *random);
uint64_t check_below(struct check_random *random, uint64_t limit); /* 0 .. limit - 1 */
double check_uniform(struct check_random *random);                 /* 0 <= x < 1 */
double check_normal(struct check_random *random);                  /* close to normal, within 6 deviations */
void check_fill(struct check_random *random, void *out, size_t bytes);
void check_fill_normal(struct check_random *random, float *out, size_t n, double mean, double deviation);

/* ---- One row under way ------------------------------------------------------------------------------------- */

enum { CHECK_BUFFERS = 16, CHECK_FLUSH = -1 };

/* Usable bytes of a buffer at most. */
enum { CHECK_BUFFER_BYTES = 1 << 20 };

struct check_buffer {
    uint8_t *arena; /* CHECK_BUFFER_BYTES between two pages that may not be touched */
    uint8_t *start;
    size_t bytes;
};

struct check {
    const struct check_op *op;
    const struct check_tier *truth, *tested;
    struct check_random random;
    uint64_t cases;
    bool failed;
    double worst;      /* largest deviation */
    char where[256];   /* of it */
    char context[160]; /* the case at hand */
    struct check_buffer buffers[CHECK_BUFFERS];
    size_t used;
};

/* Ends the case at hand (checks the bytes around its buffers, forgets them) and begins the next. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void check_case(struct check *c, const char *format, ...);
void check_finish(struct check *c);

/* A buffer filled with 0xa5. misalign 0..63: its address modulo 64; CHECK_FLUSH: it ends where the forbidden page
 * begins, so that a single byte read beyond it is noticed (else up to 63 bytes may be). Bytes written around it are
 * noticed. */
void *check_buffer(struct check *c, size_t bytes, int misalign);
/* The same, with contents. */
void *check_copy(struct check *c, const void *data, size_t bytes, int misalign);

/* Notes a failure. `what` names the result; i is the place in it, CHECK_WHOLE if it has none. */
#define CHECK_WHOLE SIZE_MAX
void check_fail(struct check *c, const char *what, size_t i, double deviation);
void check_bytes(struct check *c, const char *what, const uint8_t *expected, const uint8_t *got, size_t n);
void check_u32(struct check *c, const char *what, const uint32_t *expected, const uint32_t *got, size_t n);
void check_u64(struct check *c, const char *what, uint64_t expected, uint64_t got);
/* Bit for bit, but NaN equals NaN. */
void check_f32(struct check *c, const char *what, const float *expected, const float *got, size_t n);
void check_f64(struct check *c, const char *what, double expected, double got);

/* The kernel of an operation, as a pointer of any function type. */
#define CHECK_KERNEL(tier, op, pointer) check_kernel(&(tier)->kernels, (op)->slot, &(pointer), sizeof(pointer))
void check_kernel(const struct hc_kernels *kernels, size_t slot, void *pointer, size_t size);

/* ---- Times ------------------------------------------------------------------------------------------------- */

/* Weights in a bench: 64 MiB of float32, larger than the caches. */
enum { CHECK_BENCH_WEIGHTS = 1 << 24 };

struct check_bench {
    const struct check_op *op;
    const struct check_tier *tier;
    struct check_random random;
    bool done;
    double seconds;        /* best pass */
    uint64_t items, bytes; /* of a pass; bytes read and written */
    void *allocated[8];
    size_t allocations;
};

/* Freed when the row ends; NULL if there is no memory, the bench then returns. */
void *check_bench_alloc(struct check_bench *b, size_t bytes);
/* CHECK_BENCH_WEIGHTS normal weights. */
float *check_bench_weights(struct check_bench *b, double deviation);
/* Times `pass`, which does the whole work once. */
void check_bench_run(struct check_bench *b, uint64_t items, uint64_t bytes, void (*pass)(void *state), void *state);
void check_bench_free(struct check_bench *b);
/* Bytes per second, read plus written, of memcpy on such data. 0: not measured. */
double check_copy_rate(void);

#endif
