/* What the commands of the program share: options, exit codes, progress, output. */
#ifndef HYPERC_TOOLS_COMMAND_H
#define HYPERC_TOOLS_COMMAND_H

#include <hyperc/hyperc.h>

#include <jansson.h>
#include <stdio.h>

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CORRUPT = 3 };

/* One option of a command. `argument` NULL: it takes none. */
struct option_spec {
    const char *name, *argument, *help;
    char letter; /* short form; 0: none */
};

/* Options that every command has. */
struct common_options {
    int threads;
    hc_tier tier;
    const char *device;   /* or several */
    const double *speeds; /* of the devices: see hc_context_options */
    size_t speed_count;
    hc_split split;    /* of networks */
    int device_layers; /* the same */
    double timeout;    /* seconds; 0: the library's */
    bool json, quiet;
    bool over_ranks; /* the command works as one of several ranks */
};

/* One command. `set` takes one option (value NULL if it has no argument) and returns false with a message on stderr if
 * the value is no good; `run` gets the operands. */
struct command {
    const char *name, *operands, *summary;
    const struct option_spec *options;        /* ends with a NULL name */
    const struct option_spec *shared_options; /* the same, of several commands; NULL: none */
    int least_operands, most_operands;
    bool (*set)(const char *name, const char *value, void *state);
    int (*run)(const struct common_options *common, int count, char **operands, void *state);
    void *(*begin)(void); /* makes the state, freed with free() after run; NULL: no options of its own */
    bool over_ranks;      /* it does something as one of the ranks that mpirun started; the others refuse */
};

extern const struct command command_compress, command_decompress, command_inspect, command_verify;
extern const struct command command_generate, command_chat, command_perplexity, command_calibrate, command_bench;
extern const struct command command_plan;

/* Parses and runs; returns the exit code. */
int command_main(const struct command *command, int argc, char **argv);

/* Of the ranks that mpirun started, once a context is open: rank 0 alone prints what is no failure. */
void set_rank(int rank, int ranks);
int program_rank(void);

int exit_code_of(hc_status status);

/* Prints "hyperc: MESSAGE" on stderr, other ranks than the first "hyperc: rank N: MESSAGE" (the first, with --json,
 * also an object {"error", "status"} on stdout), and returns the exit code. */
int report_failure(const struct common_options *common, hc_status status, const char *message);

/* A context with the options, progress of the first rank on stderr, and a stop at SIGINT and SIGTERM: for what takes
 * its time, and looks at its progress. HC_ERR_UNSUPPORTED if there are several ranks, with which the command does
 * nothing; report_failure then knows the message. */
hc_status open_context(const struct common_options *common, hc_context **context);
/* The same without progress: signals end the program at once. */
hc_status open_plain_context(const struct common_options *common, hc_context **context);
/* From here on progress also tells, now and then, what every device of the context does. */
void watch_devices(const hc_context *context);
/* Ends the progress line. */
void end_progress(void);

/* For what shows progress of its own: whether it is time to, given the seconds since it began; and the line, without
 * its newline. */
bool progress_due(const struct common_options *common, double seconds);
void progress_line(const char *text);
/* "1:02:03" or "2:03"; "?" if it is not known. */
const char *human_time(double seconds, char buffer[16]);

/* Between these, the first SIGINT or SIGTERM makes stop_asked() true, a second one ends the program. */
void catch_stop(void);
void release_stop(void);
bool stop_asked(void);

/* Of a clock that never goes back. */
double seconds_now(void);

/* Numbers: false unless the whole text is one in the range. */
bool parse_real(const char *text, double least, double *value);
bool parse_count(const char *text, uint64_t most, uint64_t *value);
/* Tells on stderr what the option --`name` takes; false. */
bool bad_value(const char *name, const char *what, const char *value);

/* Prints JSON and frees it; EXIT_FAILED if it is NULL (no memory), or stdout cannot be written. */
int print_json(json_t *json);
/* Add a value (stolen) to an object, to a list. Where memory is out, *json becomes NULL and stays so. */
void json_put(json_t **json, const char *key, json_t *value);
void json_append(json_t **list, json_t *value);
/* How many bytes the UTF-8 character at the beginning of `text` has, 0 if there is none. */
size_t character_bytes(const char *text);
/* A JSON string; what is not UTF-8 in the text, such as in the name of a file, becomes '?'. NULL if memory is out. */
json_t *json_text(const char *text);
/* JSON null where a figure is infinite. */
json_t *json_figure(double value);

/* Writes out what is buffered: EXIT_FAILED, with a message, if stdout cannot be written, else `code`. */
int finish_output(int code);

/* "1.5 GB" (decimal units). The text lives in `buffer`. */
const char *human_bytes(double bytes, char buffer[32]);

#endif
