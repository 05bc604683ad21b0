/* How fast the devices of a context are taken to be: as they say, as the user says, and nothing if they do not open.
 * The devices are made up, and take the place of those that the library has. */
#include <criterion/criterion.h>
#include <string.h>

#include "backend.h"
#include "context.h"

/* gpu:broken has no memory, and would be fast. */
static hc_status open_gpu(struct hc_engine *engine, const struct hc_kernels *kernels, int threads, const char *spec,
                          struct hc_error *error)
{
    (void)threads;
    if (strcmp(spec, "broken") == 0)
        return hc_fail(error, HC_ERR_DEVICE, "gpu:broken is out of memory");
    return hc_engine_cpu(engine, kernels, 1, error);
}

static double gpu_speed(const char *spec)
{
    return strcmp(spec, "half") == 0 ? 0.5 : strcmp(spec, "broken") == 0 ? 9 : 0;
}

const struct hc_backend hc_backends[] = {{"gpu", open_gpu, NULL, gpu_speed}, {NULL, NULL, NULL, NULL}};

static hc_status open_context(hc_context **context, const char *devices, const double *speeds, size_t count)
{
    hc_context_options options;
    hc_context_options_init(&options);
    options.threads = 5;
    options.device = devices;
    options.speeds = speeds;
    options.speed_count = count;
    hc_status status = hc_context_create(context, &options);
    return status == HC_OK ? hc_context_need_engine(*context) : status;
}

static void expect_speed(const char *devices, const double *speeds, size_t count, double expected)
{
    hc_context *context;
    hc_status status = open_context(&context, devices, speeds, count);
    cr_expect(status == HC_OK, "%s: %s", devices, hc_message(context));
    cr_expect(context->speed == expected, "%s: %g, not %g", devices, context->speed, expected);
    hc_context_destroy(context);
}

Test(device_speeds, as_devices_say)
{
    expect_speed(NULL, NULL, 0, 5);
    expect_speed("gpu:half", NULL, 0, 50);
    expect_speed("gpu:silent", NULL, 0, 100);
    expect_speed("gpu:half,gpu:silent", NULL, 0, 150);
    expect_speed("cpu,gpu:half", NULL, 0, 54); /* a thread feeds the GPU */
}

Test(device_speeds, as_the_user_says)
{
    expect_speed("cpu", (const double[]){0.25}, 1, 0.25);
    expect_speed("gpu:half,gpu:silent", (const double[]){7, 2}, 2, 9);
    expect_speed("gpu:half,gpu:silent", (const double[]){0, 2}, 2, 52);
}

/* Its work is done by the others of its rank: the rank is slower by it. */
Test(device_speeds, what_does_not_open_counts_nothing)
{
    expect_speed("gpu:broken,gpu:half", NULL, 0, 50);
    expect_speed("gpu:half,gpu:broken", (const double[]){3, 8}, 2, 3);
}

static void expect_refused(const char *devices, const double *speeds, size_t count, const char *text)
{
    hc_context *context;
    cr_expect(open_context(&context, devices, speeds, count) == HC_ERR_ARGUMENT, "%s", text);
    cr_expect(strcmp(hc_message(context), text) == 0, "%s", hc_message(context));
    hc_context_destroy(context);
}

Test(device_speeds, refused)
{
    expect_refused("gpu:half,cpu", (const double[]){1}, 1, "1 speeds, but 2 devices");
    expect_refused(NULL, (const double[]){1, 1}, 2, "2 speeds, but 1 devices");
    expect_refused("cpu,gpu:half", (const double[]){1, -1}, 2, "gpu:half: -1 is not a speed");
    expect_refused("cpu", (const double[]){1e10}, 1, "cpu: 1e+10 is not a speed");
}
