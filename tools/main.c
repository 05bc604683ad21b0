/* The hyperc program: finds the command. Everything it does, the library does. */
#include "command.h"

#include <string.h>

static const struct command *const commands[] = {
    &command_compress, &command_decompress, &command_inspect,   &command_verify, &command_generate,
    &command_chat,     &command_perplexity, &command_calibrate, &command_bench,  &command_plan};

static void usage(FILE *out)
{
    fputs("usage: hyperc COMMAND ...\n\n"
          "Compresses the weights of neural networks by hyperfunctions, and runs the result.\n\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nhyperc COMMAND --help says more about a command, hyperc --version which version this is.\n"
          "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 corrupted or different.\n",
          out);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return finish_output(EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("hyperc %s\n", hc_version());
        return finish_output(EXIT_DONE);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return command_main(commands[i], argc - 1, argv + 1);
    fprintf(stderr, "hyperc: there is no command '%s'; hyperc --help lists them\n", argv[1]);
    return EXIT_USAGE;
}
