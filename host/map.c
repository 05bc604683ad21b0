#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static hc_status map_descriptor(struct hc_file *file, int descriptor, struct hc_error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return hc_fail_errno(error, "cannot examine %s", hc_file_shown(file));
    if (!S_ISREG(status.st_mode))
        return hc_fail(error, HC_ERR_IO, "%s is %s, not a regular file", hc_file_shown(file),
                       S_ISDIR(status.st_mode) ? "a directory" : "a device or pipe");
    file->size = (uint64_t)status.st_size;
    file->inode = (uint64_t)status.st_ino;
    file->modified = status.st_mtim;
    file->changed = status.st_ctim;
    if (file->size == 0)
        return HC_OK;

    void *data = mmap(NULL, (size_t)file->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return hc_fail_errno(error, "cannot map %s", hc_file_shown(file));
    file->data = data;
    /* Only advice: if it is not taken, nothing but speed is lost. */
    (void)posix_madvise(data, (size_t)file->size, POSIX_MADV_SEQUENTIAL);
    return HC_OK;
}

hc_status hc_file_open(struct hc_file *file, const char *path, struct hc_error *error)
{
    hc_status status = HC_OK;
    int descriptor = -1;
    memset(file, 0, sizeof *file);

    const char *slash = strrchr(path, '/');
    file->path = strdup(path);
    file->name = strdup(slash ? slash + 1 : path);
    if (!file->path || !file->name) {
        status = hc_fail(error, HC_ERR_MEMORY, "out of memory while opening %.400s", path);
        goto done;
    }
    /* O_NONBLOCK: the open of a pipe without a writer must not wait; regular files ignore it. */
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        status = hc_fail_errno(error, "cannot open %s", hc_file_shown(file));
        goto done;
    }
    status = map_descriptor(file, descriptor, error);
done:
    if (descriptor >= 0)
        close(descriptor);
    if (status != HC_OK)
        hc_file_close(file);
    return status;
}

void hc_file_close(struct hc_file *file)
{
    if (file->data)
        munmap((void *)(uintptr_t)file->data, (size_t)file->size);
    for (size_t i = 0; i < file->metadata_count; i++) {
        free(file->metadata_keys[i]);
        free(file->metadata_values[i]);
    }
    free(file->metadata_keys);
    free(file->metadata_values);
    free(file->name);
    free(file->path);
    memset(file, 0, sizeof *file);
}

const char *hc_file_shown(const struct hc_file *file)
{
    return strlen(file->path) <= 400 ? file->path : file->name;
}
