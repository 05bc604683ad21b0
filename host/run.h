/* A compression run: what compress.c decides and shard.c works with. */
#ifndef HC_HOST_RUN_H
#define HC_HOST_RUN_H

#include "context.h"
#include "description.h"
#include "files.h"
#include "journal.h"
#include "meter.h"
#include "moments_choice.h"
#include "writer.h"

struct hc_run {
    hc_context *context;
    struct hc_source *source;
    const hc_compress_options *options; /* ranks but the first have none that tell or write */
    struct hc_engine *engine;           /* of all ranks */
    const struct hc_method *method;
    struct hc_moments_choice moments;
    uint8_t *rates;            /* of every tensor of the source, as the method shared them out; 0: it does not */
    char *config;              /* text of the config.json to write */
    struct hc_journal journal; /* not used in a dry run */
    struct hc_writer *writer;  /* of shards and journal; NULL: nothing is written */
    size_t records_taken;      /* records of an earlier run that were used so far */
    size_t records_found;      /* how many there were; the same on all ranks */
    struct hc_meter meter;
};

/* What the index and the manifest need to know about a finished shard. */
struct hc_shard_summary {
    json_t *tensors; /* array: names of what is stored; owned */
    uint64_t file_bytes, header_bytes;
    char header_checksum[HC_CHECKSUM_DIGITS + 1];
};

static inline bool hc_run_leads(const struct hc_run *run)
{
    return run->context->comm.rank == 0;
}

/* Codes and copies the tensors of source file `file` into the safetensors file `path`, taking over what the journal
 * has. Without a writer (in a dry run) `path` is not used. The file is whole once the writer has done what it was told.
 * All ranks code together; but the first one they do nothing else, and have no writer. */
hc_status hc_shard_write(struct hc_run *run, size_t file, const char *path, struct hc_shard_summary *summary,
                         struct hc_error *error);

#endif
