/* From the codes of `window` to operands of the tensor cores.
 *
 * Places are looked up in shared memory: 512 entries, by the upper 9 bits of the place, each 32 times over, once for
 * every lane: entry i of lane l is word 32 i + l, so that a lane always meets its own bank, whatever the others look
 * up. With the place u = theta A' in the lower half of a product, (u & 0xff80) + 4 l is the address: from window to
 * entry in a multiplication, a mask and a load, at the pace of one load per clock and multiprocessor. A polynomial in
 * half precision costs four or five instructions per weight more, and is less exact in the tails, where g is steep. The
 * price is 64 KB of shared memory, which every block fills while its first codes are under way.
 *
 * k <= HC_PRODUCT_CUDA_STEPS_K: the entry is the mean of g over its places. Above: g is a line in each entry, value =
 * first half + second half F, F = 1 + (u mod 128) / 1024, whose bits are 0x3c00 + u mod 128. */
#ifndef HC_KERNELS_WINDOW_READER_CUH
#define HC_KERNELS_WINDOW_READER_CUH

#include <cuda_fp16.h>

#include "common/lanes.cuh"
#include "common/window.h"
#include "window_product/product.cuh"
#include "window_product/window_product_cuda.h"

enum { ENTRIES = 512, ENTRY_PLACES = 65536 / ENTRIES, TABLE_BYTES = ENTRIES * HC_LANES * 4 };

/* What is needed of a code, ready for the device. */
struct window_constants {
    uint32_t multiplier, length;
    uint32_t one; /* 0x3c00; unknown to the compiler, which needs two instructions with two constants */
    float a, b, c;
};

static inline struct window_constants window_constants_of(const struct hc_window_code *code)
{
    return {code->multiplier, code->length, 0x3c00, (float)code->a, (float)code->b, (float)code->c};
}

/* ---- Table ---------------------------------------------------------------------------------------------------- */

/* g at a place of 2^15 x, which needs not be whole. */
static __device__ inline float value_at(const struct window_constants *code, float place)
{
    float x = place * 0x1p-15f, x2 = x * x, x4 = x2 * x2, x8 = x4 * x4, x16 = x8 * x8, x32 = x16 * x16;
    return x * fmaf(code->c, x32 * x32, fmaf(code->b, x4, code->a));
}

/* The mean, or the line of least squares, over (at most four of) the places of an entry. */
static __device__ inline uint32_t make_entry(const struct window_constants *code, int entry, bool line)
{
    float half_step = (float)(1 << 15 >> code->length);
    if (code->length == 16)
        half_step = 0.5f;
    float half = fmaxf(half_step, ENTRY_PLACES / 8);
    int count = max(1, (int)(ENTRY_PLACES / 2 / half));
    float first = (float)((entry < ENTRIES / 2 ? entry : entry - ENTRIES) * ENTRY_PLACES);
    float middle = 0.5f * (count - 1), sum = 0.0f, moment = 0.0f, squares = 0.0f;
    for (int i = 0; i < count; i++) {
        float value = value_at(code, first + half * (2 * i + 1));
        sum += value;
        moment = fmaf(value, i - middle, moment);
        squares = fmaf(i - middle, i - middle, squares);
    }
    float mean = sum / count;
    if (!line)
        return __half_as_ushort(__float2half_rn(mean));
    /* For a whole octave of F; F of the mean is where the samples' middle lies. */
    __half slope = __float2half_rn(count > 1 ? moment / squares * 512 / half : 0.0f);
    float f = 1 + (half * count - half_step) / 1024;
    __half constant = __float2half_rn(fmaf(-__half2float(slope), f, mean));
    return __half_as_ushort(constant) | (uint32_t)__half_as_ushort(slope) << 16;
}

/* By all threads of a block of PRODUCT_THREADS. Neighbours write different chunks of their rows, hence different banks.
 */
static __device__ inline void fill_table(const struct window_constants *code, bool line, uint4 *table)
{
    static_assert(PRODUCT_THREADS == ENTRIES, "a thread makes an entry");
    uint32_t entry = threadIdx.x, value = make_entry(code, (int)entry, line);
    for (uint32_t i = 0; i < HC_LANES / 4; i++)
        table[entry * (HC_LANES / 4) + (entry + i) % (HC_LANES / 4)] = make_uint4(value, value, value, value);
}

/* ---- The string of bits --------------------------------------------------------------------------------------- */

/* A lane's codes begin at bit 8 k lane of its tile. It loads the words that hold its own 8 k bits (for k <= 3 perhaps
 * only their beginning), and gets the next word from the lane that has it; the string is cyclic, as the lanes are. */
template <int K> struct window_reader {
    static constexpr int OWN = K <= 4 ? 1 : 2, TILE_WORDS = 8 * K, UNROLL = UNIT_TILES / 2;
    static constexpr int AHEAD = K <= 4 ? 8 : 4; /* tiles that are loaded before they are needed: 8 words of codes */
    static constexpr bool LINE = K > HC_PRODUCT_CUDA_STEPS_K;

    const uint32_t *at; /* the lane's word of the first tile of the unit */
    int left;           /* tiles from there on */
    uint32_t own[AHEAD][OWN];
    const char *table; /* the lane's column of it */
    uint32_t lane, multiplier, one;

    __device__ inline void load(uint32_t i, const uint32_t *from)
    {
        if constexpr (K == 8) {
            uint2 two = __ldg((const uint2 *)from);
            own[i][0] = two.x;
            own[i][1] = two.y;
        } else {
#pragma unroll
            for (int j = 0; j < OWN; j++)
                own[i][j] = __ldg(from + j);
        }
    }

    /* `tiles` tiles from `codes` on; the first are under way when this returns. */
    __device__ inline void start(const uint8_t *codes, int tiles, const struct window_constants *code,
                                 const void *entries)
    {
        lane = threadIdx.x % HC_LANES;
        at = (const uint32_t *)codes + K * lane / 4;
        left = tiles;
        multiplier = code->multiplier;
        one = code->one;
        table = (const char *)entries + 4 * lane;
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
#pragma unroll
            for (int j = 0; j < OWN; j++)
                own[i][j] = 0;
            if (i < left)
                load(i, at + i * TILE_WORDS);
        }
    }

    __device__ inline void advance()
    {
        at += UNIT_TILES * TILE_WORDS;
        left -= UNIT_TILES;
    }

    /* 96 bits of the string, from the lane's first on: the last of them zeros or not, as no window reaches them. */
    __device__ inline void string_of(const uint32_t words[OWN], uint32_t string[3]) const
    {
        uint32_t shift = 8 * K * lane % 32;
        if (K <= 4) {
            /* Lanes that share a word: the first lane of the next one has the next. */
            constexpr uint32_t SHARE = K == 1 ? 4 : K == 2 ? 2 : 1;
            uint32_t source = (lane / SHARE + 1) * SHARE + (K == 3 && lane % 4 == 0 ? 1 : 0);
            uint32_t next = __shfl_sync(HC_WARP_ALL, words[0], (int)source);
            string[0] = K == 4 ? words[0] : __funnelshift_r(words[0], next, shift);
            string[1] = K == 4 ? next : next >> shift;
            string[2] = 0;
            return;
        }
        uint32_t give = K == 8 || shift == 0 ? words[0] : words[OWN - 1];
        uint32_t next = __shfl_sync(HC_WARP_ALL, give, (int)lane + 1);
        string[0] = K == 8 ? words[0] : __funnelshift_r(words[0], words[OWN - 1], shift);
        string[1] = K == 8 ? words[OWN - 1] : __funnelshift_r(words[OWN - 1], next, shift);
        string[2] = next;
    }

    /* Window j in the lower bits, the string's further bits above. */
    static __device__ inline uint32_t window(const uint32_t string[3], int j)
    {
        int word = j * K / 32, shift = j * K % 32;
        if (shift + HC_WINDOW_MAX_LENGTH <= 32)
            return string[word] >> shift;
        return __funnelshift_r(string[word], string[word < 2 ? word + 1 : 2], shift);
    }

    /* The value of a window in the lower half; the upper is zero, or the same. */
    __device__ inline uint32_t value(uint32_t bits) const
    {
        uint32_t place = bits * multiplier;
        uint32_t entry = *(const uint32_t *)(table + (place & (0x10000 - ENTRY_PLACES)));
        if (!LINE)
            return entry;
        uint32_t f = (place & (ENTRY_PLACES - 1)) | one;
        __half2 e = *(__half2 *)&entry, v = __hfma2(__high2half2(e), __low2half2(*(__half2 *)&f), __low2half2(e));
        return *(uint32_t *)&v;
    }

    /* The values of tile i of the unit, in the order of the string. Loads one further on. */
    __device__ inline void values(uint32_t i, uint32_t v[8])
    {
        uint32_t string[3];
        string_of(own[i % AHEAD], string);
        if ((int)i + AHEAD < left)
            load(i % AHEAD, at + (i + AHEAD) * TILE_WORDS);
#pragma unroll
        for (int j = 0; j < 8; j++)
            v[j] = value(window(string, j));
    }

    __device__ inline void fragment(uint32_t i, uint32_t a[4])
    {
        uint32_t v[8];
        values(i, v);
#pragma unroll
        for (int j = 0; j < 4; j++)
            a[j] = __byte_perm(v[2 * j], v[2 * j + 1], 0x5410);
    }
};

#endif
