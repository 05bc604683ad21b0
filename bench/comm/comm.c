/* How fast ranks exchange what they exchange while a network runs: threads of this process, or processes that mpirun
 * started. The columns are those of nccl-tests: time is the mean of the repeats, of the slowest rank; algorithm
 * bandwidth the size over it; bus bandwidth that times what the links must at least carry per byte, so that it can be
 * held against their speed for any number of ranks. Every result is checked. With --gpus the numbers lie on GPUs, of
 * which every rank has one; under an emulator no times are told. */
#include "../options.h"
#include "gpu.h"

#include "crew.h"

#include <getopt.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_REPEATS = 10000, EXIT_USAGE = 2, LEAST = 64, SMALL = 1 << 16 };

struct arguments {
    int threads; /* 0: not said */
    int repeats; /* of sizes up to SMALL; fewer of larger ones */
    double megabytes;
    bool gpus, csv;
};

struct bench {
    struct hc_comm *comm;
    const struct arguments *arguments;
    struct gpu *gpu; /* NULL: on the host */
    float *data;
    size_t *bytes; /* of every rank, in a gathering */
    size_t count;
};

struct collective {
    const char *name;
    void (*fill)(struct bench *bench);
    hc_status (*run)(struct bench *bench, struct hc_error *error);
    float (*expected)(const struct bench *bench, size_t i);
    double (*bus)(int ranks);
};

/* ---- The collectives ------------------------------------------------------------------------ */

/* Small, so that sums are exact. */
static float value(int rank, size_t i)
{
    return (float)((i * 7 + (size_t)rank * 13) % 101);
}

static void fill_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->count; i++)
        bench->data[i] = value(bench->comm->rank, i);
}

static hc_status all_reduce(struct bench *bench, struct hc_error *error)
{
    return bench->gpu ? gpu_all_reduce(bench->gpu, bench->count, error)
                      : hc_comm_all_reduce(bench->comm, bench->data, bench->count, HC_SUM_F32, "an all-reduce", error);
}

static float sum(const struct bench *bench, size_t i)
{
    float sum = 0;
    for (int r = 0; r < bench->comm->ranks; r++)
        sum += value(r, i);
    return sum;
}

static double reduce_bus(int ranks)
{
    return 2.0 * (ranks - 1) / ranks;
}

static size_t part_begin(const struct bench *bench, int rank)
{
    return bench->count * (size_t)rank / (size_t)bench->comm->ranks;
}

static void fill_part(struct bench *bench)
{
    int rank = bench->comm->rank;
    memset(bench->data, 0, bench->count * sizeof *bench->data);
    for (int r = 0; r < bench->comm->ranks; r++)
        bench->bytes[r] = (part_begin(bench, r + 1) - part_begin(bench, r)) * sizeof *bench->data;
    for (size_t i = part_begin(bench, rank); i < part_begin(bench, rank + 1); i++)
        bench->data[i] = value(0, i);
}

static hc_status all_gather(struct bench *bench, struct hc_error *error)
{
    const float *mine = bench->data + part_begin(bench, bench->comm->rank);
    return bench->gpu ? gpu_all_gather(bench->gpu, bench->bytes, error)
                      : hc_comm_all_gather(bench->comm, mine, bench->data, bench->bytes, "an all-gather", error);
}

static float of_rank_0(const struct bench *bench, size_t i)
{
    (void)bench;
    return value(0, i);
}

static double gather_bus(int ranks)
{
    return 1.0 * (ranks - 1) / ranks;
}

static hc_status broadcast(struct bench *bench, struct hc_error *error)
{
    return hc_comm_broadcast(bench->comm, 0, bench->data, bench->count * sizeof *bench->data, "a broadcast", error);
}

static double broadcast_bus(int ranks)
{
    (void)ranks;
    return 1;
}

/* GPUs have those before the last. */
static const struct collective collectives[] = {{"all-reduce", fill_all, all_reduce, sum, reduce_bus},
                                                {"all-gather", fill_part, all_gather, of_rank_0, gather_bus},
                                                {"broadcast", fill_all, broadcast, of_rank_0, broadcast_bus}};

/* ---- Measuring ------------------------------------------------------------------------------ */

/* How many numbers of all ranks are wrong after one run. */
static hc_status count_wrong(struct bench *bench, const struct collective *collective, int64_t *wrong,
                             struct hc_error *error)
{
    hc_status status = HC_OK;
    *wrong = 0;
    collective->fill(bench);
    if (bench->gpu)
        HC_TRY(gpu_write(bench->gpu, bench->data, bench->count, error));
    HC_TRY(collective->run(bench, error));
    if (bench->gpu)
        HC_TRY(gpu_read(bench->gpu, bench->data, bench->count, error));
    for (size_t i = 0; i < bench->count; i++)
        *wrong +=
            !(bench->data[i] >= collective->expected(bench, i) && bench->data[i] <= collective->expected(bench, i));
    HC_TRY(hc_comm_all_reduce(bench->comm, wrong, 1, HC_SUM_I64, "what is wrong", error));
done:
    return status;
}

/* Seconds of a run, of the slowest rank. */
static hc_status measure(struct bench *bench, const struct collective *collective, int repeats, double *seconds,
                         struct hc_error *error)
{
    hc_status status = HC_OK;
    HC_TRY(hc_comm_barrier(bench->comm, "the start", error));
    double begin = omp_get_wtime();
    for (int i = 0; i < repeats; i++)
        HC_TRY(collective->run(bench, error));
    if (bench->gpu)
        HC_TRY(gpu_wait(bench->gpu, error));
    *seconds = (omp_get_wtime() - begin) / repeats;
    HC_TRY(hc_comm_all_reduce(bench->comm, seconds, 1, HC_MAX_F64, "the times", error));
done:
    return status;
}

static bool tells_times(const struct bench *bench)
{
    return !bench->gpu || !gpu_is_emulated(bench->gpu);
}

static void print_head(const struct bench *bench)
{
    const struct hc_comm *comm = bench->comm;
    if (bench->arguments->csv) {
        puts("collective,bytes,ranks,microseconds,algorithm_gigabytes_per_second,bus_gigabytes_per_second,wrong");
        return;
    }
    printf("%d ranks: %s%s%s%s\n%-10s %10s %6s", comm->ranks, comm->table ? comm->table->name : "alone",
           bench->gpu ? ", " : "", bench->gpu ? gpu_way(bench->gpu) : "",
           tells_times(bench) ? "" : "; under an emulator: no times", "collective", "bytes", "wrong");
    if (tells_times(bench))
        printf(" %10s %12s %12s", "time, us", "algbw, GB/s", "busbw, GB/s");
    puts("");
}

static void print_row(const struct bench *bench, const struct collective *collective, double seconds, int64_t wrong)
{
    size_t bytes = bench->count * sizeof *bench->data;
    double rate = (double)bytes / seconds / 1e9, bus = rate * collective->bus(bench->comm->ranks);
    if (bench->arguments->csv && tells_times(bench))
        printf("%s,%zu,%d,%.2f,%.4f,%.4f,%lld\n", collective->name, bytes, bench->comm->ranks, 1e6 * seconds, rate, bus,
               (long long)wrong);
    else if (bench->arguments->csv)
        printf("%s,%zu,%d,,,,%lld\n", collective->name, bytes, bench->comm->ranks, (long long)wrong);
    else if (tells_times(bench))
        printf("%-10s %10zu %6lld %10.1f %12.3f %12.3f\n", collective->name, bytes, (long long)wrong, 1e6 * seconds,
               rate, bus);
    else
        printf("%-10s %10zu %6lld\n", collective->name, bytes, (long long)wrong);
    fflush(stdout);
}

/* All sizes, each twice the one before: a choice is some bytes of each rank, a token's activations are 4 to 32 KiB,
 * those of a prompt megabytes. */
static hc_status run_collective(struct bench *bench, const struct collective *collective, struct hc_error *error)
{
    hc_status status = HC_OK;
    int repeats = bench->arguments->repeats;
    for (size_t bytes = LEAST; (double)bytes <= 1e6 * bench->arguments->megabytes; bytes *= 2) {
        int64_t wrong;
        double seconds = 0;
        bench->count = bytes / sizeof *bench->data;
        HC_TRY(count_wrong(bench, collective, &wrong, error));
        HC_TRY(measure(bench, collective, tells_times(bench) ? repeats : 1, &seconds, error));
        if (bench->comm->rank == 0)
            print_row(bench, collective, seconds, wrong);
        if (wrong > 0)
            return hc_fail(error, HC_ERR_DIFFERENT, "%s of %zu bytes: wrong numbers", collective->name, bytes);
        repeats = bytes >= SMALL && repeats > 8 ? repeats / 2 : repeats;
    }
done:
    return status;
}

static hc_status run_rank(const struct arguments *arguments, struct hc_comm *comm, struct hc_error *error)
{
    struct bench bench = {.comm = comm, .arguments = arguments};
    hc_status status = HC_OK;
    bench.data = malloc((size_t)(1e6 * arguments->megabytes) + LEAST);
    bench.bytes = malloc((size_t)comm->ranks * sizeof *bench.bytes);
    if (!bench.data || !bench.bytes)
        HC_TRY(hc_no_memory(error));
    if (arguments->gpus)
        HC_TRY(gpu_open(&bench.gpu, comm, (size_t)(1e6 * arguments->megabytes) / sizeof *bench.data, error));
    if (comm->rank == 0)
        print_head(&bench);
    for (size_t i = 0; i < sizeof collectives / sizeof *collectives - (bench.gpu ? 1 : 0); i++)
        HC_TRY(run_collective(&bench, &collectives[i], error));
done:
    gpu_close(bench.gpu);
    free(bench.bytes);
    free(bench.data);
    return status;
}

/* ---- Who takes part ------------------------------------------------------------------------- */

struct team {
    const struct arguments *arguments;
    struct hc_crew *crew;
};

static hc_status run_thread(void *user, int rank, struct hc_error *error)
{
    const struct team *team = user;
    return run_rank(team->arguments, hc_crew_comm(team->crew, rank), error);
}

static hc_status run_threads(const struct arguments *arguments, struct hc_error *error)
{
    struct team team = {.arguments = arguments};
    hc_status status = hc_crew_create(&team.crew, arguments->threads, 300, error);
    if (status == HC_OK)
        status = hc_crew_run(team.crew, run_thread, &team, error);
    hc_crew_destroy(team.crew);
    return status;
}

static hc_status run_processes(const struct arguments *arguments, struct hc_error *error)
{
    struct hc_comm comm;
    hc_status status = hc_comm_world(&comm, 300, error);
    if (status == HC_OK)
        status = run_rank(arguments, &comm, error);
    if (status != HC_OK)
        hc_comm_abort(&comm, error->text);
    hc_comm_destroy(&comm);
    return status;
}

/* ---- Command line --------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: comm --threads N [options]\n"
         "       mpirun -n N comm [options]\n"
         "Prints how fast ranks exchange data, from 64 bytes on in steps of two: time, algorithm and bus bandwidth as\n"
         "nccl-tests defines them. Every result is checked.\n"
         "\n"
         "  --threads N     threads of this process, instead of processes\n"
         "  --gpus          numbers on GPUs, one for every rank: all-reduce, all-gather\n"
         "  --megabytes X   the largest size (default 68: up to 64 MiB)\n"
         "  --repeats N     of the smallest size; larger ones are repeated less often (default 1000)\n"
         "  --csv           one line of comma-separated values a row");
}

static bool parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'}, {"megabytes", required_argument, NULL, 'm'},
        {"repeats", required_argument, NULL, 'r'}, {"gpus", no_argument, NULL, 'g'},
        {"csv", no_argument, NULL, 'c'},           {NULL, 0, NULL, 0}};
    bool good = true;
    for (int option; good && (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 't')
            good = parse_count(optarg, 256, &arguments->threads);
        else if (option == 'm')
            good = parse_number(optarg, 0.0041, 1e5, &arguments->megabytes);
        else if (option == 'r')
            good = parse_count(optarg, MAX_REPEATS, &arguments->repeats);
        else if (option == 'g')
            arguments->gpus = true;
        else if (option == 'c')
            arguments->csv = true;
        else
            good = false;
    }
    return good && optind == argc;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.repeats = 1000, .megabytes = 68};
    struct hc_error error = {""};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (!parse_arguments(argc, argv, &arguments)) {
        fprintf(stderr, "comm: wrong usage; see comm --help\n");
        return EXIT_USAGE;
    }
    hc_status status = arguments.threads ? run_threads(&arguments, &error) : run_processes(&arguments, &error);
    if (status != HC_OK)
        fprintf(stderr, "comm: %s\n", error.text);
    return status == HC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
