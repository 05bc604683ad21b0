#include "check.h"

static void one_case(struct check *c, size_t pairs, unsigned bits, uint32_t entries)
{
    size_t bytes = (pairs * bits + 7) / 8;
    check_case(c, "bits=%u pairs=%zu entries=%u", bits, pairs, entries);
    uint8_t *in = check_buffer(c, bytes, 0);
    check_fill(&c->random, in, bytes); /* codes beyond the table included, also in the bits left over */
    float(*table)[2] = check_buffer(c, entries * sizeof *table, CHECK_FLUSH);
    check_fill_normal(&c->random, &table[0][0], 2 * (size_t)entries, 0, 1);
    const float(*const_table)[2] = (const float(*)[2])table;
    float *expected = check_buffer(c, 2 * pairs * sizeof *expected, 0);
    size_t strays = c->truth->kernels.pair_decode.block(in, pairs, bits, const_table, entries, expected);
    float *got =
        check_buffer(c, 2 * pairs * sizeof *got, pairs % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16));
    size_t got_strays = c->tested->kernels.pair_decode.block(check_copy(c, in, bytes, CHECK_FLUSH), pairs, bits,
                                                             const_table, entries, got);
    check_f32(c, "weight", expected, got, 2 * pairs);
    check_u64(c, "strays", strays, got_strays);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1000, 4095, 4096};
    for (unsigned bits = 1; bits <= 24; bits++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint32_t all = bits < 16 ? UINT32_C(1) << bits : UINT32_C(1) << 16;
            one_case(c, sizes[i], bits, all);
            one_case(c, sizes[i], bits, 1 + (uint32_t)check_below(&c->random, all));
        }
    }
}

/* The published setting: 1600 points, one class of outer pairs, 12 bits. */
enum { BENCH_BITS = 12, BENCH_ENTRIES = 2 * 1601, BENCH_BYTES = CHECK_BENCH_WEIGHTS / 2 / 8 * BENCH_BITS };

struct work {
    const struct hc_kernels *kernels;
    uint8_t *in;
    float (*table)[2];
    float *out;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK)
        work->kernels->pair_decode.block(work->in + i / 16 * BENCH_BITS, HC_BLOCK / 2, BENCH_BITS,
                                         (const float(*)[2])work->table, BENCH_ENTRIES, work->out + i);
}

static void bench(struct check_bench *b)
{
    enum { GROUP = 8 };
    struct work work = {&b->tier->kernels, check_bench_alloc(b, BENCH_BYTES),
                        check_bench_alloc(b, BENCH_ENTRIES * sizeof *work.table),
                        check_bench_alloc(b, CHECK_BENCH_WEIGHTS * sizeof(float))};
    if (work.in == NULL || work.table == NULL || work.out == NULL)
        return;
    check_fill_normal(&b->random, &work.table[0][0], 2 * BENCH_ENTRIES, 0, 0.02);
    for (size_t i = 0; i < BENCH_BYTES; i += BENCH_BITS) {
        uint32_t codes[GROUP];
        for (int j = 0; j < GROUP; j++)
            codes[j] = (uint32_t)check_below(&b->random, BENCH_ENTRIES);
        b->tier->kernels.bitpack.pack(codes, GROUP, BENCH_BITS, work.in + i);
    }
    check_bench_run(b, CHECK_BENCH_WEIGHTS, BENCH_BYTES + 4 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_pair_decode[] = {
    {"pair_decode.block", "weight", CHECK_SLOT(pair_decode.block), NULL, run, bench},
    {0},
};
