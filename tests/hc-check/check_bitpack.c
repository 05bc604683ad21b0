#include "check.h"

static const size_t sizes[] = {0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 100, 1000, 4095, 4096};

static void fill_codes(struct check_random *random, uint32_t *codes, size_t n, unsigned bits)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t draw = check_bits(random);
        codes[i] = draw >> 60 == 0 ? UINT32_MAX >> (32 - bits) : (uint32_t)draw >> (32 - bits);
    }
}

static void run_pack(struct check *c)
{
    for (unsigned bits = 1; bits <= 32; bits++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = sizes[i], bytes = (n * bits + 7) / 8;
            check_case(c, "bits=%u n=%zu", bits, n);
            uint32_t *codes = check_buffer(c, n * sizeof *codes, 0);
            fill_codes(&c->random, codes, n, bits);
            uint8_t *expected = check_buffer(c, bytes, 0);
            c->truth->kernels.bitpack.pack(codes, n, bits, expected);
            uint8_t *got = check_buffer(c, bytes, i % 2 ? CHECK_FLUSH : (int)check_below(&c->random, 64));
            c->tested->kernels.bitpack.pack(check_copy(c, codes, n * sizeof *codes, CHECK_FLUSH), n, bits, got);
            check_bytes(c, "byte", expected, got, bytes);
        }
    }
}

static void run_unpack(struct check *c)
{
    for (unsigned bits = 1; bits <= 32; bits++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = sizes[i], bytes = (n * bits + 7) / 8;
            check_case(c, "bits=%u n=%zu", bits, n);
            uint8_t *in = check_buffer(c, bytes, 0);
            check_fill(&c->random, in, bytes);
            uint32_t *expected = check_buffer(c, n * sizeof *expected, 0);
            c->truth->kernels.bitpack.unpack(in, n, bits, expected);
            int misalign = 4 * (int)check_below(&c->random, 16);
            uint32_t *got = check_buffer(c, n * sizeof *got, i % 2 ? CHECK_FLUSH : misalign);
            c->tested->kernels.bitpack.unpack(check_copy(c, in, bytes, CHECK_FLUSH), n, bits, got);
            check_u32(c, "code", expected, got, n);
        }
    }
}

enum { BENCH_BITS = 12, BENCH_CODES = CHECK_BENCH_WEIGHTS / 2, BENCH_BLOCK = HC_BLOCK / 2 };

struct work {
    const struct hc_kernels *kernels;
    uint32_t *codes;
    uint8_t *packed;
};

static void pass_pack(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < BENCH_CODES; i += BENCH_BLOCK)
        work->kernels->bitpack.pack(work->codes + i, BENCH_BLOCK, BENCH_BITS, work->packed + i / 8 * BENCH_BITS);
}

static void pass_unpack(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < BENCH_CODES; i += BENCH_BLOCK)
        work->kernels->bitpack.unpack(work->packed + i / 8 * BENCH_BITS, BENCH_BLOCK, BENCH_BITS, work->codes + i);
}

static void bench(struct check_bench *b, void (*pass)(void *state))
{
    struct work work = {&b->tier->kernels, check_bench_alloc(b, BENCH_CODES * sizeof *work.codes),
                        check_bench_alloc(b, (size_t)BENCH_CODES / 8 * BENCH_BITS)};
    if (work.codes == NULL || work.packed == NULL)
        return;
    fill_codes(&b->random, work.codes, BENCH_CODES, BENCH_BITS);
    check_bench_run(b, BENCH_CODES, (uint64_t)BENCH_CODES * 4 + (uint64_t)BENCH_CODES / 8 * BENCH_BITS, pass, &work);
}

static void bench_pack(struct check_bench *b)
{
    bench(b, pass_pack);
}

static void bench_unpack(struct check_bench *b)
{
    bench(b, pass_unpack);
}

const struct check_op check_bitpack[] = {
    {"bitpack.pack", "code", CHECK_SLOT(bitpack.pack), NULL, run_pack, bench_pack},
    {"bitpack.unpack", "code", CHECK_SLOT(bitpack.unpack), NULL, run_unpack, bench_unpack},
    {0},
};
