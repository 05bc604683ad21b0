/* An engine that counts what its device does. */
#ifndef HC_HOST_ENGINE_COUNTED_H
#define HC_HOST_ENGINE_COUNTED_H

#include "engine.h"

/* Makes the engine one that adds to the weights and the busy time of `report`, which outlives it; on failure the engine
 * is destroyed. It counts in the thread that calls it: others may read only while none of its calls is under way. */
hc_status hc_engine_counted(struct hc_engine *engine, hc_device_report *report, struct hc_error *error);

#endif
