#include "partition.h"

#include <math.h>
#include <string.h>

static const double gpu_cores = 100;

double hc_device_speed(const char *device, int threads)
{
    return strcmp(device, "cpu") == 0 ? threads : gpu_cores;
}

hc_status hc_device_speed_check(const char *device, double speed, struct hc_error *error)
{
    bool good = speed == 0 || (speed >= 1e-9 && speed <= 1e9);
    return good ? HC_OK : hc_fail(error, HC_ERR_ARGUMENT, "%s: %g is not a speed", device, speed);
}

/* Who would be done first with one unit more. */
static size_t next(const double *speeds, size_t count, const uint64_t *units)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t d = 0; d < count; d++) {
        double time = (double)(units[d] + 1) / speeds[d];
        if (time < least) {
            least = time;
            best = d;
        }
    }
    return best;
}

/* What is every device's in proportion, rounded down. Returns what is left. */
static uint64_t share_evenly(uint64_t all, const double *speeds, size_t count, uint64_t *units)
{
    double total = 0;
    uint64_t left = all;
    for (size_t d = 0; d < count; d++)
        total += speeds[d];
    for (size_t d = 0; d < count; d++) {
        double due = floor((double)all * speeds[d] / total);
        units[d] = due < (double)left ? (uint64_t)due : left;
        left -= units[d];
    }
    return left;
}

void hc_partition(uint64_t all, const double *speeds, size_t count, uint64_t *units)
{
    uint64_t left = share_evenly(all, speeds, count, units);
    for (; left > 0; left--)
        units[next(speeds, count, units)]++;
}

/* Of the slowest device. */
static double time_of(uint64_t all, const double *speeds, size_t count, uint64_t *units)
{
    double time = 0;
    hc_partition(all, speeds, count, units);
    for (size_t d = 0; d < count; d++)
        time = units[d] > 0 ? fmax(time, (double)units[d] / speeds[d]) : time;
    return time;
}

uint64_t hc_partition_whole(uint64_t all, uint64_t parts, const double *speeds, size_t count, uint64_t *units)
{
    const double twice = 0.03;
    uint64_t left = share_evenly(all, speeds, count, units);
    double even = time_of(all - left, speeds, count, units);
    double finer = even + (1 + twice) * time_of(left * parts, speeds, count, units) / (double)parts;
    return finer < time_of(all, speeds, count, units) ? all - left : all;
}
