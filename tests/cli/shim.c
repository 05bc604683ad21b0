/* Preloaded into the program to make things fail. Its knobs, all off unless set:
 *
 * HC_FAIL_CALL=N  the Nth call that changes files fails, as HC_FAIL_HOW says:
 *                   kill    the process ends before the call, as if by SIGKILL
 *                   torn    the same, but a write has written its first half
 *                   lose    the same, and what was written but not synced is lost, as if by a power cut
 *                   ENOSPC  the call fails, and so do all later ones that need room (a disk that stays full)
 *                   EIO     this one call fails; if it is to sync a file, what it should have synced is lost
 * HC_FAIL_MALLOC=N  the Nth allocation fails; HC_FAIL_MALLOC_FOREVER: and all later ones. Not those of Jansson's
 *                   reader, which writes out of bounds when a token cannot grow: they neither fail nor count
 *
 * HC_FAIL_EXCHANGE  a file system that renames, but takes no flags for it
 *
 * HC_FAIL_CLOCK    every look at the clock finds it three seconds later: what is done now and then is done each time
 *
 * HC_FAIL_SLOW=N    what a file holds is synced (fdatasync) no sooner than after N milliseconds
 *
 * HC_FAIL_THREAD=N  the Nth thread cannot be made
 *
 * Calls and allocations are counted as N = 0, and written to the file that HC_FAIL_COUNT names; with them, the number
 * of folders that were made, and not synced in their parents. Only opens for writing count, and closes of what they
 * opened. A descriptor that is closed twice ends the process with 125. The program must be linked to the C library
 * dynamically. */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* else open and open64 would be one symbol */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST_UNDOS = 4096, MOST_FOLDERS = 256 };

void *__libc_malloc(size_t bytes);

static atomic_ulong calls, allocations, threads;
static unsigned long fail_call, fail_allocation, fail_thread, slow;
static bool fail_forever, disk_full, hurry;
static struct stat parents[MOST_FOLDERS]; /* of new folders, until they are synced */
static size_t parent_count;
static _Thread_local bool in_reader;
static const char *how = "";
static atomic_bool ready;

static unsigned long number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("HC_FAIL_HOW");
    how = text ? text : "";
    fail_call = number_of("HC_FAIL_CALL");
    fail_allocation = number_of("HC_FAIL_MALLOC");
    fail_thread = number_of("HC_FAIL_THREAD");
    slow = number_of("HC_FAIL_SLOW");
    hurry = getenv("HC_FAIL_CLOCK") != NULL;
    fail_forever = getenv("HC_FAIL_MALLOC_FOREVER") != NULL;
}

/* Libraries allocate before main, CUDA's among them, and need not survive it: counting begins with main. */
static int (*real_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment)
{
    ready = true;
    return real_main(argc, argv, environment);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
    int (*real)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = main;
    return real(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("HC_FAIL_COUNT");
    ready = false;
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd >= 0) {
        dprintf(fd, "%lu %lu %zu\n", (unsigned long)calls, (unsigned long)allocations, parent_count);
        close(fd);
    }
}

/* ---- What a power cut would lose ------------------------------------------------------------ */

/* A stretch of a file as it was before a write that is not synced. */
struct undo {
    int fd;
    off_t offset, size; /* of the stretch; of the file */
    size_t bytes;       /* that were there */
    char *before;
};
static struct undo undos[MOST_UNDOS];
static size_t undo_count;

static void remember(int fd, size_t bytes, off_t offset)
{
    struct stat info;
    if (strcmp(how, "lose") != 0 && strcmp(how, "EIO") != 0)
        return;
    char *before = __libc_malloc(bytes + 1);
    ssize_t got = before ? (ssize_t)syscall(SYS_pread64, fd, before, bytes, offset) : -1;
    if (got < 0 || undo_count == MOST_UNDOS || fstat(fd, &info) != 0)
        _exit(125);
    undos[undo_count++] = (struct undo){fd, offset, info.st_size, (size_t)got, before};
}

static void forget(int fd)
{
    size_t kept = 0;
    for (size_t i = 0; i < undo_count; i++)
        if (undos[i].fd != fd)
            undos[kept++] = undos[i];
    undo_count = kept;
}

enum { ALL_FILES = -1 };

static void lose_unsynced(int fd)
{
    for (size_t i = undo_count; i-- > 0;) {
        struct undo *undo = &undos[i];
        if (fd != ALL_FILES && undo->fd != fd)
            continue;
        if (syscall(SYS_pwrite64, undo->fd, undo->before, undo->bytes, undo->offset) < 0 ||
            syscall(SYS_ftruncate, undo->fd, undo->size) != 0)
            _exit(125);
    }
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* True if the call at hand must fail; errno says why. `needs_room`: on a full disk it would. */
static bool must_fail(bool needs_room)
{
    if (!ready)
        return false;
    unsigned long number = ++calls;
    if (disk_full && needs_room) {
        errno = ENOSPC;
        return true;
    }
    if (fail_call == 0 || number != fail_call)
        return false;
    if (strcmp(how, "lose") == 0)
        lose_unsynced(ALL_FILES);
    if (strcmp(how, "kill") == 0 || strcmp(how, "torn") == 0 || strcmp(how, "lose") == 0)
        _exit(137);
    errno = strcmp(how, "ENOSPC") == 0 ? ENOSPC : EIO;
    disk_full = errno == ENOSPC;
    return true;
}

static int open_with(const char *path, int flags, mode_t mode)
{
    if ((flags & O_ACCMODE) != O_RDONLY && must_fail(true))
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The functions exist under two names: with 64-bit offsets, as here, they are the same. */
#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                                                 \
        va_end(arguments);                                                                                             \
        return open_with(path, flags, mode);                                                                           \
    }
OPEN(open)
OPEN(open64)

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    bool torn = ready && strcmp(how, "torn") == 0 && calls + 1 == fail_call;
    if (torn && syscall(SYS_pwrite64, fd, data, bytes / 2, offset) < 0)
        _exit(125);
    if (must_fail(true))
        return -1;
    remember(fd, bytes, offset);
    return (ssize_t)syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite64(fd, data, bytes, offset);
}

int ftruncate64(int fd, off64_t size)
{
    if (must_fail(true))
        return -1;
    remember(fd, 0, 0);
    return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

static int sync_with(long call, int fd)
{
    bool failed = must_fail(true);
    int code = errno;
    if (failed && code == EIO)
        lose_unsynced(fd);
    forget(fd);
    errno = code;
    return failed ? -1 : (int)syscall(call, fd);
}

static void parent_synced(int fd)
{
    struct stat info;
    size_t kept = 0;
    if (fstat(fd, &info) != 0)
        return;
    for (size_t i = 0; i < parent_count; i++)
        if (parents[i].st_dev != info.st_dev || parents[i].st_ino != info.st_ino)
            parents[kept++] = parents[i];
    parent_count = kept;
}

int fsync(int fd)
{
    int result = sync_with(SYS_fsync, fd);
    if (result == 0)
        parent_synced(fd);
    return result;
}

int fdatasync(int fd)
{
    if (ready && slow)
        usleep((useconds_t)(1000 * slow));
    return sync_with(SYS_fdatasync, fd);
}

int mkdir(const char *path, mode_t mode)
{
    if (must_fail(true) || syscall(SYS_mkdirat, AT_FDCWD, path, mode) != 0)
        return -1;
    char up[4096];
    snprintf(up, sizeof up, "%s/..", path);
    if (parent_count == MOST_FOLDERS || stat(up, &parents[parent_count++]) != 0)
        _exit(125);
    return 0;
}

int close(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (ready && flags < 0)
        _exit(125);
    bool failed = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && must_fail(false);
    int code = errno;
    int result = (int)syscall(SYS_close, fd);
    errno = failed ? code : errno;
    return failed ? -1 : result;
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (must_fail(true))
        return -1;
    if (flags && getenv("HC_FAIL_EXCHANGE")) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *path, int flags)
{
    return must_fail(false) ? -1 : (int)syscall(SYS_unlinkat, folder, path, flags);
}

/* ---- Time ----------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static atomic_long looks;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (hurry && result == 0)
        now->tv_sec += 3 * ++looks;
    return result;
}

/* ---- Threads -------------------------------------------------------------------------------- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return ready && ++threads == fail_thread ? EAGAIN : real(thread, attributes, work, argument);
}

/* ---- Memory: the C library's own allocator behind a counter --------------------------------- */

void *json_loads(const char *text, size_t flags, void *error);
void *json_loadb(const char *text, size_t bytes, size_t flags, void *error);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static bool no_memory(void)
{
    if (!ready || in_reader)
        return false;
    unsigned long number = ++allocations;
    if (fail_allocation == 0 || number < fail_allocation || (number > fail_allocation && !fail_forever))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t bytes)
{
    return no_memory() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return no_memory() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    return no_memory() ? NULL : __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return no_memory() ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    *memory = no_memory() ? NULL : __libc_memalign(alignment, bytes);
    return *memory ? 0 : ENOMEM;
}

/* Its two entries that the program uses. */
#define READER(name, parameters, arguments)                                                                            \
    void *name parameters                                                                                              \
    {                                                                                                                  \
        void *(*next)parameters = __extension__(void *(*)parameters) dlsym(RTLD_NEXT, #name);                          \
        in_reader = true;                                                                                              \
        void *json = next arguments;                                                                                   \
        in_reader = false;                                                                                             \
        return json;                                                                                                   \
    }
READER(json_loads, (const char *text, size_t flags, void *error), (text, flags, error))
READER(json_loadb, (const char *text, size_t bytes, size_t flags, void *error), (text, bytes, flags, error))
