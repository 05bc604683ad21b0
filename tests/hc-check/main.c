/* hc-check: see check.h and --help. */
#include <fnmatch.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "report.h"

enum { OK = 0, SOMETHING_FAILED = 1, USAGE = 2 };
enum { CPU_TIERS = HC_TIER_COUNT, TIERS = CPU_TIERS + 1, MAX_PATTERNS = 32 };

static const char help[] =
    "usage: hc-check [options]\n"
    "Holds every implementation of every operation against plain C, on random input.\n"
    "\n"
    "  --op PATTERN   only operations whose name, or the part before its dot, matches (fnmatch); repeatable\n"
    "  --tier NAME    only this tier: c, avx2, avx512 or cuda; repeatable\n"
    "  --seed N       seed of the random input (1)\n"
    "  --bench        also measure times, on data larger than the caches\n"
    "  --json         print one JSON object\n"
    "  --list         list the operations and tiers, and run nothing\n"
    "  --help         print this\n"
    "\n"
    "Verdicts: passed; FAILED; not run, where the machine lacks the tier. Plain C is held against itself at\n"
    "other addresses. A tier has a row for an operation if it has an implementation of its own.\n"
    "Times: the best of several passes; GB/s counts bytes read and written, as the memory copy they are\n"
    "compared with does; \"vs C\" is the speed-up over plain C on one thread. Engines of the CPU run on two threads.\n"
    "Environment: HYPERC_REQUIRE, a comma-separated list of tiers that must be run.\n"
    "Exit status: 0 nothing failed, 1 something failed or a required tier was not run, 2 wrong usage.\n";

struct options {
    const char *ops[MAX_PATTERNS], *tiers[MAX_PATTERNS];
    size_t op_count, tier_count;
    uint64_t seed;
    bool bench, json, list;
};

struct program {
    struct options options;
    struct check_tier truth;
    struct check_tier tiers[TIERS];
    struct check_buffer buffers[CHECK_BUFFERS];
    struct report report;
    bool ran[TIERS];
};

/* ---- Faults: a tested function that touches forbidden memory fails its row, not the program ------------------ */

/* Signal handlers have no other way to reach these. */
static sigjmp_buf after_fault;
static pthread_t main_thread; /* a worker of an engine cannot jump out of it */
static volatile sig_atomic_t may_jump;

static void on_fault(int number)
{
    if (may_jump && pthread_equal(pthread_self(), main_thread))
        siglongjmp(after_fault, number);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_faults(void)
{
    struct sigaction action = {.sa_handler = on_fault};
    main_thread = pthread_self();
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

static bool make_buffers(struct check_buffer buffers[CHECK_BUFFERS])
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < CHECK_BUFFERS; i++) {
        /* Room in front for the pattern and for moving the start to a given alignment. */
        size_t bytes = CHECK_BUFFER_BYTES + 3 * page;
        uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED || mprotect(base, page, PROT_NONE) != 0 ||
            mprotect(base + bytes - page, page, PROT_NONE) != 0)
            return false;
        buffers[i].arena = base + 2 * page;
    }
    return true;
}

/* ---- Tiers --------------------------------------------------------------------------------------------------- */

static void open_cpu(struct check_tier *tier, const char *name, hc_tier number, int threads)
{
    struct hc_error error = {.text = ""};
    *tier = (struct check_tier){.name = name, .cpu = true};
    if (hc_kernels_init(&tier->kernels, number) != number)
        snprintf(tier->why_not, sizeof tier->why_not, "this machine has no %s", name);
    else if (hc_engine_cpu(&tier->engine, &tier->kernels, threads, &error) != HC_OK)
        snprintf(tier->why_not, sizeof tier->why_not, "%.200s", error.text);
    else
        tier->present = true;
}

/* `kernels` outlives the tier. */
static void open_backend(struct check_tier *tier, const char *name, const struct hc_kernels *kernels)
{
    struct hc_error error = {.text = ""};
    *tier = (struct check_tier){.name = name};
    const struct hc_backend *backend = hc_backends;
    while (backend->name != NULL && strcmp(backend->name, name) != 0)
        backend++;
    if (backend->name == NULL)
        snprintf(tier->why_not, sizeof tier->why_not, "built without %s", name);
    else if (backend->open_engine(&tier->engine, kernels, 1, "", &error) != HC_OK)
        snprintf(tier->why_not, sizeof tier->why_not, "%.200s", error.text);
    else
        tier->present = true;
}

static void open_tiers(struct program *p)
{
    static const char *const names[CPU_TIERS] = {"c", "avx2", "avx512"};
    open_cpu(&p->truth, "c", HC_TIER_C, 1);
    for (int i = 0; i < CPU_TIERS; i++)
        open_cpu(&p->tiers[i], names[i], (hc_tier)i, 2);
    open_backend(&p->tiers[CPU_TIERS], "cuda", &p->truth.kernels);
}

static void close_tiers(struct program *p)
{
    for (int i = 0; i < TIERS; i++) {
        if (p->tiers[i].present)
            p->tiers[i].engine.table->destroy(&p->tiers[i].engine);
    }
    p->truth.engine.table->destroy(&p->truth.engine);
}

/* ---- Rows ---------------------------------------------------------------------------------------------------- */

/* Whether the tier implements the operation itself, rather than inheriting it from the one below. */
static bool has_own(const struct program *p, const struct check_op *op, int tier)
{
    if (op->slot == CHECK_DEVICE)
        return !p->tiers[tier].cpu;
    if (op->slot == CHECK_ENGINE || tier == 0)
        return op->slot == CHECK_ENGINE || p->tiers[tier].cpu;
    if (!p->tiers[tier].cpu)
        return false;
    if (!p->tiers[tier].present)
        return true; /* cannot be known here */
    void (*own)(void), (*below)(void);
    check_kernel(&p->tiers[tier].kernels, op->slot, &own, sizeof own);
    check_kernel(&p->tiers[tier - 1].kernels, op->slot, &below, sizeof below);
    return own != below;
}

static uint64_t seed_of(uint64_t seed, const struct check_op *op)
{
    uint64_t hash = seed;
    for (const char *s = op->name; *s != '\0'; s++)
        hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return hash;
}

static void check_row(struct program *p, const struct check_op *op, int tier, struct row *row)
{
    struct check c = {.op = op, .truth = &p->truth, .tested = &p->tiers[tier]};
    struct check *volatile check = &c; /* volatile: survives the jump */
    c.random.state = seed_of(p->options.seed, op);
    memcpy(c.buffers, p->buffers, sizeof c.buffers);
    int fault = sigsetjmp(after_fault, 1);
    if (fault == 0) {
        may_jump = 1;
        op->check(&c);
        check_finish(&c);
    }
    may_jump = 0;
    if (fault != 0) {
        check->failed = true;
        check->worst = INFINITY;
        snprintf(check->where, sizeof check->where, "%s (%s)",
                 fault == SIGSEGV || fault == SIGBUS ? "touched memory beyond its buffers" : strsignal(fault),
                 check->context);
    } else if (check->cases == 0) {
        check->failed = true;
        snprintf(check->where, sizeof check->where, "no case was run");
    }
    row->verdict = check->failed ? FAILED : PASSED;
    row->worst = check->worst;
    snprintf(row->where, sizeof row->where, "%s", check->where);
}

static void bench_row(struct program *p, const struct check_op *op, const struct check_tier *tier, struct row *row)
{
    struct check_bench b = {.op = op, .tier = tier, .random = {p->options.seed}};
    op->bench(&b);
    check_bench_free(&b);
    if (!b.done)
        return;
    row->timed = true;
    row->seconds_per_item = b.seconds / (double)b.items;
    row->bytes_per_second = (double)b.bytes / b.seconds;
}

static bool tier_selected(const struct options *options, const char *name)
{
    for (size_t i = 0; i < options->tier_count; i++) {
        if (strcmp(options->tiers[i], name) == 0)
            return true;
    }
    return options->tier_count == 0;
}

static void run_op(struct program *p, const struct check_op *op)
{
    double plain_c = 0;
    if (p->options.bench && op->bench) {
        struct row truth = {0};
        bench_row(p, op, &p->truth, &truth);
        plain_c = truth.seconds_per_item;
    }
    for (int i = 0; i < TIERS; i++) {
        if (!has_own(p, op, i) || !tier_selected(&p->options, p->tiers[i].name))
            continue;
        struct row row = {.op = op, .tier = &p->tiers[i], .verdict = NOT_RUN, .plain_c = plain_c};
        if (p->tiers[i].present) {
            check_row(p, op, i, &row);
            p->ran[i] = true;
            if (p->options.bench && op->bench)
                bench_row(p, op, &p->tiers[i], &row);
        } else {
            snprintf(row.where, sizeof row.where, "%s", p->tiers[i].why_not);
        }
        report_row(&p->report, &row);
    }
}

static bool op_selected(const struct options *options, const char *name)
{
    char family[64];
    snprintf(family, sizeof family, "%.*s", (int)strcspn(name, "."), name);
    for (size_t i = 0; i < options->op_count; i++) {
        if (fnmatch(options->ops[i], name, 0) == 0 || fnmatch(options->ops[i], family, 0) == 0)
            return true;
    }
    return options->op_count == 0;
}

static size_t each_op_of(struct program *p, const struct check_op *const *families,
                         void (*visit)(struct program *p, const struct check_op *op))
{
    size_t selected = 0;
    for (const struct check_op *const *family = families; *family != NULL; family++) {
        for (const struct check_op *op = *family; op->name != NULL; op++) {
            if (!op_selected(&p->options, op->name))
                continue;
            visit(p, op);
            selected++;
        }
    }
    return selected;
}

/* Runs `visit` on the selected operations; returns how many they are. */
static size_t each_op(struct program *p, void (*visit)(struct program *p, const struct check_op *op))
{
    return each_op_of(p, check_families, visit) + each_op_of(p, check_device_families, visit);
}

static void list_op(struct program *p, const struct check_op *op)
{
    printf("%s", op->name);
    for (int i = 0; i < TIERS; i++) {
        if (has_own(p, op, i))
            printf(" %s%s", p->tiers[i].name, p->tiers[i].present ? "" : " (not here)");
    }
    printf("\n");
}

/* ---- The program --------------------------------------------------------------------------------------------- */

/* The tiers that HYPERC_REQUIRE names and that were selected, but not run, go to `missing`. Other names are not ours.
 */
static void find_missing(const struct program *p, char *missing, size_t size)
{
    const char *required = getenv("HYPERC_REQUIRE");
    missing[0] = '\0';
    while (required != NULL && *required != '\0') {
        size_t length = strcspn(required, ",");
        for (int i = 0; i < TIERS; i++) {
            const char *name = p->tiers[i].name;
            if (strlen(name) != length || strncmp(name, required, length) != 0 || p->ran[i] ||
                !tier_selected(&p->options, name))
                continue;
            size_t used = strlen(missing);
            snprintf(missing + used, size - used, "%s%s", used > 0 ? ", " : "", name);
        }
        required += length + (required[length] == ',');
    }
}

static bool parse_seed(const char *text, uint64_t *seed)
{
    char *end;
    *seed = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

static bool known_tier(const char *name)
{
    static const char *const names[TIERS] = {"c", "avx2", "avx512", "cuda"};
    for (int i = 0; i < TIERS; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    fprintf(stderr, "hc-check: there is no tier '%s'\n", name);
    return false;
}

static bool add_pattern(const char *patterns[MAX_PATTERNS], size_t *count, const char *pattern)
{
    if (*count == MAX_PATTERNS)
        return false;
    patterns[(*count)++] = pattern;
    return true;
}

/* False: wrong usage. */
static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"op", required_argument, NULL, 'o'},   {"tier", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 's'}, {"bench", no_argument, NULL, 'b'},
        {"json", no_argument, NULL, 'j'},       {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},       {0},
    };
    *options = (struct options){.seed = 1};
    bool right = true;
    for (int option; right && (option = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (option) {
        case 'o':
            right = add_pattern(options->ops, &options->op_count, optarg);
            break;
        case 't':
            right = known_tier(optarg) && add_pattern(options->tiers, &options->tier_count, optarg);
            break;
        case 's':
            right = parse_seed(optarg, &options->seed);
            break;
        case 'b':
            options->bench = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 'l':
            options->list = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(OK);
        default:
            right = false;
        }
    }
    return right && optind == argc;
}

static int run(struct program *p)
{
    char missing[128];
    if (!make_buffers(p->buffers) || !report_begin(&p->report, p->options.json, p->options.bench, p->options.seed)) {
        fprintf(stderr, "hc-check: out of memory\n");
        return SOMETHING_FAILED;
    }
    catch_faults();
    size_t selected = each_op(p, run_op);
    find_missing(p, missing, sizeof missing);
    report_end(&p->report, missing);
    if (selected == 0) {
        fprintf(stderr, "hc-check: no operation matches\n");
        return USAGE;
    }
    return p->report.count[FAILED] > 0 || missing[0] != '\0' ? SOMETHING_FAILED : OK;
}

int main(int argc, char **argv)
{
    static struct program program;
    if (!parse(argc, argv, &program.options)) {
        fprintf(stderr, "hc-check: wrong usage; see --help\n");
        return USAGE;
    }
    open_tiers(&program);
    if (!program.truth.present) {
        fprintf(stderr, "hc-check: %s\n", program.truth.why_not);
        return SOMETHING_FAILED;
    }
    int status = OK;
    if (program.options.list)
        each_op(&program, list_op);
    else
        status = run(&program);
    close_tiers(&program);
    return status;
}
