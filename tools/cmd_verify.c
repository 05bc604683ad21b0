#include "report.h"

#include <stdlib.h>
#include <string.h>

struct verify_state {
    const char *against;
    bool json, quiet;
    json_t *faults, *tensors;
};

static const struct option_spec specs[] = {
    {"against", "INPUT", "the original: hold the error of every tensor against the recorded one", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    return calloc(1, sizeof(struct verify_state));
}

static bool set(const char *name, const char *value, void *handle)
{
    (void)name;
    ((struct verify_state *)handle)->against = value;
    return true;
}

static void print_fault(const char *where, const char *fault)
{
    fputs("FAULT  ", stdout);
    print_text(stdout, where, 0);
    fputs(": ", stdout);
    print_text(stdout, fault, 0);
    putchar('\n');
}

static void print_same(const char *where, const hc_tensor_info *info)
{
    fputs("same   ", stdout);
    print_text(stdout, where, 60);
    printf(" mean abs error %.4e, signal to noise %.2f dB\n", info->mean_abs_error, info->signal_to_noise);
}

static void on_finding(const char *where, const char *fault, const hc_tensor_info *info, void *user)
{
    struct verify_state *state = user;
    if (fault && state->json)
        json_append(&state->faults, json_pack("{s:o, s:o}", "where", json_text(where), "fault", json_text(fault)));
    else if (fault)
        print_fault(where, fault);
    else if (state->json)
        json_append(&state->tensors, tensor_json(info));
    else if (!state->quiet)
        print_same(where, info);
}

static void print_counts(const struct verify_state *state, bool sound, const hc_verify_report *counts)
{
    printf("%s: %llu files and %llu tensors against their checksums", sound ? "sound" : "NOT SOUND",
           (unsigned long long)counts->files, (unsigned long long)counts->tensors);
    if (state->against)
        printf(", %llu coded tensors against the original", (unsigned long long)counts->compared);
    printf(": %llu fault%s\n", (unsigned long long)counts->faults, counts->faults == 1 ? "" : "s");
}

static int report(const struct verify_state *state, const struct common_options *common, hc_status status,
                  const hc_verify_report *counts, const char *message)
{
    int code = exit_code_of(status), printed = EXIT_DONE;
    if (common->json)
        printed = print_json(json_pack("{s:b, s:I, s:I, s:I, s:O, s:O}", "sound", status == HC_OK, "files",
                                       (json_int_t)counts->files, "tensors", (json_int_t)counts->tensors, "compared",
                                       (json_int_t)counts->compared, "faults", state->faults, "compared_tensors",
                                       state->tensors));
    else
        print_counts(state, status == HC_OK, counts);
    if (status != HC_OK)
        fprintf(stderr, "hyperc: %s\n", message);
    if (printed != EXIT_DONE)
        return code == EXIT_DONE ? printed : code;
    return finish_output(code);
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct verify_state *state = handle;
    (void)count;
    hc_context *context = NULL;
    hc_verify_report counts = {0};
    state->json = common->json;
    state->quiet = common->quiet;
    state->faults = json_array();
    state->tensors = json_array();
    hc_status status = open_context(common, &context);
    if (status == HC_OK)
        status = hc_verify(context, operands[0], state->against, on_finding, state, &counts);
    end_progress();
    int code = status == HC_OK || counts.faults ? report(state, common, status, &counts, hc_message(context))
                                                : report_failure(common, status, hc_message(context));
    json_decref(state->faults);
    json_decref(state->tensors);
    hc_context_destroy(context);
    return code;
}

const struct command command_verify = {
    .name = "verify",
    .operands = "DIR",
    .summary = "Check a compressed model against its checksums, and against the original",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
};
