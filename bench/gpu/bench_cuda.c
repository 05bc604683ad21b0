#include "bench_cuda.h"

#include <math.h>
#include <string.h>

#include "../weights.h"

enum { POOL_BYTES = 1 << 20 };

bool gpu_check(struct gpu *gpu, cudaError_t result, const char *call)
{
    if (!gpu->failed)
        gpu->failed = hc_cuda_check(&gpu->device, result, call, &gpu->error) != HC_OK;
    return !gpu->failed;
}

static void fail(struct gpu *gpu, const char *what, const char *why)
{
    if (!gpu->failed)
        hc_fail(&gpu->error, HC_ERR_DEVICE, "%s: %s", what, why);
    gpu->failed = true;
}

/* Waits, as memory of the host is not pinned and may be freed next. */
static bool copy(struct gpu *gpu, void *to, const void *from, size_t bytes)
{
    return gpu_check(gpu, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, gpu->device.stream), "cudaMemcpyAsync") &&
           gpu_check(gpu, cudaStreamSynchronize(gpu->device.stream), "cudaStreamSynchronize");
}

/* ---- Buffers -------------------------------------------------------------------------------------------------- */

void *gpu_buffer(struct gpu *gpu, size_t bytes)
{
    void *memory = NULL;
    if (gpu->failed)
        return NULL;
    if (gpu->buffer_count == GPU_BUFFERS)
        fail(gpu, "gpu_buffer", "too many");
    else
        gpu->failed = hc_cuda_allocate(&gpu->device, bytes, &memory, &gpu->error) != HC_OK;
    if (memory)
        gpu->buffers[gpu->buffer_count++] = memory;
    return memory;
}

void *gpu_zeros(struct gpu *gpu, size_t bytes)
{
    void *memory = gpu_buffer(gpu, bytes);
    if (memory)
        gpu_check(gpu, cudaMemsetAsync(memory, 0, bytes, gpu->device.stream), "cudaMemsetAsync");
    return memory;
}

void *gpu_put(struct gpu *gpu, const void *data, size_t bytes)
{
    void *memory = gpu_buffer(gpu, bytes);
    if (memory)
        copy(gpu, memory, data, bytes);
    return memory;
}

/* The pattern, over and over. */
static void *repeat(struct gpu *gpu, const uint8_t *pattern, size_t bytes)
{
    uint8_t *memory = gpu_buffer(gpu, bytes);
    for (size_t at = 0; memory && at < bytes; at += POOL_BYTES) {
        size_t n = bytes - at < POOL_BYTES ? bytes - at : POOL_BYTES;
        if (!copy(gpu, memory + at, pattern, n))
            break;
    }
    return memory;
}

static void *random_words(struct gpu *gpu, size_t bytes, uint64_t keep, uint64_t set)
{
    uint64_t *pattern = malloc(POOL_BYTES);
    void *memory = NULL;
    if (!pattern) {
        fail(gpu, "random data", "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < POOL_BYTES / sizeof *pattern; i++)
        pattern[i] = (scatter(i * 0x9e3779b97f4a7c15u) & keep) | set;
    memory = repeat(gpu, (const uint8_t *)pattern, bytes);
    free(pattern);
    return memory;
}

void *gpu_random(struct gpu *gpu, size_t bytes)
{
    return random_words(gpu, bytes, UINT64_MAX, 0);
}

void *gpu_random_halves(struct gpu *gpu, size_t count)
{
    return random_words(gpu, count * sizeof(uint16_t), 0x83ff83ff83ff83ffu, 0x2800280028002800u);
}

void *gpu_fill_floats(struct gpu *gpu, size_t count, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return random_words(gpu, count * sizeof value, 0, (uint64_t)bits << 32 | bits);
}

void gpu_release(struct gpu *gpu)
{
    while (gpu->buffer_count > 0)
        hc_cuda_free(&gpu->device, gpu->buffers[--gpu->buffer_count]);
}

/* ---- Checks --------------------------------------------------------------------------------------------------- */

/* To be freed by the caller; NULL after a failure. */
static void *fetch(struct gpu *gpu, const void *device, size_t bytes)
{
    void *memory = gpu->failed ? NULL : malloc(bytes);
    if (!memory) {
        fail(gpu, "results", "out of memory");
        return NULL;
    }
    if (copy(gpu, memory, device, bytes))
        return memory;
    free(memory);
    return NULL;
}

void gpu_expect_floats(struct gpu *gpu, const float *device, size_t count, const char *what)
{
    float *values = fetch(gpu, device, count * sizeof *values);
    size_t finite = 0, zeros = 0;
    if (!values)
        return;
    for (size_t i = 0; i < count; i++) {
        finite += isfinite(values[i]) ? 1 : 0;
        zeros += values[i] == 0.0f ? 1 : 0;
    }
    if (finite < count)
        fail(gpu, what, "results are not finite");
    if (zeros > count / 2)
        fail(gpu, what, "results are zeros");
    free(values);
}

void gpu_expect_bytes(struct gpu *gpu, const void *device, size_t bytes, const char *what)
{
    uint8_t *values = fetch(gpu, device, bytes);
    size_t zeros = 0;
    if (!values)
        return;
    while (zeros < bytes && values[zeros] == 0)
        zeros++;
    if (zeros == bytes)
        fail(gpu, what, "results are zeros");
    free(values);
}

/* ---- Clocks --------------------------------------------------------------------------------------------------- */

size_t gpu_sets(const struct gpu *gpu, size_t bytes)
{
    if (gpu->emulated)
        return 2;
    size_t sets = 4 * gpu->cache / bytes + 1;
    return sets < 2 ? 2 : sets;
}

static cudaGraphExec_t record(struct gpu *gpu, gpu_work *work, const void *state, size_t sets)
{
    cudaStream_t stream = gpu->device.stream;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t round = NULL;
    if (gpu->failed || !gpu_check(gpu, cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture"))
        return NULL;
    for (size_t set = 0; set < sets && gpu_check(gpu, work(state, set, stream), "launch"); set++)
        ;
    gpu_check(gpu, cudaStreamEndCapture(stream, &graph), "capture");
    if (!gpu->failed)
        gpu_check(gpu, cudaGraphInstantiate(&round, graph, 0), "cudaGraphInstantiate");
    if (graph)
        cudaGraphDestroy(graph);
    return round;
}

struct clock {
    cudaEvent_t begin, end;
};

/* Seconds of so many rounds. */
static double time_rounds(struct gpu *gpu, const struct clock *clock, cudaGraphExec_t round, unsigned rounds)
{
    float milliseconds = 0;
    gpu_check(gpu, cudaEventRecord(clock->begin, gpu->device.stream), "cudaEventRecord");
    for (unsigned i = 0; i < rounds && !gpu->failed; i++)
        gpu_check(gpu, cudaGraphLaunch(round, gpu->device.stream), "cudaGraphLaunch");
    gpu_check(gpu, cudaEventRecord(clock->end, gpu->device.stream), "cudaEventRecord");
    gpu_check(gpu, cudaEventSynchronize(clock->end), "cudaEventSynchronize");
    gpu_check(gpu, cudaEventElapsedTime(&milliseconds, clock->begin, clock->end), "cudaEventElapsedTime");
    return milliseconds / 1e3;
}

/* The first round warms up, the second tells how many make some 20 ms. */
static double best_round(struct gpu *gpu, const struct clock *clock, cudaGraphExec_t round)
{
    time_rounds(gpu, clock, round, 1);
    if (gpu->emulated)
        return 0;
    double once = time_rounds(gpu, clock, round, 1), best = 0;
    unsigned rounds = once < 0.02 ? (unsigned)(0.02 / fmax(once, 1e-5)) : 1;
    for (int i = 0; i < gpu->repeats && !gpu->failed; i++) {
        double seconds = time_rounds(gpu, clock, round, rounds) / rounds;
        best = i == 0 || seconds < best ? seconds : best;
    }
    return best;
}

double gpu_time(struct gpu *gpu, gpu_work *work, const void *state, size_t sets)
{
    struct clock clock = {NULL, NULL};
    double seconds = 0;
    cudaGraphExec_t round = record(gpu, work, state, sets);
    if (round && gpu_check(gpu, cudaEventCreate(&clock.begin), "cudaEventCreate") &&
        gpu_check(gpu, cudaEventCreate(&clock.end), "cudaEventCreate"))
        seconds = best_round(gpu, &clock, round) / (double)sets;
    if (round)
        cudaGraphExecDestroy(round);
    if (clock.begin)
        cudaEventDestroy(clock.begin);
    if (clock.end)
        cudaEventDestroy(clock.end);
    return gpu->failed ? 0 : seconds;
}

/* ---- The table ------------------------------------------------------------------------------------------------ */

void gpu_print_head(const struct gpu *gpu)
{
    if (gpu->csv)
        puts("operation,shape,k,length,positions,microseconds,billion_weights_per_second,gigabytes_per_second,of_copy,"
             "times_cublas");
    else
        printf("%-14s %-16s %4s %3s %5s %12s %14s %8s %8s %9s\n", "operation", "shape", "k", "L", "n", "microseconds",
               "weights, G/s", "GB/s", "of copy", "x cuBLAS");
}

/* Figures that do not exist are left out. */
static void print_figure(const struct gpu *gpu, int width, int digits, double figure)
{
    if (gpu->csv && figure > 0)
        printf(",%.*f", digits, figure);
    else if (figure > 0)
        printf(" %*.*f", width, digits, figure);
    else
        printf(gpu->csv ? "," : " %*s", width, "");
}

void gpu_print(const struct gpu *gpu, const struct gpu_row *row)
{
    if (gpu->failed)
        return;
    bool timed = row->seconds > 0;
    printf(gpu->csv ? "%s,%s" : "%-14s %-16s", row->operation, row->shape);
    print_figure(gpu, 4, row->k == floor(row->k) ? 0 : 1, row->k);
    print_figure(gpu, 3, 0, row->length);
    print_figure(gpu, 5, 0, (double)row->n);
    print_figure(gpu, 12, 2, row->seconds * 1e6);
    print_figure(gpu, 14, 2, timed ? row->weights / row->seconds / 1e9 : 0);
    print_figure(gpu, 8, 1, timed ? row->bytes / row->seconds / 1e9 : 0);
    print_figure(gpu, 8, 3, timed ? row->bytes / row->seconds / gpu->copy : 0);
    print_figure(gpu, 9, 2, timed ? row->baseline / row->seconds : 0);
    puts(gpu->emulated && !gpu->csv ? " sound" : "");
    fflush(stdout);
}
