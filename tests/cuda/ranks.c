/* Several runtimes, each with a thread and a device of its own: sums over them, what they send each other, and what
 * they gather, as they come and as recorded steps. By NCCL; and through the host, where two share a device. Then one of
 * them stays away: the others end in time, and say why.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "ranks.h"
#include "runtime_cuda.h"
#include "state.h"

enum { RANKS = 3, PATIENCE = 2 /* seconds */, NUMBERS = 1000, GATHERED = 120, STEPS = 5 };

/* Of the second one, rank 1 has nothing. */
static const struct gathering {
    uint32_t rows, widths[RANKS];
} gatherings[] = {{3, {9, 9, 9}}, {3, {12, 0, 25}}, {1, {30, 30, 30}}, {1, {64, 0, 6}}};
enum { GATHERINGS = sizeof gatherings / sizeof *gatherings };

struct test {
    const char *name;
    const char *devices[RANKS]; /* NULL: the CPU */
    bool recorded;              /* where it can be */
    bool deserted;              /* by the last rank, after two steps, */
    unsigned pause;             /* and a pause in seconds, which may be longer than the others wait */
    bool slow;                  /* its last rank in the first step, in all, but not between two exchanges */
    struct hc_crew *crew;
    struct hc_kernels kernels;
};

struct place {
    struct hc_runtime runtime;
    float *sums, *sent, *received, *gathered; /* on the device */
    int rank;
    bool slow; /* for now */
};

static hc_status set_up(const struct test *test, struct place *place, struct hc_error *error)
{
    static const struct hc_decoder decoder = {.vocabulary = 100, .heads = 1, .key_value_heads = 1, .head_width = 16};
    const struct hc_needs needs = {.decoder = &decoder, .n = 4, .context = 1000, .gathered = 37};
    struct hc_runtime *runtime = &place->runtime;
    uint64_t bytes;
    void *memory;
    hc_status status;
    if (test->devices[place->rank])
        HC_TRY(hc_runtime_cuda(runtime, &test->kernels, 1, test->devices[place->rank], error));
    else
        HC_TRY(hc_runtime_cpu(runtime, &test->kernels, 1, error));
    HC_TRY(runtime->table->join(runtime, hc_crew_comm(test->crew, place->rank), error));
    HC_TRY(runtime->table->prepare(runtime, &needs, &bytes, error));
    HC_TRY(runtime->table->allocate(runtime, (3 * NUMBERS + GATHERINGS * GATHERED) * sizeof(float), &memory, error));
    place->sums = memory;
    place->sent = place->sums + NUMBERS;
    place->received = place->sent + NUMBERS;
    place->gathered = place->received + NUMBERS;
done:
    return status;
}

/* Exact in any order. */
static float number(int rank, int step, int i)
{
    return (float)((rank + 1) * (i % 257) + 10 * step);
}

/* Not as long as the others are patient; twice, longer. */
static void dawdle(const struct place *place)
{
    if (place->slow)
        nanosleep(&(struct timespec){PATIENCE * 7 / 10, PATIENCE * 7 % 10 * 100000000L}, NULL);
}

/* A ring: rank 0 begins, so that nobody waits for himself. */
static void operate(struct place *place)
{
    struct hc_runtime *runtime = &place->runtime;
    const struct hc_runtime_table *run = runtime->table;
    const int next = (place->rank + 1) % RANKS, last = (place->rank + RANKS - 1) % RANKS;
    dawdle(place);
    run->all_reduce(runtime, place->sums, NUMBERS);
    if (place->rank == 0)
        run->send(runtime, next, place->sent, NUMBERS);
    run->receive(runtime, last, place->received, NUMBERS);
    dawdle(place);
    if (place->rank != 0)
        run->send(runtime, next, place->sent, NUMBERS);
    for (int g = 0; g < GATHERINGS; g++)
        run->gather(runtime, place->sent, gatherings[g].rows, gatherings[g].widths, place->gathered + g * GATHERED);
}

static bool is(const struct place *place, const char *what, int step, int i, float got, float expected)
{
    if (fabsf(got - expected) <= 0)
        return true;
    printf("rank %d, step %d: %s %d is %g, expected %g\n", place->rank, step, what, i, (double)got, (double)expected);
    return false;
}

static float sum_of(int step, int i)
{
    float sum = 0;
    for (int r = 0; r < RANKS; r++)
        sum += number(r, step, i);
    return sum;
}

static bool check_gathering(const struct place *place, int step, const struct gathering *gathering, const float *got)
{
    bool right = true;
    for (uint32_t i = 0; i < gathering->rows; i++)
        for (int r = 0; r < RANKS; r++)
            for (uint32_t j = 0; right && j < gathering->widths[r]; j++, got++)
                right = is(place, "number gathered", step, (int)j, *got,
                           number(r, step, (int)(i * gathering->widths[r] + j)) + 0.5f);
    return right;
}

static bool check_numbers(const struct place *place, int step, const float *sums, const float *received,
                          const float *gathered)
{
    bool right = true;
    for (int i = 0; right && i < NUMBERS; i++)
        right = is(place, "sum", step, i, sums[i], sum_of(step, i)) &&
                is(place, "number received", step, i, received[i],
                   number((place->rank + RANKS - 1) % RANKS, step, i) + 0.5f);
    for (int g = 0; right && g < GATHERINGS; g++)
        right = check_gathering(place, step, &gatherings[g], gathered + g * GATHERED);
    return right;
}

static hc_status make_step(const struct test *test, struct place *place, int step, struct hc_error *error)
{
    struct hc_runtime *runtime = &place->runtime;
    const struct hc_runtime_table *run = runtime->table;
    const int32_t token = 7;
    float numbers[2 * NUMBERS], received[NUMBERS], gathered[GATHERINGS * GATHERED];
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = number(place->rank, step, i);
        numbers[NUMBERS + i] = numbers[i] + 0.5f;
    }
    run->write(runtime, place->sums, numbers, sizeof numbers);
    if (run->begin(runtime, &(struct hc_step){&token, (uint32_t)step, 1, 1, test->recorded})) {
        operate(place);
        run->end(runtime);
    }
    run->read(runtime, place->sums, NUMBERS * sizeof *numbers, numbers);
    run->read(runtime, place->received, sizeof received, received);
    run->read(runtime, place->gathered, sizeof gathered, gathered);
    hc_status status = run->finish(runtime, error);
    if (status == HC_OK && !check_numbers(place, step, numbers, received, gathered))
        status = hc_fail(error, HC_ERR_DIFFERENT, "wrong numbers");
    return status;
}

static hc_status go_home(const struct test *test, struct hc_error *error)
{
    sleep(test->pause);
    return hc_fail(error, HC_ERR_DEVICE, "it went home");
}

static hc_status work(void *user, int rank, struct hc_error *error)
{
    const struct test *test = user;
    struct place place = {.rank = rank};
    struct hc_error again;
    hc_status status = set_up(test, &place, error);
    for (int step = 0; status == HC_OK && step < STEPS; step++) {
        place.slow = test->slow && step == 0 && rank == RANKS - 1;
        if (test->deserted && step == 2 && rank == RANKS - 1)
            status = go_home(test, error);
        else
            status = make_step(test, &place, step, error);
    }
    if (test->deserted && rank != RANKS - 1 && status != HC_OK) {
        printf("  rank %d: %s: %s\n", rank, hc_status_name(status), error->text);
        if (make_step(test, &place, STEPS, &again) == HC_OK)
            status = hc_fail(error, HC_ERR_DIFFERENT, "it goes on as if nothing had been");
    }
    if (place.runtime.table)
        place.runtime.table->destroy(&place.runtime);
    return status;
}

static bool passes(struct test *test)
{
    struct hc_error error = {""};
    hc_kernels_init(&test->kernels, HC_TIER_C);
    hc_status status = hc_crew_create(&test->crew, RANKS, test->deserted || test->slow ? PATIENCE : 60, &error);
    if (status == HC_OK)
        status = hc_crew_run(test->crew, work, test, &error);
    hc_crew_destroy(test->crew);
    const char *reason = test->pause > PATIENCE ? "rank 2" : "went home";
    const bool right = test->deserted ? status != HC_OK && strstr(error.text, reason) : status == HC_OK;
    printf("%s%s: %s%s%s\n", test->name, test->recorded ? ", recorded" : "", right ? "as expected" : "WRONG",
           status == HC_OK ? "" : ": ", error.text);
    return right;
}

/* Each in a process of its own: the emulator's devices do not recover from a rank that is given up. */
static int run_alone(struct test *test)
{
    int code = 1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int devices = 0;
        bool enough = cudaGetDeviceCount(&devices) == cudaSuccess && devices >= RANKS;
        code = !enough ? 77 : passes(test) ? 0 : 1;
        fflush(stdout);
        _exit(code);
    }
    return child > 0 && waitpid(child, &code, 0) == child && WIFEXITED(code) ? WEXITSTATUS(code) : 1;
}

int main(void)
{
    static struct test tests[] = {
        {.name = "by NCCL", .devices = {"0", "1", "2"}},
        {.name = "by NCCL", .devices = {"2", "0", "1"}, .recorded = true},
        {.name = "slow, by NCCL", .devices = {"0", "1", "2"}, .slow = true},
        {.name = "through the host", .devices = {"0", "1", "1"}},
        {.name = "through the host", .devices = {"0", "0", "0"}, .recorded = true},
        {.name = "with a CPU", .devices = {"0", NULL, "1"}, .recorded = true},
        {.name = "deserted, through the host", .devices = {"0", "0", "1"}, .deserted = true},
        {.name = "deserted, by NCCL", .devices = {"0", "1", "2"}, .deserted = true},
        {.name = "deserted, by NCCL", .devices = {"0", "1", "2"}, .recorded = true, .deserted = true},
        {.name = "waited for, by NCCL", .devices = {"0", "1", "2"}, .deserted = true, .pause = 4 * PATIENCE},
    };
    int worst = 0;
    for (size_t i = 0; i < sizeof tests / sizeof *tests && worst != 77; i++) {
        int code = run_alone(&tests[i]);
        worst = code > worst ? code : worst;
    }
    if (worst == 77)
        printf("not run: %d CUDA devices are needed\n", RANKS);
    return worst;
}
