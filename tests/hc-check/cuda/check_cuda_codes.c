/* Packed codes of `pair`, and what they mean. */
#include <string.h>

#include "bitpack/bitpack_cuda.h"
#include "device.h"
#include "pair_decode/pair_decode_cuda.h"

/* How many, and of how many bits. */
static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 257, HC_BLOCK / 2 - 1, HC_BLOCK / 2 + 1};
static const unsigned widths[] = {1, 2, 7, 8, 12, 13, 16, 23, 24, 31, 32};

enum { SIZES = sizeof sizes / sizeof sizes[0], WIDTHS = sizeof widths / sizeof widths[0], DECODED_BITS = 24 };

static size_t whole_words(size_t n, unsigned bits)
{
    return (n * bits + 31) / 32 * sizeof(uint32_t);
}

static void pack_case(struct check *c, size_t n, unsigned bits)
{
    size_t bytes = (n * bits + 7) / 8;
    check_case(c, "bits=%u n=%zu", bits, n);
    uint32_t *codes = check_buffer(c, n * sizeof *codes, 0);
    for (size_t i = 0; i < n; i++)
        codes[i] = check_below(&c->random, 16) == 0 ? UINT32_MAX >> (32 - bits)
                                                    : (uint32_t)check_bits(&c->random) >> (32 - bits);
    uint8_t *expected = check_buffer(c, bytes, 0), *got = check_buffer(c, bytes, 0);
    c->truth->kernels.bitpack.pack(codes, n, bits, expected);
    uint32_t *out = device_buffer(c, whole_words(n, bits));
    device_launched(c, "bitpack",
                    hc_bitpack_cuda(device_copy(c, codes, n * sizeof *codes), n, bits, out, device_stream(c)));
    device_fetch(c, out, got, bytes);
    check_bytes(c, "byte", expected, got, bytes);
    device_end(c);
}

static void run_pack(struct check *c)
{
    for (size_t w = 0; w < WIDTHS; w++)
        for (size_t i = 0; i < SIZES; i++)
            pack_case(c, sizes[i], widths[w]);
}

/* Some codes are not in the table; what lies behind them is any. */
static void *make_codes(struct check *c, size_t pairs, unsigned bits, uint32_t entries)
{
    uint32_t *codes = check_buffer(c, pairs * sizeof *codes, 0);
    size_t room = whole_words(pairs, bits) + sizeof(uint32_t);
    uint8_t *packed = check_buffer(c, room, 0);
    for (size_t i = 0; i < pairs; i++)
        codes[i] = (uint32_t)check_below(&c->random, check_below(&c->random, 20) ? entries : UINT32_C(1) << bits);
    check_fill(&c->random, packed, room);
    c->truth->kernels.bitpack.pack(codes, pairs, bits, packed);
    return packed;
}

static void decode_case(struct check *c, size_t pairs, unsigned bits, uint32_t entries)
{
    enum { BEFORE = 5 }; /* faults that were counted */
    uint32_t before = BEFORE, faults;
    size_t bytes = 2 * pairs * sizeof(float), table_bytes = entries * sizeof(float[2]);
    check_case(c, "bits=%u pairs=%zu entries=%u", bits, pairs, entries);
    const void *packed = make_codes(c, pairs, bits, entries);
    float(*table)[2] = check_buffer(c, table_bytes, 0), *expected = check_buffer(c, bytes, 0);
    float *got = check_buffer(c, bytes, 0), *out = device_buffer(c, bytes);
    check_fill_normal(&c->random, &table[0][0], 2 * (size_t)entries, 0, 1);
    size_t strays =
        c->truth->kernels.pair_decode.block(packed, pairs, bits, (const float(*)[2])table, entries, expected);
    uint32_t *device_faults = device_copy(c, &before, sizeof before);
    device_launched(c, "pair_decode",
                    hc_pair_decode_cuda(device_copy(c, packed, whole_words(pairs, bits) + sizeof(uint32_t)), pairs,
                                        bits, device_copy(c, table, table_bytes), entries, out, device_faults,
                                        device_stream(c)));
    device_fetch(c, out, got, bytes);
    device_fetch(c, device_faults, &faults, sizeof faults);
    check_f32(c, "weight", expected, got, 2 * pairs);
    check_u64(c, "strays", BEFORE + strays, faults);
    device_end(c);
}

static void run_decode(struct check *c)
{
    for (size_t w = 0; w < WIDTHS && widths[w] <= DECODED_BITS; w++)
        for (size_t i = 0; i < SIZES; i++) {
            uint32_t all = widths[w] < 16 ? UINT32_C(1) << widths[w] : UINT32_C(1) << 16;
            decode_case(c, sizes[i], widths[w], i % 2 ? all : 1 + (uint32_t)check_below(&c->random, all));
        }
}

const struct check_op check_cuda_codes[] = {
    {"bitpack.pack", "code", CHECK_DEVICE, NULL, run_pack, NULL},
    {"pair_decode.block", "weight", CHECK_DEVICE, NULL, run_decode, NULL},
    {0},
};
