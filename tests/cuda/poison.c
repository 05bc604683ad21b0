/* A fault on the device: the call fails with a message that names it, every later one with the same, and the process
 * lives on. Run with CUEMU_FAULT=error under the emulator, which ends the process otherwise. */
#include <stdio.h>
#include <string.h>

#include "engine_cuda.h"
#include "staging.h"

static int faults;

static void expect(bool good, const char *what)
{
    if (good)
        return;
    printf("wrong: %s\n", what);
    faults++;
}

static hc_status moments(struct hc_engine *engine, const struct hc_piece *piece, struct hc_error *error)
{
    struct hc_moments_sum sum;
    memset(&sum, 0, sizeof sum);
    return engine->table->pair_moments(engine, piece, 0, piece->weights, &sum, error);
}

int main(void)
{
    static const float weights[100] = {1, 2, 3};
    struct hc_tensor tensor = {.type = HC_TYPE_F32,
                               .rank = 1,
                               .shape = {100},
                               .weights = 100,
                               .bytes = sizeof weights,
                               .data = (const uint8_t *)weights};
    struct hc_piece piece = {&tensor, 0, 100, 1, 100};
    struct hc_error first = {""}, second = {""};
    struct hc_kernels kernels;
    struct hc_engine engine;

    hc_kernels_init(&kernels, HC_TIER_C);
    if (hc_engine_cuda(&engine, &kernels, 1, "", &first) != HC_OK) {
        printf("cannot open the device: %s\n", first.text);
        return 1;
    }
    expect(moments(&engine, &piece, &first) == HC_OK, "the first call succeeds");

    struct hc_cuda_staging *staging = engine.state;
    void *results = staging->region[HC_CUDA_RESULTS];
    staging->region[HC_CUDA_RESULTS] = (void *)(uintptr_t)4096; /* nobody's memory */
    expect(moments(&engine, &piece, &first) == HC_ERR_DEVICE, "a kernel that writes out of bounds fails the call");
    expect(strncmp(first.text, "CUDA device 0: ", 15) == 0, "the message names the device");
    printf("message: %s\n", first.text);

    staging->region[HC_CUDA_RESULTS] = results;
    expect(moments(&engine, &piece, &second) == HC_ERR_DEVICE, "the device stays poisoned");
    expect(strcmp(first.text, second.text) == 0, "the message stays that of the first fault");
    engine.table->destroy(&engine);
    expect(engine.table == NULL && engine.state == NULL, "it can be closed");
    return faults ? 1 : 0;
}
