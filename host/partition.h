/* How work is shared out among devices, for the plan (<hyperc/plan.h>) and for the engines that carry it out. */
#ifndef HC_HOST_PARTITION_H
#define HC_HOST_PARTITION_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* How fast a device is taken to be of which no more is known than its kind, in cores of a CPU: a GPU is an A100
 * (<hyperc/plan.h>). */
double hc_device_speed(const char *device, int threads);

/* HC_ERR_ARGUMENT unless a device may be said to be so fast; 0: it is not said. */
hc_status hc_device_speed_check(const char *device, double speed, struct hc_error *error);

/* Shares out whole units in proportion to the speeds, as near as it goes: units[d] of them to device d, one device's
 * behind the other's. No other way has the slowest done earlier. A device of speed 0 gets none; some have more. */
void hc_partition(uint64_t all, const double *speeds, size_t count, uint64_t *units);

/* Where units can be divided into so many parts each: how many of them to share out whole. As many as come out even, so
 * that fewer are left than there are devices; or all, where it takes as long to divide those: 3 % more than their part
 * of the work, for what is done twice. units: room for `count`. */
uint64_t hc_partition_whole(uint64_t all, uint64_t parts, const double *speeds, size_t count, uint64_t *units);

#endif
