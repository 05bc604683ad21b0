/* Encoding of `window`: the cyclic string of a tile that lies nearest to its weights (tail-biting Viterbi).
 *
 * Integer arithmetic, so that every tier and device finds the same string. A code theta is a branch from the state
 * theta mod 2^(L-k) to the state theta >> k; *which* of the 2^k branches into a state, its low k bits, is called j: the
 * bits that leave the window, and those that are stored for this weight.
 *
 * States and codes are numbered by their *places*, as L-k and L bits: r = s A mod 2^(L-k) for the state s, u = theta A
 * mod 2^L for the code theta. Branch j into r is the code at u = (2^k r + j A) mod 2^L, and comes from the state at
 * u mod 2^(L-k). So for one j, what leads to neighbouring r lies side by side on the winding: of a *group* of states,
 * only the few branches that come near a weight are looked at.
 *
 * Groups are of g = hc_window_group(k, L) consecutive r. The 2^k branches are taken in the order of j A mod 2^L, about
 * 2^(L-k) apart, and that without end, the first after the last. Looked at are n = hc_window_near(k, L) that follow one
 * another, from the one of number e on, for the group that begins at r:
 *     e = ((start[b] - 2^k r) mod 2^L) >> (L-k)       b = (w + 32768) >> 6, the bucket of the weight w
 *     start[b] = (p - 2^k g / 2 - a + (n odd: 2^(L-k-1)) - ((n-1) >> 1) 2^(L-k)) mod 2^L
 * so that their middle is nearest to p, the place of the middle of the bucket, which is the number of codebook entries
 * less than 64 b - 32736, minus 2^(L-1); a is how far the branches lie from multiples of 2^(L-k) on an average, (sum
 * over j of (j A mod 2^L) - 2^(L-1) (2^k - 1)) / 2^k, rounded down. With n = 2^k these are all branches.
 *
 * Weights and codebook are 16-bit numbers in one scale. With the path metric M of every state, a step of weight w goes
 *     d     = (w >> 1) - (value >> 1)   shifts round down; but for k = 5:
 *     d     = w - value, held within -32768 .. 32767
 *     d     = (d r + 2^14) >> 15        with importance r, 0 .. 32767, of this position; else as it is
 *   bytes (k <= 2): value = level[hc_window_level(codebook[u])]
 *     q     = (d d + 2^14 + 2^(14+s)) >> (15+s)    s = 7 for k = 1, 4 for k = 2; see below
 *     M'[r] = min over j of min(M[u mod 2^(L-k)] + q, 255),     u = (2^k r + j A) mod 2^L, j of those looked at
 *   narrow (k <= 5): value = codebook[u], as for all that follow
 *     q     = (d d + 2^14) >> 15                   0 .. 32768
 *     M'[r] = min over j of min(M[u mod 2^(L-k)] + q, 32767)
 *   wide (k >= 6):
 *     q     = (d d) >> 4                           0 .. 2^26
 *     M'[r] = min over j of M[u mod 2^(L-k)] + q
 *   after step t, if t mod 16 = 15 (bytes: t mod 8 = 7): the least M' is subtracted from all of them.
 * A path is followed backwards: into the state r comes the lowest j, of those looked at, of the least M[..] + q, held
 * as above.
 *
 * Bytes tell entries of the codebook apart by 128 *levels*, which are narrower near 0: an entry v belongs to the level
 * 64 + floor(64 x (11 - 3 x^2) / 8), x = v / 2^15; level[] has the mean of the entries of each, rounded down. That
 * costs 0.015 dB, and a register holds twice as many metrics.
 *
 * The string is cyclic, so the path must begin and end in one state. With S = hc_window_seam(k, L), W =
 * hc_window_splice(L), and time t the moment before step t:
 *  1. From zero metrics at time 0, 256 + S steps; step t is that of weight t mod 256.
 *  2. Back from the state of the least metric at time 2 S (the lowest such r): x, the state at time S.
 *  3. From x at time 256 + S back over 256 steps: y, the state at time S. If y = x, the path has closed. Otherwise the
 *     same once more with y in the place of x. (Paths that go backwards soon meet, so the second nearly always closes.)
 *  4. If it has not, the part behind the seam is found anew: with the last y as x, the path from x at time 256 + S back
 *     to time S + W stays. At time S, x now gets metric 0 and every other state the largest (bytes: 255, narrow: 32767,
 *     wide: 3 2^29); after steps S .. S + W - 1, the path is followed from time S + W on down to time S, where it is
 *     to be x.
 *
 * An attempt fails if a least metric that is subtracted is more than half the largest (bytes: 128 or more, narrow:
 * 16384), as paths then meet at the largest and lose what they differ by, or if the path of 4. does not begin in x.
 * Where several weights far out stand together, as in some tiles of real models, paths differ by more than bytes hold,
 * and decibels would be lost of such tiles. So bytes have further attempts, each with s greater by 1: two in all for
 * k = 1, four for k = 2; with short windows some normal tiles take them, too. A tile whose last attempt fails is
 * encoded by wide arithmetic (with halves for k = 5, too) with all branches from number 0 on, on CPUs by plain C in
 * every tier. Then every state is reached from x within W steps, and the path closes.
 */
#ifndef HC_KERNELS_WINDOW_ENCODE_H
#define HC_KERNELS_WINDOW_ENCODE_H

#include "common/window.h"

/* Steps of the second turn, a multiple of 16 up to 128: fewer are faster, and settle the state at the seam less well.
 * Signal to noise at S = 16, 32, 48: 23.370, 23.384, 23.391 dB (k 4, L 12), 11.503, 11.520, 11.528 (k 2, L 12); at
 * S = 48, 64, 96, 128: 23.614, 23.627, 23.637, 23.644 (k 4, L 16), 11.624, 11.633, 11.645, 11.651 (k 2, L 16). */
static inline unsigned hc_window_seam(unsigned k, unsigned length)
{
    if (length <= 12)
        return k <= 2 ? 48 : 16;
    if (length <= 14)
        return k <= 2 ? 48 : 32;
    return k == 3 ? 96 : 128;
}

/* Steps found anew where a path does not close of itself, up to 128. */
static inline unsigned hc_window_splice(unsigned length)
{
    return length <= 12 ? 48 : 96;
}

/* States that go together, 32 or 16 with wide metrics, or all; where all branches are looked at nothing depends on it.
 */
static inline unsigned hc_window_group(unsigned k, unsigned length)
{
    unsigned states = 1u << (length - k), fill = k <= 5 ? 32 : 16;
    return states < fill ? states : fill;
}

/* Branches looked at: they lie about 2^-k of the winding apart, those of a group reach over group / states of it, and
 * two more lie beside these; four where k >= 5, as their distances are less even. All for k <= 2, as they would be most
 * of them, and for k = 8. What is not looked at costs at most 0.004 dB, for any (k, L). */
static inline unsigned hc_window_near(unsigned k, unsigned length)
{
    unsigned all = 1u << k, fill = k <= 5 ? 32 : 16, reach = (fill << 2 * k) >> length;
    unsigned near = (k <= 4 ? 2 : 4) + (reach ? reach : 1);
    return k <= 2 || k == 8 || near > all ? all : near;
}

/* A codebook and what is made of it. Owned by the caller, who sets all, and has `prepare` fill the layout. */
struct hc_window_trellis {
    unsigned k, length;
    uint16_t multiplier;     /* A 2^(16-L), as in struct hc_window_code */
    const int16_t *codebook; /* 2^length entries, by u */
    bool all;                /* encode by plain C with wide arithmetic and all branches, which is slow */
    void *layout; /* 64-byte aligned: struct hc_window_head, then the tier's own order of the codebook; on a GPU its own
                   */
};

enum { HC_WINDOW_LEVELS = 128 };

/* The level of an entry. */
static inline unsigned hc_window_level(int16_t entry)
{
    int64_t v = entry, scaled = v * ((INT64_C(11) << 30) - 3 * v * v) + (INT64_C(64) << 42);
    return (unsigned)(scaled >> 42);
}

/* Every layout of a tier of the CPU begins with it. */
struct hc_window_head {
    int16_t level[HC_WINDOW_LEVELS];     /* that of bytes */
    uint16_t start[1024];                /* which branches are looked at */
    uint8_t order[2 << HC_WINDOW_MAX_K]; /* all j, twice */
};

/* Of a trellis only k, length and multiplier; returns a, above. order: 2^(k+1) bytes, as in the head. */
int32_t hc_window_find_order(const struct hc_window_trellis *trellis, uint8_t *order);

void hc_window_fill_head(const struct hc_window_trellis *trellis, struct hc_window_head *head);

struct hc_window_encode_ops {
    /* Bytes of a layout; prepare fills it from the rest of the trellis. */
    size_t (*layout_bytes)(unsigned k, unsigned length);
    void (*prepare)(const struct hc_window_trellis *trellis);
    /* Bytes of scratch that `tiles` needs; 64-byte aligned, no contents expected or left. */
    size_t (*scratch_bytes)(unsigned k, unsigned length);
    /* Encodes `count` tiles. weights: 256 each, in stream order; -32767 .. 32767. importance: 256 numbers for all
     * tiles alike, in stream order, or NULL. codes: 32 k bytes each. No alignment is needed for these. */
    void (*tiles)(const struct hc_window_trellis *trellis, const int16_t *weights, const int16_t *importance,
                  size_t count, void *scratch, uint8_t *codes);
};

/* Largest magnitude of a codebook entry; weights reach up to it and a little beyond (they are held to 32767). */
enum { HC_WINDOW_FULL_SCALE = 32700 };

/* The codebook of a table of normative values (hc_window_table of `code`), and its scale: codebook[u] = round(value
 * scale), ties to even, scale = HC_WINDOW_FULL_SCALE / largest value, as a float32. */
float hc_window_codebook(const struct hc_window_code *code, const uint16_t *table, int16_t *codebook);

void hc_window_encode_c(struct hc_window_encode_ops *ops);
void hc_window_encode_avx2(struct hc_window_encode_ops *ops);
void hc_window_encode_avx512(struct hc_window_encode_ops *ops);

#endif
