/* Which devices run a network, and what share of its layers they get. The devices are made up, and take the place of
 * those that the library has: what follows the colon is how much memory is free. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "placement.h"

static void destroy(struct hc_runtime *runtime)
{
    free(runtime->state);
}

static hc_status free_memory(struct hc_runtime *runtime, uint64_t *bytes, struct hc_error *error)
{
    *bytes = strtoull(runtime->state, NULL, 10);
    return *bytes == 13 ? hc_fail(error, HC_ERR_DEVICE, "gpu:13 fails") : HC_OK;
}

static const struct hc_runtime_table knows = {.destroy = destroy, .free_memory = free_memory};
static const struct hc_runtime_table silent = {.destroy = destroy};

static hc_status open_runtime(struct hc_runtime *runtime, const struct hc_kernels *kernels, int threads,
                              const char *spec, struct hc_error *error)
{
    (void)kernels;
    (void)threads;
    (void)error;
    *runtime = (struct hc_runtime){spec[0] ? &knows : &silent, strdup(spec)};
    return HC_OK;
}

const struct hc_backend hc_backends[] = {{"gpu", NULL, open_runtime, NULL}, {NULL, NULL, NULL, NULL}};

static hc_status open_context(hc_context **context, const char *devices, hc_split split, int layers)
{
    hc_context_options options;
    hc_context_options_init(&options);
    options.device = devices;
    options.split = split;
    options.device_layers = layers;
    return hc_context_create(context, &options);
}

/* Whether the rest of the layers has a place: text is what is said if not. */
static void expect_rest(const char *devices, int layers, const char *text)
{
    hc_context *context;
    hc_status status = open_context(&context, devices, HC_SPLIT_TENSORS, layers);
    cr_expect_eq(status, text ? HC_ERR_ARGUMENT : HC_OK, "%s, %d layers: status %d", devices, layers, status);
    cr_expect(!text || strstr(hc_message(context), text), "%s, %d layers: %s", devices, layers, hc_message(context));
    hc_context_destroy(context);
}

Test(placement, the_rest_is_on_the_cpu)
{
    expect_rest("gpu:1,gpu:2", 0, NULL);
    expect_rest("gpu:1,gpu:2,cpu", 3, NULL);
    expect_rest("gpu:1,cpu", HC_LAYERS_THAT_FIT, NULL);
    expect_rest("gpu:1,gpu:2", 3, "the last one is gpu:2");
    expect_rest("cpu,gpu:1", HC_LAYERS_THAT_FIT, "the last one is gpu:1");
}

static const struct hc_decoder decoder = {.layers = 12};

static void expect_layers(const char *devices, const char *expected)
{
    hc_context *context;
    struct hc_placement placement;
    struct hc_error error = {""};
    char got[256] = "";
    cr_assert_eq(open_context(&context, devices, HC_SPLIT_LAYERS, 0), HC_OK, "%s", hc_message(context));
    cr_expect_eq(hc_placement_make(&placement, context, false, NULL, &decoder, NULL, &error), HC_OK, "%s", error.text);
    for (int r = 0; r < placement.ranks; r++) {
        struct hc_share share;
        cr_assert_eq(hc_share_make(&share, &decoder, placement.split, r, placement.ranks, placement.portions, &error),
                     HC_OK);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u", r > 0 ? " " : "", share.layers.count);
    }
    cr_expect_str_eq(got, expected, "%s: layers %s, not %s", devices, got, expected);
    hc_placement_clear(&placement);
    hc_context_destroy(context);
}

Test(placement, layers_by_free_memory)
{
    expect_layers("gpu:80000000000,gpu:80000000000,gpu:80000000000", "4 4 4");
    expect_layers("gpu:80000000000,gpu:40000000000", "8 4");
    expect_layers("gpu:8,gpu:24,gpu:16", "2 6 4");
    expect_layers("gpu:0,gpu:1000", "1 11");
    expect_layers("gpu:0,gpu:0", "6 6");
}

Test(placement, layers_alike_where_memory_is_not_known)
{
    expect_layers("gpu:8,cpu", "6 6");
    expect_layers("gpu,gpu:24,gpu:16", "4 4 4");
    expect_layers("cpu,cpu", "6 6");
}

Test(placement, a_device_that_fails)
{
    hc_context *context;
    struct hc_placement placement;
    struct hc_error error = {""};
    cr_assert_eq(open_context(&context, "gpu:8,gpu:13", HC_SPLIT_LAYERS, 0), HC_OK);
    cr_expect_eq(hc_placement_make(&placement, context, false, NULL, &decoder, NULL, &error), HC_ERR_DEVICE);
    cr_expect_str_eq(error.text, "gpu:13 fails");
    hc_placement_clear(&placement);
    hc_context_destroy(context);
}
