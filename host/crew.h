/* A *crew*: threads of this process that do one thing together, each as a rank, as when each has a device of its own.
 */
#ifndef HC_HOST_CREW_H
#define HC_HOST_CREW_H

#include "comm.h"

struct hc_crew;

/* timeout: as of hc_comm. The calling thread is rank 0. */
hc_status hc_crew_create(struct hc_crew **crew, int ranks, double timeout, struct hc_error *error);
void hc_crew_destroy(struct hc_crew *crew); /* NULL: nothing */

/* Of one rank, for its thread alone. */
struct hc_comm *hc_crew_comm(struct hc_crew *crew, int rank);

/* Runs work(user, rank) on every rank at once, and returns when all are done: HC_OK, or the first failure, which makes
 * the others' calls of their comms fail. The crew is as good as before then. */
typedef hc_status (*hc_crew_fn)(void *user, int rank, struct hc_error *error);
hc_status hc_crew_run(struct hc_crew *crew, hc_crew_fn work, void *user, struct hc_error *error);

#endif
