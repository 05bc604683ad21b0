#define _GNU_SOURCE /* renameat2, sync_file_range */
#include "files.h"

#include "checksum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

/* ---- Paths ---------------------------------------------------------------------------------- */

static char *concatenate(const char *a, const char *middle, const char *b)
{
    size_t length = strlen(a) + strlen(middle) + strlen(b) + 1;
    char *path = malloc(length);
    if (path)
        snprintf(path, length, "%s%s%s", a, middle, b);
    return path;
}

char *hc_path_join(const char *a, const char *b)
{
    return concatenate(a, "/", b);
}

char *hc_path_append(const char *a, const char *b)
{
    return concatenate(a, "", b);
}

char *hc_path_trim(const char *path)
{
    char *copy = strdup(path);
    if (copy)
        for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/'; length--)
            copy[length - 1] = 0;
    return copy;
}

char *hc_path_parent(const char *path)
{
    char *copy = hc_path_trim(path);
    if (!copy)
        return NULL;
    char *slash = strrchr(copy, '/');
    if (!slash)
        strcpy(copy, copy[0] ? "." : "");
    else if (slash == copy)
        slash[1] = 0;
    else
        *slash = 0;
    return copy;
}

bool hc_path_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

uint64_t hc_path_inode(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 ? (uint64_t)info.st_ino : 0;
}

bool hc_path_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool hc_path_is_empty_directory(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(folder));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

bool hc_path_contains(const char *outer, const char *inner)
{
    char a[PATH_MAX], b[PATH_MAX];
    if (!realpath(outer, a) || !realpath(inner, b))
        return false;
    size_t length = strlen(a);
    return strncmp(a, b, length) == 0 && (b[length] == 0 || b[length] == '/' || a[length - 1] == '/');
}

/* The part of the path that exists: itself, or the nearest folder above it. */
static void existing_part(const char *path, char part[PATH_MAX])
{
    snprintf(part, PATH_MAX, "%s", path);
    while (!hc_path_exists(part)) {
        char *slash = strrchr(part, '/');
        if (!slash || slash == part) {
            strcpy(part, slash ? "/" : ".");
            return;
        }
        *slash = 0;
    }
}

hc_status hc_check_apart(const char *input, const char *output, struct hc_error *error)
{
    char part[PATH_MAX];
    existing_part(output, part);
    if (hc_path_contains(output, input))
        return hc_fail(error, HC_ERR_ARGUMENT, "%s: the output %s", output,
                       hc_path_contains(input, output) ? "is the input itself" : "is a folder that holds the input");
    if (hc_path_is_directory(input) && hc_path_contains(input, part))
        return hc_fail(error, HC_ERR_ARGUMENT, "%s: the output lies inside of the input", output);
    return HC_OK;
}

/* ---- Folders -------------------------------------------------------------------------------- */

hc_status hc_sync_directory(const char *path, struct hc_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return hc_fail_errno(error, "%s: cannot open the folder", path);
    /* Some file systems cannot sync a folder, and say EINVAL: then there is nothing more to be done. */
    hc_status status = fsync(fd) == 0 || errno == EINVAL ? HC_OK : hc_fail_errno(error, "%s: cannot sync", path);
    close(fd);
    return status;
}

static hc_status sync_parent(const char *path, struct hc_error *error)
{
    char *parent = hc_path_parent(path);
    if (!parent)
        return hc_no_memory(error);
    hc_status status = hc_sync_directory(parent, error);
    free(parent);
    return status;
}

hc_status hc_make_directory(const char *path, struct hc_error *error)
{
    if (mkdir(path, 0777) == 0)
        return sync_parent(path, error);
    if (errno == EEXIST && hc_path_is_directory(path))
        return HC_OK;
    return hc_fail_errno(error, "%s: cannot make the folder", path);
}

hc_status hc_make_parents(const char *path, struct hc_error *error)
{
    char *copy = strdup(path);
    if (!copy)
        return hc_no_memory(error);
    hc_status status = HC_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && status == HC_OK; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        status = hc_make_directory(copy, error);
        *slash = '/';
    }
    free(copy);
    return status;
}

static hc_status remove_entry(int parent, const char *name, const char *shown, struct hc_error *error);

static hc_status remove_contents(int folder_fd, const char *shown, struct hc_error *error)
{
    DIR *folder = fdopendir(folder_fd);
    if (!folder) {
        close(folder_fd);
        return hc_fail_errno(error, "%s: cannot read the folder", shown);
    }
    hc_status status = HC_OK;
    for (struct dirent *entry; status == HC_OK && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = remove_entry(folder_fd, entry->d_name, shown, error);
    closedir(folder);
    return status;
}

/* Never follows a link. */
static hc_status remove_entry(int parent, const char *name, const char *shown, struct hc_error *error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return HC_OK;
    if (errno != EISDIR && errno != EPERM)
        return hc_fail_errno(error, "%s: cannot remove", shown);
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return hc_fail_errno(error, "%s: cannot remove", shown);
    hc_status status = remove_contents(folder, shown, error);
    if (status == HC_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0)
        return hc_fail_errno(error, "%s: cannot remove", shown);
    return status;
}

hc_status hc_remove_tree(const char *path, struct hc_error *error)
{
    return remove_entry(AT_FDCWD, path, path, error);
}

hc_status hc_move_into_place(const char *from, const char *to, bool replace, struct hc_error *error)
{
    int result = -1;
    if (replace && hc_path_exists(to)) {
        result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE);
        if (result != 0 && (errno == EINVAL || errno == ENOSYS))
            return hc_fail(error, HC_ERR_UNSUPPORTED,
                           "%s: this file system cannot replace it in one step: move it away first", to);
    } else if (hc_path_is_empty_directory(to)) {
        result = rename(from, to);
    } else {
        result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
        if (result != 0 && errno == EINVAL && !hc_path_exists(to)) /* a file system without the flag */
            result = rename(from, to);
    }
    if (result != 0)
        return hc_fail_errno(error, "%s: cannot move the finished result into place", to);
    hc_status status = sync_parent(to, error);
    return status == HC_OK ? sync_parent(from, error) : status;
}

/* ---- Files ---------------------------------------------------------------------------------- */

hc_status hc_out_open(struct hc_out *out, const char *path, bool truncate, struct hc_error *error)
{
    out->path = strdup(path);
    out->fd = -1;
    if (!out->path)
        return hc_no_memory(error);
    out->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (truncate ? O_TRUNC : 0), 0666);
    return out->fd < 0 ? hc_fail_errno(error, "%s: cannot write", path) : HC_OK;
}

hc_status hc_out_write_at(struct hc_out *out, uint64_t offset, const void *data, size_t bytes, struct hc_error *error)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t written = pwrite(out->fd, at, bytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return hc_fail_errno(error, "%s: cannot write", out->path);
        at += written;
        offset += (uint64_t)written;
        bytes -= (size_t)written;
    }
    return HC_OK;
}

void hc_out_start_sync(struct hc_out *out, uint64_t offset, uint64_t bytes)
{
    (void)sync_file_range(out->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE); /* only a matter of time */
}

hc_status hc_out_resize(struct hc_out *out, uint64_t size, struct hc_error *error)
{
    return ftruncate(out->fd, (off_t)size) == 0 ? HC_OK : hc_fail_errno(error, "%s: cannot resize", out->path);
}

uint64_t hc_out_size(const struct hc_out *out)
{
    struct stat info;
    return fstat(out->fd, &info) == 0 ? (uint64_t)info.st_size : 0;
}

hc_status hc_out_read_at(const struct hc_out *out, uint64_t offset, void *data, size_t bytes, struct hc_error *error)
{
    char *at = data;
    while (bytes > 0) {
        ssize_t got = pread(out->fd, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hc_fail_errno(error, "%s: cannot read", out->path);
        if (got == 0)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: ends too early", out->path);
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return HC_OK;
}

hc_status hc_out_sync(struct hc_out *out, struct hc_error *error)
{
    return fdatasync(out->fd) == 0 ? HC_OK : hc_fail_errno(error, "%s: cannot write to the disk", out->path);
}

hc_status hc_out_finish(struct hc_out *out, struct hc_error *error)
{
    hc_status status = hc_out_sync(out, error);
    int fd = out->fd;
    out->fd = -1; /* closed once, even if that fails */
    if (close(fd) != 0 && status == HC_OK)
        status = hc_fail_errno(error, "%s: cannot close", out->path);
    hc_out_close(out);
    return status;
}

void hc_out_close(struct hc_out *out)
{
    if (out->fd >= 0)
        close(out->fd);
    free(out->path);
    *out = (struct hc_out){.fd = -1};
}

hc_status hc_write_file(const char *path, const void *data, size_t bytes, struct hc_error *error)
{
    struct hc_out out = {.fd = -1};
    hc_status status = hc_out_open(&out, path, true, error);
    if (status == HC_OK)
        status = hc_out_write_at(&out, 0, data, bytes, error);
    if (status == HC_OK)
        status = hc_out_finish(&out, error);
    hc_out_close(&out);
    return status;
}

/* Opens a regular file for reading and tells its size. */
static hc_status open_regular(const char *path, int *fd, uint64_t *size, struct hc_error *error)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &info) != 0)
        return hc_fail_errno(error, "%s: cannot read", path);
    if (!S_ISREG(info.st_mode))
        return hc_fail(error, HC_ERR_IO, "%s: not a regular file", path);
    *size = (uint64_t)info.st_size;
    return HC_OK;
}

/* Reads up to `bytes`; fewer only at the end of the file. */
static ssize_t read_full(int fd, void *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = read(fd, (char *)data + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

hc_status hc_read_file(const char *path, size_t limit, char **data, size_t *bytes, struct hc_error *error)
{
    int fd = -1;
    uint64_t size = 0;
    char *buffer = NULL;
    hc_status status;
    HC_TRY(open_regular(path, &fd, &size, error));
    if (size > limit) {
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: %llu bytes are too many (at most %zu)", path,
                         (unsigned long long)size, limit);
        goto done;
    }
    buffer = malloc(size + 1);
    if (!buffer) {
        status = hc_no_memory(error);
        goto done;
    }
    ssize_t got = read_full(fd, buffer, size);
    if (got < 0) {
        status = hc_fail_errno(error, "%s: cannot read", path);
        goto done;
    }
    buffer[got] = 0;
    *data = buffer;
    *bytes = (size_t)got;
    buffer = NULL;
done:
    if (fd >= 0)
        close(fd);
    free(buffer);
    return status;
}

/* Reads a file to its end: into `out` if that is not NULL, and through the checksum. */
static hc_status drain(const char *path, struct hc_out *out, char *checksum, uint64_t *bytes, struct hc_error *error)
{
    int fd = -1;
    uint64_t size = 0, done = 0;
    struct hc_checksum_stream *stream = hc_checksum_create();
    char *buffer = malloc(COPY_BYTES);
    hc_status status = HC_OK;
    if (!stream || !buffer) {
        status = hc_no_memory(error);
        goto done;
    }
    HC_TRY(open_regular(path, &fd, &size, error));
    for (;;) {
        ssize_t got = read_full(fd, buffer, COPY_BYTES);
        if (got < 0) {
            status = hc_fail_errno(error, "%s: cannot read", path);
            goto done;
        }
        if (got == 0)
            break;
        hc_checksum_add(stream, buffer, (size_t)got);
        if (out)
            HC_TRY(hc_out_write_at(out, done, buffer, (size_t)got, error));
        done += (uint64_t)got;
    }
    if (checksum)
        hc_checksum_text(stream, checksum);
    if (bytes)
        *bytes = done;
done:
    if (fd >= 0)
        close(fd);
    free(buffer);
    hc_checksum_destroy(stream);
    return status;
}

hc_status hc_copy_file(const char *from, const char *to, char *checksum, uint64_t *bytes, struct hc_error *error)
{
    struct hc_out out = {.fd = -1};
    hc_status status = hc_out_open(&out, to, true, error);
    if (status == HC_OK)
        status = drain(from, &out, checksum, bytes, error);
    if (status == HC_OK)
        status = hc_out_finish(&out, error);
    if (status == HC_OK)
        status = sync_parent(to, error);
    hc_out_close(&out);
    return status;
}

hc_status hc_checksum_file(const char *path, char *checksum, uint64_t *bytes, struct hc_error *error)
{
    return drain(path, NULL, checksum, bytes, error);
}
