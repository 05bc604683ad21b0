#include "partition.h"

#include <math.h>
#include <string.h>

static const double gpu_cores = 100;

double hc_device_speed(const char *device, int threads)
{
    return strcmp(device, "cpu") == 0 ? threads : gpu_cores;
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

void hc_partition(uint64_t all, const double *speeds, size_t count, uint64_t *units)
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
    for (; left > 0; left--)
        units[next(speeds, count, units)]++;
}
