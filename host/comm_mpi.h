/* Ranks that are processes, through MPI; where it was found at build time. */
#ifndef HC_HOST_COMM_MPI_H
#define HC_HOST_COMM_MPI_H

#include "comm.h"

/* started: the environment says that mpirun started several processes. Else MPI is left alone, unless the program
 * itself has begun it; then it also ends it. */
hc_status hc_comm_mpi(struct hc_comm *comm, bool started, double timeout, struct hc_error *error);

#endif
