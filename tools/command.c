#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_OPTIONS = 48 };

static const struct option_spec common_specs[] = {
    {"threads", "N", "threads to use (default: one per core)", 't'},
    {"tier", "NAME", "instruction set to use at most: c, avx2, avx512", 0},
    {"device", "NAME", "cpu (default), cuda or cuda:N", 0},
    {"devices", "LIST", "several of them, separated by commas, which work together", 0},
    {"timeout", "S", "under mpirun: seconds after which a process that does not answer is lost (300)", 0},
    {"json", NULL, "print one JSON object", 0},
    {"quiet", NULL, "no progress; generate and chat: no figures", 'q'},
    {"help", NULL, "this text", 'h'},
    {NULL, NULL, NULL, 0},
};

/* The program is one rank: this may be the program's. */
static int own_rank, rank_count = 1;

void set_rank(int rank, int ranks)
{
    own_rank = rank;
    rank_count = ranks;
}

int program_rank(void)
{
    return own_rank;
}

bool parse_real(const char *text, double least, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return end != text && *end == 0 && errno == 0 && isfinite(*value) && *value >= least;
}

bool parse_count(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *value = strtoull(text, &end, 10);
    return *end == 0 && errno == 0 && *value <= most;
}

bool bad_value(const char *name, const char *what, const char *value)
{
    fprintf(stderr, "hyperc: --%s takes %s, not '%s'\n", name, what, value);
    return false;
}

static bool set_tier(const char *value, hc_tier *tier)
{
    static const char *const names[HC_TIER_COUNT] = {"c", "avx2", "avx512"};
    for (int t = 0; t < HC_TIER_COUNT; t++)
        if (strcmp(value, names[t]) == 0) {
            *tier = (hc_tier)t;
            return true;
        }
    return bad_value("tier", "c, avx2 or avx512", value);
}

/* Takes a common option; *known is false if it is none. */
static bool set_common(struct common_options *common, const char *name, const char *value, bool *known)
{
    uint64_t count;
    *known = true;
    if (strcmp(name, "threads") == 0) {
        if (!parse_count(value, 4096, &count))
            return bad_value(name, "a number up to 4096", value);
        common->threads = (int)count;
    } else if (strcmp(name, "tier") == 0) {
        return set_tier(value, &common->tier);
    } else if (strcmp(name, "device") == 0 || strcmp(name, "devices") == 0) {
        common->device = value;
    } else if (strcmp(name, "timeout") == 0) {
        return (parse_real(value, 0.001, &common->timeout) && common->timeout < 1e9) ||
               bad_value(name, "a number of seconds", value);
    } else if (strcmp(name, "json") == 0) {
        common->json = true;
    } else if (strcmp(name, "quiet") == 0) {
        common->quiet = true;
    } else {
        *known = false;
    }
    return true;
}

/* Whether a command has an option of this name itself, which then goes before the common one. */
static bool is_own(const struct command *command, const char *name)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        if (strcmp(spec->name, name) == 0)
            return true;
    return false;
}

static void print_options(const struct option_spec *specs, const struct command *but_of)
{
    for (; specs->name; specs++) {
        char text[64];
        if (but_of && is_own(but_of, specs->name))
            continue;
        snprintf(text, sizeof text, "%s%s%s", specs->name, specs->argument ? " " : "",
                 specs->argument ? specs->argument : "");
        if (specs->letter)
            printf("  -%c, --%-24s %s\n", specs->letter, text, specs->help);
        else
            printf("      --%-24s %s\n", text, specs->help);
    }
}

static int print_help(const struct command *command)
{
    printf("usage: hyperc %s %s [OPTIONS]\n\n%s.\n\n", command->name, command->operands, command->summary);
    print_options(command->options, NULL);
    if (command->shared_options)
        print_options(command->shared_options, NULL);
    print_options(common_specs, command);
    return finish_output(EXIT_DONE);
}

static void add_options(const struct option_spec *specs, struct option *longs, const struct option_spec **found,
                        char *letters, size_t *count)
{
    for (; specs->name && *count < MAX_OPTIONS; specs++) {
        longs[*count] = (struct option){specs->name, specs->argument ? required_argument : no_argument, NULL, 0};
        found[(*count)++] = specs;
        if (specs->letter) {
            size_t length = strlen(letters);
            letters[length] = specs->letter;
            letters[length + 1] = specs->argument ? ':' : 0;
            letters[length + 2] = 0;
        }
    }
}

/* getopt's answer as an option of ours; NULL if it was none. */
static const struct option_spec *which(int answer, int index, const struct option_spec **specs, size_t count)
{
    if (answer == 0)
        return specs[index];
    for (size_t i = 0; i < count; i++)
        if (specs[i]->letter && specs[i]->letter == answer)
            return specs[i];
    return NULL;
}

/* Reads the options; returns an exit code to end with, or -1 to go on. */
static int read_options(const struct command *command, struct common_options *common, void *state, int argc,
                        char **argv)
{
    struct option longs[MAX_OPTIONS + 1] = {{0}};
    const struct option_spec *specs[MAX_OPTIONS];
    char letters[3 * MAX_OPTIONS + 1] = "";
    size_t count = 0;
    add_options(command->options, longs, specs, letters, &count);
    if (command->shared_options)
        add_options(command->shared_options, longs, specs, letters, &count);
    add_options(common_specs, longs, specs, letters, &count);
    for (int answer, index = 0; (answer = getopt_long(argc, argv, letters, longs, &index)) != -1;) {
        const struct option_spec *spec = which(answer, index, specs, count);
        bool known = false;
        if (!spec) {
            fprintf(stderr, "hyperc %s --help lists the options\n", command->name);
            return EXIT_USAGE;
        }
        if (strcmp(spec->name, "help") == 0)
            return print_help(command);
        if (!is_own(command, spec->name) && !set_common(common, spec->name, optarg, &known))
            return EXIT_USAGE;
        if (!known && !command->set(spec->name, optarg, state))
            return EXIT_USAGE;
    }
    return -1;
}

/* Wrong usage may stand in front of --json, or be all there is: the words themselves are asked. */
static bool asks_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int command_main(const struct command *command, int argc, char **argv)
{
    static char program[] = "hyperc"; /* getopt's messages begin with it */
    struct common_options common = {.tier = HC_TIER_BEST, .over_ranks = command->over_ranks};
    void *state = command->begin ? command->begin() : NULL;
    if (command->begin && !state)
        return report_failure(&common, HC_ERR_MEMORY, "out of memory");
    bool json = asks_json(argc, argv);
    argv[0] = program;
    int code = read_options(command, &common, state, argc, argv);
    int operands = argc - optind;
    if (code < 0 && (operands < command->least_operands || operands > command->most_operands)) {
        fprintf(stderr, "usage: hyperc %s %s [OPTIONS]\n", command->name, command->operands);
        code = EXIT_USAGE;
    }
    if (code == EXIT_USAGE && json)
        print_json(json_pack("{s:s, s:s}", "error", "wrong usage", "status", hc_status_name(HC_ERR_ARGUMENT)));
    if (code < 0)
        code = command->run(&common, operands, argv + optind, state);
    free(state);
    return code;
}

int exit_code_of(hc_status status)
{
    switch (status) {
    case HC_OK:
        return EXIT_DONE;
    case HC_ERR_ARGUMENT:
        return EXIT_USAGE;
    case HC_ERR_CORRUPT:
    case HC_ERR_DIFFERENT:
        return EXIT_CORRUPT;
    default:
        return EXIT_FAILED;
    }
}

int report_failure(const struct common_options *common, hc_status status, const char *message)
{
    if (rank_count > 1 && !common->over_ranks)
        message = "this command does not work over several processes; it is to be started without mpirun";
    if (own_rank == 0)
        fprintf(stderr, "hyperc: %s\n", message);
    else if (common->over_ranks)
        fprintf(stderr, "hyperc: rank %d: %s\n", own_rank, message);
    if (common->json && own_rank == 0)
        print_json(json_pack("{s:s, s:s}", "error", message, "status", hc_status_name(status)));
    return exit_code_of(status);
}

int finish_output(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "hyperc: cannot write the output: %s\n", strerror(errno));
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

json_t *json_figure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

size_t character_bytes(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t bytes = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    /* too long a form, half of a surrogate pair, beyond U+10FFFF */
    bool outside = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
                   (c[0] == 0xf4 && c[1] > 0x8f);
    return outside ? 0 : bytes;
}

json_t *json_text(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return NULL;
    for (char *at = copy; *at;) {
        size_t bytes = character_bytes(at);
        if (bytes == 0)
            *at = '?';
        at += bytes ? bytes : 1;
    }
    json_t *json = json_string(copy);
    free(copy);
    return json;
}

int print_json(json_t *json)
{
    bool whole = json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0;
    json_decref(json);
    if (!whole && !ferror(stdout)) {
        fputs("hyperc: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    putchar('\n');
    return finish_output(EXIT_DONE);
}

static void keep_unless(json_t **json, bool failed)
{
    if (failed) {
        json_decref(*json);
        *json = NULL;
    }
}

void json_put(json_t **json, const char *key, json_t *value)
{
    keep_unless(json, json_object_set_new(*json, key, value) != 0);
}

void json_append(json_t **list, json_t *value)
{
    keep_unless(list, json_array_append_new(*list, value) != 0);
}

const char *human_bytes(double bytes, char buffer[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 1000 && unit < 4) {
        bytes /= 1000;
        unit++;
    }
    snprintf(buffer, 32, unit ? "%.2f %s" : "%.0f %s", bytes, units[unit]);
    return buffer;
}

double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
