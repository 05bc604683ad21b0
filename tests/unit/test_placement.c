/* Which devices run a network, and what share of its layers they get. The devices are made up, and take the place of
 * those that the library has: what follows the colon is how much memory is free. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "placement.h"

const struct hc_backend hc_backends[] = {{"gpu", NULL, NULL, NULL}, {NULL, NULL, NULL, NULL}};

static hc_status open_context(hc_context **context, const char *devices, int layers)
{
    hc_context_options options;
    hc_context_options_init(&options);
    options.device = devices;
    options.device_layers = layers;
    return hc_context_create(context, &options);
}

/* Whether the rest of the layers has a place: text is what is said if not. */
static void expect_rest(const char *devices, int layers, const char *text)
{
    hc_context *context;
    hc_status status = open_context(&context, devices, layers);
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
