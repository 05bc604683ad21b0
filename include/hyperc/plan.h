/* hyperc: who would compress what. A *plan* gives every weight of every tensor to one of several devices, as
 * hc_compress shares out its work among the devices of a context and those of other ranks. Planning needs none of the
 * devices.
 *
 * The conventions are those of hyperc.h. The same tensors, options and devices give the same plan on every machine.
 */
#ifndef HYPERC_PLAN_H
#define HYPERC_PLAN_H

#include <hyperc/hyperc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A device, or as much of it as works on this model. Two of one name are two. */
typedef struct hc_plan_device {
    const char *name; /* "cpu", "cuda" or "cuda:N" */
    double speed;     /* in cores of a CPU, 1e-9 to 1e9. 0: as many as the context has threads; of a GPU 100 */
    uint64_t memory;  /* most bytes that one part may take there; 0: any number */
} hc_plan_device;

/* Predicted times are those of the search, by a cost per weight. What is not in them: storage, waiting, and what goes
 * over the model before it is coded (moments, the sharing of a fractional rate). Costs are nanoseconds of one core (AMD
 * EPYC, Zen 4, AVX-512; bench/results/window_speed.csv and pair_speed.csv, one thread):
 *
 *  - `window`: 15 for reading and transforming, and for every branch that the search evaluates 0.015 (k = 1, 2), 0.058
 *    (k = 3, 4, 5) or 0.069 (k = 6, 8). It evaluates (256 + S) / 256 n 2^(L-k) of them per weight, S and n as in
 *    kernels/window_encode/window_encode.h. That meets the table to 12 %; a (k, L) that is not in it goes by the count.
 *    Tiles are counted whole. A tensor that shares a fractional rate costs what lies between its neighbours.
 *  - `pair`: 3.4 for each fit, of which there are at most one for each point count, twice as many with a chosen side;
 *    and 3.3 for codes and their check.
 *  - a tensor that is kept: 0.13 a byte, as in a plain copy.
 *
 * A GPU is taken for 100 cores: by the bounds in bench/results/sass.csv an A100 may search 36 (k = 2, L = 12) to 127
 * (k = 4, L = 12) times as fast as a core. That is a bound from counted instructions; nothing was measured. To the plan
 * every GPU is an A100, unless a speed is given. hc_compress, which has the GPU at hand, takes it for 100 times its
 * multiprocessors times their clock, over those of an A100 (108 at 1.41 GHz), unless it is told (hc_context_options).
 *
 * What is cut where: all devices go through the model together. Every piece (a tensor, or one expert of a stack of
 * them) is cut among all of them in proportion to their speeds, as near as whole units go: rows of tiles, which are 16
 * rows, for `window`, blocks of 8192 weights for `pair`. What is kept, the first one copies.
 *
 * Where whole rows of tiles do not come out even, every device gets as many as are due to it, rounded down, and the few
 * that are left over are shared by all, in three steps with a cut of their own each: what takes each row of the matrix
 * to the units of the search (cut between rows), the search (between *blocks of tiles*: 1, 2, 4 or 8 of them, which a
 * Hadamard block covers), the scales (between rows). That is left out where it would take as long. Beside the search
 * the first step takes 0.7, the last 1.15 and, for all rows of each row of tiles of which a device has a row, 0.5
 * (nanoseconds for a weight, as above; bench/window_steps). That is mostly done a second time, and counts as lost.
 *
 * The codes of a piece depend on sums over all of it (column norms; means, farthest point and classes of `pair`), which
 * are added up over the devices, so that the next piece begins when the slowest is done. The time of the whole is
 * therefore the sum over the pieces, and over the steps of a piece, of that of the slowest device, and the imbalance
 * what is lost to waiting and to what is done twice. With n equal devices a piece of u units of `pair` takes as long as
 * ceil(u / n) of them: nothing is lost where n divides u. For the shapes of LLaMA2, with 1 to 64 equal devices, it is
 * below 2 % (docs/scaling.md).
 *
 * hc_compress goes over a piece stretch by stretch, which are long enough for all devices, and cuts each stretch so.
 * Between the devices of one process this is where they begin: one that is done early takes over parts of others.
 * Processes wait for each other behind every step of every stretch, so that what is rounded is rounded once for each
 * stretch, and not once for the piece. Equal ones lose nothing by it, unequal ones wait longer than the plan says:
 * docs/scaling.md.
 *
 * Memory: while a part is worked on, it lies there as it is read and as it is coded. What would take more than there is
 * for it is divided further, for the same device. */

/* Some weights of a tensor, for one device; in the order of the tensors and their rows. */
typedef struct hc_plan_part {
    const char *tensor;
    uint64_t piece, pieces;  /* which expert of how many, in tensors that stack them; else 0 of 1 */
    bool whole;              /* all of the piece */
    uint64_t first, weights; /* of the piece's, row by row */
    /* If not 0: of the rows of tiles from weight `first` to the end of the piece, which devices share, so many tiles
     * from number first_tile on; `weights` of the piece's are in them. */
    uint64_t first_tile, tiles;
    uint64_t device;                    /* which of the devices */
    uint64_t read_bytes, written_bytes; /* of tensors; together what it takes of memory. Written: of `pair`, and of
                                         * shared rates, at most */
    bool kept;                          /* copied as it is, which takes no memory there */
    double seconds;                     /* predicted; of tiles, to search them */
} hc_plan_part;

/* What a device gets in all. */
typedef struct hc_plan_share {
    const char *name;
    double speed; /* in force */
    uint64_t memory;
    uint64_t parts, weights, read_bytes, written_bytes;
    uint64_t part_bytes; /* most that a part takes of its memory */
    double share;        /* of the work of all devices, 0 to 1 */
    double seconds;      /* predicted, without waiting */
} hc_plan_share;

typedef struct hc_plan_totals {
    uint64_t tensors, pieces, cut_pieces; /* cut: between devices */
    uint64_t parts, weights, devices;
    double seconds;   /* of the whole: of the slowest device at every piece */
    double imbalance; /* that / what it would be if nobody waited, and nothing were done twice, - 1; 0 if there is
                       * nothing to do */
} hc_plan_totals;

typedef struct hc_plan hc_plan;

/* Plans the compression of the model at `input` (hc_compress), of which the headers alone are read.
 * HC_ERR_ARGUMENT: a device of another name, a speed out of range, a device whose memory does not hold the least part
 * of some tensor; HC_ERR_UNSUPPORTED: the model is compressed already. On failure *plan is NULL. */
hc_status hc_plan_model(hc_context *context, const char *input, const hc_compress_options *options,
                        const hc_plan_device *devices, size_t count, hc_plan **plan);
/* The same for tensors that need not be anywhere: of these, name, type, rank and shape count. */
hc_status hc_plan_tensors(hc_context *context, const hc_tensor_info *tensors, size_t tensor_count,
                          const hc_compress_options *options, const hc_plan_device *devices, size_t count,
                          hc_plan **plan);
void hc_plan_free(hc_plan *plan);

void hc_plan_totals_get(const hc_plan *plan, hc_plan_totals *totals);
/* Index out of range: HC_ERR_ARGUMENT, and no message. */
hc_status hc_plan_share_get(const hc_plan *plan, uint64_t device, hc_plan_share *share);
hc_status hc_plan_part_get(const hc_plan *plan, uint64_t index, hc_plan_part *part);

#ifdef __cplusplus
}
#endif
#endif
