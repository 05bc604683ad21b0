/* MPI is begun and ended in a thread of its own: neither can be interrupted, and both wait for all ranks, for ever. */
#ifndef HC_HOST_COMM_MPI_THREAD_H
#define HC_HOST_COMM_MPI_THREAD_H

#include "error.h"

/* Runs job(data) in that thread, always the same one. HC_ERR_RANKS, "`late` within S s": it has not come to its end
 * within so many seconds; then the thread is lost, and `data`, which it may still write to, must be left to it.
 * HC_ERR_MEMORY: there can be no thread, and nothing was done. */
hc_status hc_mpi_thread_run(void (*job)(void *data), void *data, double seconds, const char *late,
                            struct hc_error *error);

#endif
