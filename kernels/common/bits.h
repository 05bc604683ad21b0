/* Reading and writing of strings of bits, as bitpack.h lays them out. */
#ifndef HC_KERNELS_COMMON_BITS_H
#define HC_KERNELS_COMMON_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Compilers make one move of these where the machine is little-endian. */
static inline uint32_t hc_load_le32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static inline void hc_store_le32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

/* Takes code after code from a string, and no byte beyond its end. */
struct hc_bit_reader {
    const uint8_t *in, *end;
    uint64_t waiting;
    unsigned filled; /* bits of `waiting` */
};

static inline struct hc_bit_reader hc_bit_reader_init(const uint8_t *in, size_t codes, unsigned bits)
{
    return (struct hc_bit_reader){.in = in, .end = in + (codes * bits + 7) / 8};
}

static inline uint32_t hc_bit_reader_next(struct hc_bit_reader *reader, unsigned bits)
{
    if (reader->filled < bits && reader->end - reader->in >= 4) {
        reader->waiting |= (uint64_t)hc_load_le32(reader->in) << reader->filled;
        reader->in += 4;
        reader->filled += 32;
    }
    while (reader->filled < bits) {
        reader->waiting |= (uint64_t)*reader->in++ << reader->filled;
        reader->filled += 8;
    }
    uint32_t code = (uint32_t)(reader->waiting & ((UINT64_C(1) << bits) - 1));
    reader->waiting >>= bits;
    reader->filled -= bits;
    return code;
}

/* Code `index` of a string. */
static inline uint32_t hc_code_at(const uint8_t *in, size_t index, unsigned bits)
{
    const size_t begin = index * bits, end = begin + bits;
    uint64_t code = 0;
    for (size_t byte = begin / 8; byte < (end + 7) / 8; byte++)
        code |= (uint64_t)in[byte] << 8 * (byte - begin / 8);
    return (uint32_t)(code >> begin % 8 & ((UINT64_C(1) << bits) - 1));
}

#endif
