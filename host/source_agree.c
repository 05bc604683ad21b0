/* Whether all ranks have the same source: by what their files are where they share a file system, else by every byte.
 */
#include "checksum.h"
#include "comm.h"
#include "meter.h"
#include "source.h"

#include <stdio.h>
#include <sys/mman.h>

enum { STEP = 1 << 20 }; /* bytes at a time, whole pages */

static const double attend = 0.1; /* seconds between attending to other ranks */

/* ---- What is known of files without reading them -------------------------------------------- */

typedef void (*add_fn)(struct hc_checksum_stream *stream, const struct hc_file *file);

static void add_size(struct hc_checksum_stream *stream, const struct hc_file *file)
{
    hc_checksum_add(stream, &file->size, sizeof file->size);
}

/* No copy has all of these in common with its original: nobody can choose the time of change, nor the inode. The device
 * is left out, which has another number on every host. */
static void add_marks(struct hc_checksum_stream *stream, const struct hc_file *file)
{
    const uint64_t marks[] = {file->size,
                              file->inode,
                              (uint64_t)file->modified.tv_sec,
                              (uint64_t)file->modified.tv_nsec,
                              (uint64_t)file->changed.tv_sec,
                              (uint64_t)file->changed.tv_nsec};
    hc_checksum_add(stream, marks, sizeof marks);
}

static hc_status agree_on(const struct hc_source *source, struct hc_comm *comm, add_fn add, const char *what,
                          struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    struct hc_checksum_stream *stream = hc_checksum_create();
    if (!stream)
        return hc_no_memory(error);
    for (size_t i = 0; i < source->file_count; i++)
        add(stream, &source->files[i]);
    hc_checksum_text(stream, checksum);
    hc_checksum_destroy(stream);
    return hc_comm_agree(comm, checksum, what, error);
}

/* ---- Their bytes ---------------------------------------------------------------------------- */

/* For who reads for long, while others may wait. */
static hc_status attend_now_and_then(struct hc_comm *comm, double *attended, const char *what, struct hc_error *error)
{
    const double now = hc_now();
    if (now - *attended < attend)
        return HC_OK;
    *attended = now;
    const bool stopping = comm->go_on && !comm->go_on(comm->user);
    hc_status status = hc_comm_attend(comm, stopping, what, error);
    return status == HC_OK && stopping ? hc_fail(error, HC_ERR_CANCELLED, "interrupted") : status;
}

/* Pages go again as soon as they are read: a model may be larger than the memory. */
static hc_status add_bytes(struct hc_checksum_stream *stream, const struct hc_file *file, struct hc_comm *comm,
                           const char *what, struct hc_error *error)
{
    hc_status status = HC_OK;
    double attended = 0;
    for (uint64_t at = 0; status == HC_OK && at < file->size; at += STEP) {
        const uint64_t rest = file->size - at;
        const size_t bytes = rest < STEP ? (size_t)rest : STEP;
        const uint8_t *data = file->data + at;
        hc_checksum_add(stream, data, bytes);
        (void)madvise((void *)(uintptr_t)data, bytes, MADV_DONTNEED); /* only a matter of memory */
        status = attend_now_and_then(comm, &attended, what, error);
    }
    return status;
}

static hc_status agree_on_bytes(const struct hc_file *file, struct hc_comm *comm, struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1], what[320];
    struct hc_checksum_stream *stream = hc_checksum_create();
    if (!stream)
        return hc_no_memory(error);
    snprintf(what, sizeof what, "the bytes of %.255s", file->name);
    hc_status status = add_bytes(stream, file, comm, what, error);
    hc_checksum_text(stream, checksum);
    hc_checksum_destroy(stream);
    return status == HC_OK ? hc_comm_agree(comm, checksum, what, error) : status;
}

hc_status hc_source_agree(const struct hc_source *source, struct hc_comm *comm, struct hc_error *error)
{
    struct hc_error unlike;
    if (comm->ranks == 1)
        return HC_OK;
    /* Also how many there are: without that, ranks would wait for each other in vain. */
    hc_status status = agree_on(source, comm, add_size, "the sizes of the weight files", error);
    if (status != HC_OK)
        return status;
    status = agree_on(source, comm, add_marks, "what the weight files are", &unlike);
    if (status != HC_ERR_DIFFERENT)
        return status == HC_OK ? HC_OK : hc_fail(error, status, "%s", unlike.text);
    status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < source->file_count; i++)
        status = agree_on_bytes(&source->files[i], comm, error);
    return status;
}
