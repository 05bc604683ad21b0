#include "report.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec specs[] = {{NULL, NULL, NULL, 0}};

static int name_width(const hc_model *model)
{
    size_t width = 6;
    hc_tensor_info info;
    for (uint64_t i = 0; hc_model_tensor(model, i, &info) == HC_OK; i++)
        if (strlen(info.name) > width)
            width = strlen(info.name);
    return (int)(width < 64 ? width : 64);
}

static int print_model(const hc_model *model)
{
    hc_model_totals totals;
    hc_tensor_info info;
    struct side_gain gain = {0};
    int width = name_width(model);
    print_table_head(width);
    for (uint64_t i = 0; hc_model_tensor(model, i, &info) == HC_OK; i++) {
        print_table_row(&info, width);
        side_gain_add(&gain, &info);
    }
    hc_model_totals_get(model, &totals);
    print_totals(&totals);
    side_gain_print(&gain);
    return finish_output(EXIT_DONE);
}

static int print_model_json(const hc_model *model)
{
    hc_model_totals totals;
    hc_tensor_info info;
    struct side_gain gain = {0};
    json_t *tensors = json_array();
    for (uint64_t i = 0; hc_model_tensor(model, i, &info) == HC_OK; i++) {
        json_append(&tensors, tensor_json(&info));
        side_gain_add(&gain, &info);
    }
    hc_model_totals_get(model, &totals);
    json_t *json = json_pack("{s:o, s:o}", "tensors", tensors, "totals", totals_json(&totals));
    if (gain.weights > 0)
        json_put(&json, "side_auto", side_gain_json(&gain));
    return print_json(json);
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    (void)count;
    (void)handle;
    hc_context *context = NULL;
    hc_model *model = NULL;
    hc_status status = open_plain_context(common, &context);
    if (status == HC_OK)
        status = hc_model_open(context, operands[0], &model);
    int code = status != HC_OK ? report_failure(common, status, hc_message(context))
               : common->json  ? print_model_json(model)
                               : print_model(model);
    hc_model_close(model);
    hc_context_destroy(context);
    return code;
}

const struct command command_inspect = {
    .name = "inspect",
    .operands = "PATH",
    .summary = "List every tensor of a model, compressed or not: method, bits per weight, signal to noise",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
