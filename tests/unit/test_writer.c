/* The writer: its caller goes on while the disk is slow, within bounds; records follow their data; the first failure
 * stands. */
#include "scratch.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "meter.h"
#include "writer.h"

enum { MEBIBYTE = 1 << 20 };

/* ---- A disk that can be made slow, or to fail ----------------------------------------------- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stuck, reached; /* a sync has to wait; one waits */
    int fails;           /* errno; 0: it does not */
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* In the place of the C library's. */
int fdatasync(int fd)
{
    pthread_mutex_lock(&disk.mutex);
    disk.reached = true;
    pthread_cond_broadcast(&disk.changed);
    while (disk.stuck)
        pthread_cond_wait(&disk.changed, &disk.mutex);
    int code = disk.fails;
    pthread_mutex_unlock(&disk.mutex);
    if (code)
        errno = code;
    return code ? -1 : fsync(fd);
}

static void set_stuck(bool stuck)
{
    pthread_mutex_lock(&disk.mutex);
    disk.stuck = stuck;
    disk.reached = false;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.mutex);
}

static void wait_until_stuck(void)
{
    pthread_mutex_lock(&disk.mutex);
    while (!disk.reached)
        pthread_cond_wait(&disk.changed, &disk.mutex);
    pthread_mutex_unlock(&disk.mutex);
}

/* ---- A writer of scratch files -------------------------------------------------------------- */

struct bench {
    struct scratch scratch;
    struct hc_journal journal;
    struct hc_writer *writer;
    struct hc_error error;
    atomic_int attended; /* how often */
    int patience;        /* how often it attends before it fails */
};

static hc_status attend(void *user, struct hc_error *error)
{
    struct bench *bench = user;
    return bench->attended++ < bench->patience ? HC_OK : hc_fail(error, HC_ERR_RANKS, "rank 1 is gone");
}

static void expect_ok(struct bench *bench, hc_status status)
{
    cr_assert_eq(status, HC_OK, "%s", bench->error.text);
}

static void set_up(struct bench *bench)
{
    json_t *identity = json_object();
    *bench = (struct bench){.error = {""}, .patience = INT_MAX};
    scratch_make(&bench->scratch);
    expect_ok(bench,
              hc_journal_open(&bench->journal, scratch_at(&bench->scratch, "journal"), true, identity, &bench->error));
    expect_ok(bench, hc_journal_commit(&bench->journal, &bench->error));
    expect_ok(bench, hc_writer_begin(&bench->writer, &bench->journal, attend, bench, &bench->error));
    expect_ok(bench, hc_writer_open(bench->writer, scratch_at(&bench->scratch, "file"), true, &bench->error));
    json_decref(identity);
}

static void tear_down(struct bench *bench)
{
    hc_journal_close(&bench->journal);
    scratch_remove(&bench->scratch);
}

static hc_status write_word(struct bench *bench, uint64_t offset)
{
    return hc_writer_write(bench->writer, offset, "word", 4, &bench->error);
}

static hc_status record(struct bench *bench, int number)
{
    return hc_writer_record(bench->writer, json_pack("{s:i}", "number", number), &bench->error);
}

/* Lines of the journal on disk, but for the first one. */
static size_t recorded(struct bench *bench)
{
    char *text;
    size_t bytes, lines = 0;
    expect_ok(bench, hc_read_file(scratch_at(&bench->scratch, "journal"), MEBIBYTE, &text, &bytes, &bench->error));
    for (size_t i = 0; i < bytes; i++)
        lines += text[i] == '\n';
    free(text);
    return lines - 1;
}

/* ---- Checks --------------------------------------------------------------------------------- */

Test(writer, goes_on_while_the_disk_is_slow, .timeout = 60)
{
    struct bench bench;
    set_up(&bench);
    set_stuck(true);
    expect_ok(&bench, write_word(&bench, 0));
    expect_ok(&bench, record(&bench, 0));
    expect_ok(&bench, hc_writer_commit(bench.writer, &bench.error));
    wait_until_stuck();
    expect_ok(&bench, write_word(&bench, 4));
    expect_ok(&bench, record(&bench, 1));
    expect_ok(&bench, hc_writer_finish(bench.writer, 10, &bench.error));
    cr_assert_eq(recorded(&bench), 0, "a record came before its data");
    set_stuck(false);
    expect_ok(&bench, hc_writer_end(bench.writer, &bench.error));
    cr_assert_eq(recorded(&bench), 2);
    char *text;
    size_t bytes;
    expect_ok(&bench, hc_read_file(scratch_at(&bench.scratch, "file"), MEBIBYTE, &text, &bytes, &bench.error));
    cr_assert(bytes == 10 && memcmp(text, "wordword\0\0", 10) == 0);
    free(text);
    tear_down(&bench);
}

static atomic_size_t taken; /* MiB */

static void *write_much(void *argument)
{
    struct bench *bench = argument;
    char *data = calloc(1, MEBIBYTE);
    cr_assert_not_null(data);
    for (; taken < HC_WRITER_BYTES / MEBIBYTE + 32; taken++)
        expect_ok(bench, hc_writer_write(bench->writer, taken * MEBIBYTE, data, MEBIBYTE, &bench->error));
    free(data);
    return NULL;
}

Test(writer, holds_no_more_than_it_says, .timeout = 60)
{
    struct bench bench;
    pthread_t thread;
    set_up(&bench);
    set_stuck(true);
    expect_ok(&bench, record(&bench, 0));
    expect_ok(&bench, hc_writer_commit(bench.writer, &bench.error));
    wait_until_stuck();
    cr_assert_eq(pthread_create(&thread, NULL, write_much, &bench), 0);
    while (taken < HC_WRITER_BYTES / MEBIBYTE - 1)
        usleep(1000);
    usleep(100000); /* time to take too much */
    cr_assert_lt(taken, HC_WRITER_BYTES / MEBIBYTE + 1, "%zu MiB wait", (size_t)taken);
    set_stuck(false);
    pthread_join(thread, NULL);
    expect_ok(&bench, hc_writer_wait(bench.writer, &bench.error));
    cr_assert_eq(hc_out_size(hc_writer_out(bench.writer)), taken * MEBIBYTE);
    expect_ok(&bench, hc_writer_end(bench.writer, &bench.error));
    tear_down(&bench);
}

Test(writer, a_failed_write, .timeout = 60)
{
    struct bench bench;
    const struct rlimit limit = {MEBIBYTE, MEBIBYTE};
    set_up(&bench);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_ok(&bench, write_word(&bench, 0));
    expect_ok(&bench, record(&bench, 0));
    expect_ok(&bench, hc_writer_wait(bench.writer, &bench.error));
    write_word(&bench, 2 * MEBIBYTE); /* may be told of it or not */
    record(&bench, 1);
    cr_assert_eq(hc_writer_wait(bench.writer, &bench.error), HC_ERR_IO);
    cr_assert_eq(hc_writer_check(bench.writer, &bench.error), HC_ERR_IO);
    cr_assert_eq(write_word(&bench, 0), HC_ERR_IO);
    cr_assert_eq(hc_writer_end(bench.writer, &bench.error), HC_ERR_IO);
    cr_assert_not_null(strstr(bench.error.text, "file: cannot write: File too large"), "%s", bench.error.text);
    cr_assert_eq(recorded(&bench), 1, "what was whole before is recorded, and nothing else");
    tear_down(&bench);
}

Test(writer, a_failed_sync, .timeout = 60)
{
    struct bench bench;
    set_up(&bench);
    disk.fails = EIO;
    expect_ok(&bench, write_word(&bench, 0));
    expect_ok(&bench, record(&bench, 0));
    hc_writer_commit(bench.writer, &bench.error);
    cr_assert_eq(hc_writer_wait(bench.writer, &bench.error), HC_ERR_IO);
    disk.fails = 0; /* the kernel tells of a failure once */
    cr_assert_eq(hc_writer_end(bench.writer, &bench.error), HC_ERR_IO);
    cr_assert_not_null(strstr(bench.error.text, "file: cannot write to the disk"), "%s", bench.error.text);
    cr_assert_eq(recorded(&bench), 0, "what may be lost is not recorded");
    tear_down(&bench);
}

/* A record whose data the disk does not take yet. */
static void begin_stuck(struct bench *bench, int patience)
{
    set_up(bench);
    set_stuck(true);
    bench->patience = patience;
    expect_ok(bench, write_word(bench, 0));
    expect_ok(bench, record(bench, 0));
    expect_ok(bench, hc_writer_commit(bench->writer, &bench->error));
    wait_until_stuck();
}

static void expect_patience_ends(struct bench *bench, hc_status status, double begin)
{
    cr_assert_eq(status, HC_ERR_RANKS);
    cr_assert_str_eq(bench->error.text, "rank 1 is gone");
    cr_assert_eq(bench->attended, bench->patience + 1);
    cr_assert_lt(hc_now() - begin, 10, "%d times took %g s", bench->patience, hc_now() - begin);
    set_stuck(false);
    expect_ok(bench, hc_writer_end(bench->writer, &bench->error));
    cr_assert_eq(recorded(bench), 1, "what was told before is done all the same");
    cr_assert_eq(bench->attended, bench->patience + 1, "the end attends");
}

Test(writer, attends_while_it_waits_to_the_end, .timeout = 60)
{
    struct bench bench;
    begin_stuck(&bench, 5);
    double begin = hc_now();
    hc_status status = hc_writer_wait(bench.writer, &bench.error);
    cr_assert_gt(hc_now() - begin, 0.4, "it attends all the time");
    expect_patience_ends(&bench, status, begin);
    tear_down(&bench);
}

Test(writer, attends_while_it_waits_for_room, .timeout = 60)
{
    struct bench bench;
    char *data = calloc(1, HC_WRITER_BYTES);
    cr_assert_not_null(data);
    begin_stuck(&bench, 5);
    double begin = hc_now();
    hc_status status = hc_writer_write(bench.writer, 4, data, HC_WRITER_BYTES, &bench.error);
    expect_patience_ends(&bench, status, begin);
    free(data);
    tear_down(&bench);
}
