#include "staging.h"

#include <string.h>

#include "window_rows/window_rows_cuda.h"

enum {
    ALIGNMENT = 256,
    /* Packed codes are read in words, two at a time: beyond their end, too. */
    PACKED_BYTES = HC_CUDA_CHUNK_PAIRS / 8 * HC_CUDA_CODE_BITS + ALIGNMENT,
    ROWS_BYTES = HC_CUDA_BAND_ROWS * sizeof(struct hc_window_fitted),
    SLOT_BYTES = HC_CUDA_CHUNK * 4 * 2 + ROWS_BYTES + PACKED_BYTES + ALIGNMENT
};

static const size_t region_bytes[HC_CUDA_REGIONS] = {
    [HC_CUDA_RAW] = (size_t)HC_CUDA_SLOTS * HC_CUDA_CHUNK * 2,
    [HC_CUDA_WEIGHTS] = (size_t)HC_CUDA_SLOTS * HC_CUDA_CHUNK * sizeof(float),
    [HC_CUDA_DECODED] = (size_t)HC_CUDA_CHUNK * sizeof(float),
    /* The largest: pair_try's. */
    [HC_CUDA_RESULTS] = (size_t)HC_CUDA_GRIDS * HC_CUDA_CHUNK_BLOCKS * sizeof(struct hc_pair_search),
    [HC_CUDA_LAYOUT] = HC_CUDA_LAYOUT_BYTES,
    [HC_CUDA_CODES] = (size_t)HC_CUDA_CHUNK_PAIRS * sizeof(uint32_t),
    [HC_CUDA_PACKED] = PACKED_BYTES,
    [HC_CUDA_TABLE] = ((size_t)1 << HC_CUDA_CODE_BITS) * sizeof(float[2]),
    [HC_CUDA_GRID] = HC_CUDA_GRIDS * sizeof(struct hc_pair_grid),
    [HC_CUDA_COUNTS] = HC_CUDA_CHUNK_BLOCKS * sizeof(uint32_t),
    [HC_CUDA_FAULTS] = sizeof(uint32_t),
    [HC_CUDA_LARGEST] = HC_CUDA_WIDEST * sizeof(float),
    [HC_CUDA_NON_FINITE] = sizeof(uint64_t),
    [HC_CUDA_TO_UNITS] = HC_CUDA_WIDEST * sizeof(double),
    [HC_CUDA_SUMS] = HC_CUDA_WIDEST * sizeof(uint64_t),
    [HC_CUDA_TO_CODE] = HC_CUDA_WIDEST * sizeof(float),
    [HC_CUDA_FROM_CODE] = HC_CUDA_WIDEST * sizeof(float),
    [HC_CUDA_VALUES] = sizeof(uint16_t) << HC_WINDOW_MAX_LENGTH,
    [HC_CUDA_ROWS] = HC_CUDA_BAND * sizeof(float),
    [HC_CUDA_ROW_FACTORS] = HC_CUDA_BAND_ROWS * sizeof(float),
    [HC_CUDA_TILES] = HC_CUDA_BAND * sizeof(int16_t),
    /* Of two bands: a chunk that is compared ends in another row than it begins in. */
    [HC_CUDA_TILE_CODES] = (size_t)2 * HC_CUDA_BAND / 8 * HC_WINDOW_MAX_K,
    [HC_CUDA_SCALES] = (HC_CUDA_BAND_ROWS + HC_TILE) * sizeof(uint16_t),
    [HC_CUDA_FITTED] = HC_CUDA_BAND_ROWS * sizeof(struct hc_window_fitted),
    [HC_CUDA_WORKSPACE] = HC_CUDA_WORKSPACE_BYTES,
};

hc_status hc_cuda_upload(struct hc_cuda_staging *staging, enum hc_cuda_region region, const void *from, size_t bytes,
                         struct hc_error *error)
{
    cudaError_t result =
        cudaMemcpyAsync(staging->region[region], from, bytes, cudaMemcpyHostToDevice, staging->device.stream);
    return hc_cuda_check(&staging->device, result, "cudaMemcpyAsync to the device", error);
}

hc_status hc_cuda_download(struct hc_cuda_staging *staging, enum hc_cuda_region region, void *to, size_t bytes,
                           struct hc_error *error)
{
    cudaError_t result =
        cudaMemcpyAsync(to, staging->region[region], bytes, cudaMemcpyDeviceToHost, staging->device.stream);
    return hc_cuda_check(&staging->device, result, "cudaMemcpyAsync from the device", error);
}

/* Where the region begins that comes after `region`, if that begins at `offset`. */
static size_t next_offset(enum hc_cuda_region region, size_t offset)
{
    return offset + (region_bytes[region] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* An engine does one thing at a time, so what the methods do not share lies in the same place. Returns all bytes. */
static size_t place_regions(size_t offsets[HC_CUDA_REGIONS])
{
    size_t own = 0, offset = 0, end = 0;
    for (enum hc_cuda_region i = 0; i < HC_CUDA_REGIONS; i++) {
        if (i == HC_CUDA_CODES)
            own = offset;
        if (i == HC_CUDA_LARGEST)
            offset = own;
        offsets[i] = offset;
        offset = next_offset(i, offset);
        end = offset > end ? offset : end;
    }
    return end;
}

static hc_status allocate_arena(struct hc_cuda_staging *staging, struct hc_error *error)
{
    size_t offsets[HC_CUDA_REGIONS];
    void *arena;
    hc_status status = hc_cuda_allocate(&staging->device, place_regions(offsets), &arena, error);
    staging->arena = arena;
    for (int i = 0; status == HC_OK && i < HC_CUDA_REGIONS; i++)
        staging->region[i] = staging->arena + offsets[i];
    return status;
}

static hc_status make_event(struct hc_cuda_staging *staging, cudaEvent_t *event, struct hc_error *error)
{
    return hc_cuda_check(&staging->device, cudaEventCreateWithFlags(event, cudaEventDisableTiming),
                         "cudaEventCreateWithFlags", error);
}

static hc_status allocate_slots(struct hc_cuda_staging *staging, struct hc_error *error)
{
    void *pinned;
    hc_status status = hc_cuda_allocate_pinned(&staging->device, (size_t)HC_CUDA_SLOTS * SLOT_BYTES, &pinned, error);
    staging->pinned = pinned;
    for (int i = 0; status == HC_OK && i < HC_CUDA_SLOTS; i++) {
        struct hc_cuda_slot *slot = &staging->slot[i];
        slot->on_device_raw = (uint8_t *)staging->region[HC_CUDA_RAW] + (size_t)i * HC_CUDA_CHUNK * 2;
        slot->on_device = (float *)staging->region[HC_CUDA_WEIGHTS] + (size_t)i * HC_CUDA_CHUNK;
        slot->weights = staging->pinned + (size_t)i * SLOT_BYTES;
        slot->results = slot->weights + HC_CUDA_CHUNK * sizeof(float);
        slot->rows = slot->results + HC_CUDA_CHUNK * sizeof(float);
        slot->faults = (void *)(slot->rows + ROWS_BYTES);
        slot->packed = slot->rows + ROWS_BYTES + ALIGNMENT;
        status = make_event(staging, &slot->uploaded, error);
        if (status == HC_OK)
            status = make_event(staging, &slot->done, error);
    }
    return status;
}

size_t hc_cuda_width(const struct hc_tensor *tensor)
{
    bool half = tensor->type == HC_TYPE_F16 || tensor->type == HC_TYPE_BF16;
    return half && tensor->permuted_heads == 0 ? sizeof(uint16_t) : sizeof(float);
}

/* Whether there is room for so many bytes. What fails here but for memory poisons the device, and the next operation
 * tells. */
static bool make_room(struct hc_cuda_staging *staging, uint64_t bytes)
{
    struct hc_cuda_device *device = &staging->device;
    struct hc_cuda_held *held = &staging->held;
    size_t available = 0, total;
    void *memory;

    if (bytes <= held->bytes)
        return true;
    if (hc_cuda_device_enter(device, NULL) != HC_OK)
        return false;
    hc_cuda_free(device, held->memory);
    *held = (struct hc_cuda_held){.memory = NULL};
    if (hc_cuda_check(device, cudaMemGetInfo(&available, &total), "cudaMemGetInfo", NULL) != HC_OK ||
        bytes > available / 2 || hc_cuda_allocate(device, (size_t)bytes, &memory, NULL) != HC_OK)
        return false;
    held->memory = memory;
    held->bytes = (size_t)bytes;
    return true;
}

void hc_cuda_hold(struct hc_cuda_staging *staging, const struct hc_piece *piece)
{
    struct hc_cuda_held *held = &staging->held;
    hc_cuda_let_go(staging);
    if (!make_room(staging, piece->weights * hc_cuda_width(piece->tensor)))
        return;
    held->tensor = piece->tensor;
    held->first = piece->first;
}

void hc_cuda_let_go(struct hc_cuda_staging *staging)
{
    staging->held.tensor = NULL;
    staging->held.range_count = 0;
}

bool hc_cuda_has(const struct hc_cuda_held *held, uint64_t begin, uint64_t end)
{
    for (size_t i = 0; i < held->range_count; i++)
        if (held->ranges[i].begin <= begin && end <= held->ranges[i].end)
            return true;
    return false;
}

/* Ranges that it touches become one with it. Where there are too many, it is forgotten, and uploaded again. */
void hc_cuda_has_now(struct hc_cuda_held *held, uint64_t begin, uint64_t end)
{
    size_t kept = 0;
    for (size_t i = 0; i < held->range_count; i++) {
        const struct hc_cuda_range range = held->ranges[i];
        if (range.end < begin || end < range.begin) {
            held->ranges[kept++] = range;
            continue;
        }
        begin = range.begin < begin ? range.begin : begin;
        end = range.end > end ? range.end : end;
    }
    if (kept < HC_CUDA_RANGES)
        held->ranges[kept++] = (struct hc_cuda_range){begin, end};
    held->range_count = kept;
}

void hc_cuda_staging_wait(struct hc_cuda_staging *staging)
{
    cudaStreamSynchronize(staging->uploads);
    cudaStreamSynchronize(staging->device.stream);
}

hc_status hc_cuda_staging_open(struct hc_cuda_staging *staging, const char *spec, struct hc_error *error)
{
    *staging = (struct hc_cuda_staging){.band = HC_CUDA_CHUNK};
    hc_status status = hc_cuda_device_open(&staging->device, spec, error);
    if (status == HC_OK)
        status = hc_cuda_check(&staging->device, cudaStreamCreateWithFlags(&staging->uploads, cudaStreamNonBlocking),
                               "cudaStreamCreateWithFlags", error);
    if (status == HC_OK)
        status = allocate_arena(staging, error);
    if (status == HC_OK)
        status = allocate_slots(staging, error);
    if (status != HC_OK)
        hc_cuda_staging_close(staging);
    return status;
}

void hc_cuda_staging_close(struct hc_cuda_staging *staging)
{
    if (staging->uploads) {
        cudaSetDevice(staging->device.ordinal);
        hc_cuda_staging_wait(staging);
        cudaStreamDestroy(staging->uploads);
    }
    for (int i = 0; i < HC_CUDA_SLOTS; i++) {
        if (staging->slot[i].uploaded)
            cudaEventDestroy(staging->slot[i].uploaded);
        if (staging->slot[i].done)
            cudaEventDestroy(staging->slot[i].done);
    }
    hc_cuda_free_pinned(&staging->device, staging->pinned);
    hc_cuda_free(&staging->device, staging->arena);
    hc_cuda_free(&staging->device, staging->held.memory);
    hc_cuda_device_close(&staging->device);
    memset(staging, 0, sizeof *staging);
}
