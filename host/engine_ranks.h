/* The engines of all ranks as one: every rank does its part of every stretch, and then has the results of all. All
 * ranks ask for the same, in the same order. Decoding goes to the rank's own engine.
 */
#ifndef HC_HOST_ENGINE_RANKS_H
#define HC_HOST_ENGINE_RANKS_H

#include "comm.h"
#include "device_reports.h"
#include "engine.h"

/* The ranks share work in proportion to the speeds. What the devices do is exchanged behind every stretch, if `reports`
 * are shared. `own`, `comm` and `reports` outlive the engine; its destroy leaves them open. All ranks call it at once.
 */
hc_status hc_engine_ranks(struct hc_engine *engine, struct hc_engine *own, struct hc_comm *comm, double speed,
                          struct hc_device_reports *reports, struct hc_error *error);

#endif
