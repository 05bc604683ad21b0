/* What the commands that run a model share: opening it, texts, numbers of options. */
#ifndef HYPERC_TOOLS_RUNNING_H
#define HYPERC_TOOLS_RUNNING_H

#include "command.h"

#include <hyperc/run.h>

/* A model and a text on its way through it. All zero: closed. */
struct running {
    hc_context *context;
    bool guest; /* the context is another's */
    hc_network *network;
    hc_network_info info;
    hc_sequence *sequence;
};

/* How several devices, or ranks, share a model. */
struct sharing {
    hc_split split;
    bool apart; /* the first layers on the devices, the rest on the CPU: */
    int layers; /* so many, or HC_LAYERS_THAT_FIT */
};

/* Opens the model, without a sequence. running_failure tells why not; close it in any case. */
hc_status running_open(struct running *running, const struct common_options *common, const struct sharing *sharing,
                       const char *path);
/* The same on the context of another one, which is closed after this: a process has but one that is a rank. */
hc_status running_open_beside(struct running *running, const struct running *other, const char *path);
hc_status running_begin(struct running *running, const hc_sequence_options *options);
void running_close(struct running *running);
/* Before a command ends that did not do all of it: ranks that wait for this one end, too, and say why. */
void running_leave(const struct running *running, const char *why);
/* Tells why the last call failed, as report_failure does, and the other ranks; returns the exit code. */
int running_failure(const struct running *running, const struct common_options *common, hc_status status);

/* A file's bytes, with a zero behind them. */
struct text {
    char *bytes;
    size_t count;
};

/* Reads a whole file, or stdin where the path is "-". False, with why in `message`, if it cannot be read. */
bool text_read(struct text *text, const char *path, char *message, size_t size);

/* Take the value of an option; false, with a message on stderr, if it is none. */
bool take_count(const char *name, const char *value, uint32_t least, uint32_t *count);
bool take_real(const char *name, const char *value, double least, double most, float *real);
bool take_seed(const char *name, const char *value, uint64_t *seed);
bool take_cache(const char *name, const char *value, hc_type *type);
bool take_split(const char *name, const char *value, struct sharing *sharing);
bool take_layers(const char *name, const char *value, struct sharing *sharing);

#define CACHE_SPEC                                                                                                     \
    {                                                                                                                  \
        "cache", "TYPE", "keys and values as f16 (default), f32 or i8", 0                                              \
    }
#define SPLIT_SPEC                                                                                                     \
    {                                                                                                                  \
        "split", "HOW", "what of a model several devices have: tensors, parts of all (default); or layers", 0          \
    }
#define LAYERS_SPEC                                                                                                    \
    {                                                                                                                  \
        "gpu-layers", "N",                                                                                             \
            "so many layers on the GPU, the rest on the CPU; auto: as many as fit, with --ctx 4096 in f16", 0          \
    }

#endif
