/* The machines of bench/scale: what their data sheets say, what bench/sass counted for them, and how long an exchange
 * takes between them (docs/scaling.md). Seconds, and bytes per second. */
#ifndef HC_BENCH_SCALE_MACHINE_H
#define HC_BENCH_SCALE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALE_GIGA 1e9
#define SCALE_MICRO 1e-6

/* Bandwidths in GB/s, links one way. Hosts have eight GPUs, and an InfiniBand adapter for each of them.
 *
 * Name, multiprocessors, memory bandwidth: as in bench/sass.py. Memory, NVLink (600 and 900 GB/s both ways together)
 * and PCIe (64 and 128): data sheets "NVIDIA A100 Tensor Core GPU" (80 GB, SXM) and "NVIDIA H100 Tensor Core GPU"
 * (SXM). InfiniBand: data sheets of DGX A100 (eight ConnectX-6, 200 Gb/s each) and DGX H100 (eight ConnectX-7, 400
 * Gb/s). */
struct scale_machine {
    const char *gpu;
    unsigned processors;
    double memory; /* GB */
    double bandwidth, nvlink, infiniband, pcie;
};

static const struct scale_machine scale_machines[] = {
    {"A100 80GB", 108, 80, 2039, 300, 25, 32},
    {"H100 SXM", 132, 80, 3352, 450, 50, 64},
};

enum { SCALE_MACHINES = sizeof scale_machines / sizeof *scale_machines, SCALE_GPUS_OF_HOST = 8 };

/* A host's storage, in GB/s: one drive of PCIe 4.0, as Samsung announced its PM9A3. */
static const double scale_read = 6.5, scale_write = 3.5;

/* ---- Counts ------------------------------------------------------------------------------------- */

/* Billion weights a second, by the counts; 0: there is no such row. */
struct scale_rates {
    double product[9];    /* `window`, by k: one position */
    double search[9][17]; /* `window`, by k and L */
    double pair_product;  /* up to 8 positions, codes of 13 bits */
    double pair_search;
};

enum { SCALE_FIELDS = 32 };

/* Cuts a line at its commas. */
static inline size_t scale_fields(char *line, char **fields)
{
    size_t count = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *at = line; at && count < SCALE_FIELDS; count++) {
        fields[count] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = 0;
    }
    return count;
}

static inline size_t scale_column(char **names, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static inline void scale_take_rate(struct scale_rates *rates, const char *kernel, unsigned k, unsigned length,
                                   unsigned positions, double rate)
{
    if (k > 8 || length > 16)
        return;
    if (strcmp(kernel, "window_product") == 0 && positions == 1)
        rates->product[k] = rate;
    else if (strcmp(kernel, "window_encode") == 0)
        rates->search[k][length] = rate;
    else if (strcmp(kernel, "pair_product") == 0 && positions == 8)
        rates->pair_product = rate;
    else if (strcmp(kernel, "pair_search") == 0)
        rates->pair_search = rate;
}

/* From bench/results/sass.csv. False, and a line on stderr, if it cannot be read. */
static inline bool scale_read_rates(const char *path, const char *gpu, struct scale_rates *rates)
{
    static const char *const names[] = {"gpu", "kernel", "k", "length", "positions", "billion_weights_per_second"};
    char line[1024], *fields[SCALE_FIELDS];
    size_t at[6];
    *rates = (struct scale_rates){0};
    FILE *file = fopen(path, "r");
    bool good = file && fgets(line, sizeof line, file);
    const size_t columns = good ? scale_fields(line, fields) : 0;
    for (size_t i = 0; i < 6; i++) {
        at[i] = scale_column(fields, columns, names[i]);
        good = good && at[i] < columns;
    }
    while (good && fgets(line, sizeof line, file)) {
        good = scale_fields(line, fields) == columns;
        if (good && strcmp(fields[at[0]], gpu) == 0)
            scale_take_rate(rates, fields[at[1]], (unsigned)atoi(fields[at[2]]), (unsigned)atoi(fields[at[3]]),
                            (unsigned)atoi(fields[at[4]]), atof(fields[at[5]]));
    }
    if (file)
        fclose(file);
    good = good && rates->pair_search > 0;
    if (!good)
        fprintf(stderr, "%s: not a readable table of counts for %s\n", path, gpu);
    return good;
}

/* ---- Exchanges ---------------------------------------------------------------------------------- */

/* Microseconds, by NCCL's own model of its protocol for little data ("LL"; src/graph/tuning.cc of version 2.19): of any
 * call; of a hop over NVLink, which takes 1.8 times as long in a call between hosts; of a hop of the tree between
 * hosts. The protocol sends a flag with every word: of the bandwidth it has a quarter. */
static const double scale_call = 6.8, scale_hop = 0.6, scale_hop_of_many = 1.8, scale_net_hop = 5.0,
                    scale_little = 0.25;
/* What a ring reaches of NVLink's bandwidth: 235 of 300 GB/s is what NCCL expects of A100, 365 of 450 was measured on
 * H100 (NVIDIA/nccl issue 1455). */
static const double scale_ring = 0.8;

static inline unsigned scale_hosts(unsigned devices)
{
    return (devices + SCALE_GPUS_OF_HOST - 1) / SCALE_GPUS_OF_HOST;
}

/* Steps of a tree over so many. */
static inline unsigned scale_depth(unsigned count)
{
    unsigned depth = 0;
    while (1u << depth < count)
        depth++;
    return depth;
}

/* Bytes per second, of the slowest link on the way through all devices. */
static inline double scale_slowest(const struct scale_machine *machine, unsigned devices)
{
    const unsigned hosts = scale_hosts(devices);
    const double inside = scale_ring * machine->nvlink, outside = machine->infiniband * (devices / hosts);
    return (hosts > 1 && outside < inside ? outside : inside) * scale_little * SCALE_GIGA;
}

/* All-reduce of little data that lies on the devices: along the NVLinks of every host, and by a tree between hosts. */
static inline double scale_all_reduce(const struct scale_machine *machine, unsigned devices, double bytes)
{
    if (devices == 1)
        return 0;
    const unsigned hosts = scale_hosts(devices), of_host = devices / hosts;
    const double hop = scale_hop * (hosts > 1 ? scale_hop_of_many : 1);
    const double latency = scale_call + 2 * ((of_host - 1) * hop + scale_depth(hosts) * scale_net_hop);
    return latency * SCALE_MICRO + 2.0 * (devices - 1) / devices * bytes / scale_slowest(machine, devices);
}

/* All-gather of little data that lies on the devices, `bytes` of all of them: in a ring, which goes through all. */
static inline double scale_all_gather(const struct scale_machine *machine, unsigned devices, double bytes)
{
    if (devices == 1)
        return 0;
    const unsigned hosts = scale_hosts(devices);
    const double hop = scale_hop * (hosts > 1 ? scale_hop_of_many : 1);
    const double latency = scale_call + (devices - hosts) * hop + (hosts - 1) * scale_net_hop;
    return latency * SCALE_MICRO + (devices - 1.0) / devices * bytes / scale_slowest(machine, devices);
}

/* To the next device: of the same host, or of another one. */
static inline double scale_send(const struct scale_machine *machine, bool other_host, double bytes)
{
    const double hop = other_host ? scale_net_hop : scale_hop;
    const double bandwidth = other_host ? machine->infiniband : scale_ring * machine->nvlink;
    return (scale_call + hop) * SCALE_MICRO + bytes / (bandwidth * scale_little * SCALE_GIGA);
}

/* Between the memories of hosts, over one adapter of each: every host gets the parts of all others. */
static inline double scale_all_gather_hosts(const struct scale_machine *machine, unsigned hosts, double bytes)
{
    return scale_depth(hosts) * scale_net_hop * SCALE_MICRO +
           (hosts - 1.0) / hosts * bytes / (machine->infiniband * SCALE_GIGA);
}

#endif
