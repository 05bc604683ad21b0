/* What the engine works with on its device: an arena of device memory, and pinned staging.
 *
 * Everything is allocated when the engine is opened, but for the room of a piece that is held. Work comes in *chunks*
 * of HC_CUDA_CHUNK weights; two *slots* of pinned memory take turns, so that the host fills one while the device works
 * on the other. Weights are uploaded by a stream of their own, into room that each slot has, while the kernels are at
 * those of the other. The rest of the arena needs no second copy: kernels do one chunk after the other.
 */
#ifndef HC_CUDA_STAGING_H
#define HC_CUDA_STAGING_H

#include "device.h"
#include "engine.h"
#include "window_frame.h"

enum {
    /* Weights: a block of threads for every multiprocessor of the largest devices, and a few chunks to each stretch
     * that the host asks for, so that its copying and the device's work overlap. */
    HC_CUDA_CHUNK = 1 << 20,
    HC_CUDA_CHUNK_PAIRS = HC_CUDA_CHUNK / 2,
    HC_CUDA_CHUNK_BLOCKS = HC_CUDA_CHUNK / HC_BLOCK,
    HC_CUDA_CODE_BITS = 24,
    HC_CUDA_GRIDS = HC_PAIR_MAX_CLASSES + 1, /* in one pair_try */
    HC_CUDA_SLOTS = 2,
    HC_CUDA_RANGES = 64 /* of a piece that is held */
};

/* `window`: the rows of a band (engine_cuda_window.h) and its tiles, if it is not a single row of tiles of the widest
 * matrices; and their size. */
enum {
    HC_CUDA_BAND_ROWS = 8192,
    HC_CUDA_WIDEST = HC_WINDOW_MAX_COLUMNS,
    HC_CUDA_BAND = HC_TILE * HC_CUDA_WIDEST,
    HC_CUDA_LAYOUT_BYTES = 1 << 19,
    /* Of the encoder: long windows take up to 1.3 MB for each tile under way, of which there are a few hundred. */
    HC_CUDA_WORKSPACE_BYTES = 1 << 29
};

/* Regions of the arena, aligned to 256 bytes. */
enum hc_cuda_region {
    /* Of both methods */
    HC_CUDA_RAW,     /* for each slot, a chunk in a type of 2 bytes, as it lies in the file, or is to be written */
    HC_CUDA_WEIGHTS, /* for each slot, a chunk in float32 */
    HC_CUDA_DECODED, /* the same, decoded; in pair_try the outer pairs of each block */
    HC_CUDA_RESULTS, /* per block and grid */
    HC_CUDA_LAYOUT,  /* of the encoder of `window`, kept from call to call */
    /* Of `pair` */
    HC_CUDA_CODES, /* one word per pair */
    HC_CUDA_PACKED,
    HC_CUDA_TABLE,  /* room for the largest */
    HC_CUDA_GRID,   /* HC_CUDA_GRIDS of them */
    HC_CUDA_COUNTS, /* one word per block */
    HC_CUDA_FAULTS, /* one word */
    /* Of `window`; in the same place as those of `pair` */
    HC_CUDA_LARGEST,     /* per column */
    HC_CUDA_NON_FINITE,  /* a count */
    HC_CUDA_TO_UNITS,    /* per column */
    HC_CUDA_SUMS,        /* per column */
    HC_CUDA_TO_CODE,     /* per column */
    HC_CUDA_FROM_CODE,   /* per column */
    HC_CUDA_VALUES,      /* of codes, in half precision */
    HC_CUDA_ROWS,        /* a band in its frame */
    HC_CUDA_ROW_FACTORS, /* per row of a band */
    HC_CUDA_TILES,       /* a band as the coder wants it */
    HC_CUDA_TILE_CODES,
    HC_CUDA_SCALES, /* per row, half precision */
    HC_CUDA_FITTED, /* per row */
    HC_CUDA_WORKSPACE,
    HC_CUDA_REGIONS
};

struct hc_cuda_slot {
    void *on_device_raw;   /* its part of HC_CUDA_RAW */
    float *on_device;      /* of HC_CUDA_WEIGHTS */
    cudaEvent_t uploaded;  /* after what the stream of uploads brought there */
    uint8_t *weights;      /* pinned: a chunk on its way to the device, up to 4 bytes per weight */
    uint8_t *packed;       /* pinned: packed codes, either way */
    uint8_t *results;      /* pinned: what came back; a chunk of float32 at most */
    uint8_t *rows;         /* pinned: what came back for every row of a band */
    uint32_t *faults;      /* pinned: one word that came back */
    cudaEvent_t done;      /* after the last work on this slot */
    bool busy;             /* work was queued, and its results have not been taken */
    uint64_t first, count; /* of that work, within its stretch */
};

/* A piece over which passes follow: the first of them leaves here what it uploads. It may be parts of the piece only,
 * where several devices share the work. */
struct hc_cuda_held {
    uint8_t *memory; /* stays for the pieces that follow */
    size_t bytes;
    const struct hc_tensor *tensor; /* NULL: nothing is held */
    uint64_t first;                 /* of the piece, in its tensor */
    struct hc_cuda_range {
        uint64_t begin, end;
    } ranges[HC_CUDA_RANGES]; /* weights of the piece that are here; no two of them touch */
    size_t range_count;
};

struct hc_cuda_staging {
    struct hc_cuda_device device;
    cudaStream_t uploads;
    struct hc_cuda_held held;
    uint64_t band;                   /* weights that make a band of `window`: HC_CUDA_CHUNK, and less in tests */
    struct hc_window_code layout_of; /* what HC_CUDA_LAYOUT is for; k = 0: for nothing */
    uint8_t *arena;
    void *region[HC_CUDA_REGIONS];
    uint8_t *pinned;
    struct hc_cuda_slot slot[HC_CUDA_SLOTS];
};

/* Opens the device (hc_cuda_device_open) and allocates. On failure nothing is left open. */
hc_status hc_cuda_staging_open(struct hc_cuda_staging *staging, const char *spec, struct hc_error *error);

/* Waits for the device and frees everything; also right for a poisoned device. */
void hc_cuda_staging_close(struct hc_cuda_staging *staging);

/* Bytes of a weight as it is uploaded. The device converts the two types of 16 bits itself, of which so half the bytes
 * cross the bus; everything else goes there in float32. */
size_t hc_cuda_width(const struct hc_tensor *tensor);

/* As struct hc_engine_table says. Memory is allocated where a piece is larger than those before, and only if as much
 * again stays free. */
void hc_cuda_hold(struct hc_cuda_staging *staging, const struct hc_piece *piece);
void hc_cuda_let_go(struct hc_cuda_staging *staging);

/* Whether these weights of the piece are held; and that they are, from now on. */
bool hc_cuda_has(const struct hc_cuda_held *held, uint64_t begin, uint64_t end);
void hc_cuda_has_now(struct hc_cuda_held *held, uint64_t begin, uint64_t end);

/* Waits for all that is queued. */
void hc_cuda_staging_wait(struct hc_cuda_staging *staging);

/* Queues a copy to the beginning of a region. */
hc_status hc_cuda_upload(struct hc_cuda_staging *staging, enum hc_cuda_region region, const void *from, size_t bytes,
                         struct hc_error *error);

/* Queues a copy from the beginning of a region to pinned memory. */
hc_status hc_cuda_download(struct hc_cuda_staging *staging, enum hc_cuda_region region, void *to, size_t bytes,
                           struct hc_error *error);

#endif
