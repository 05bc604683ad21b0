/* Several engines as one: a *team*, whose members each have a thread. A stretch is cut into parts; each member has its
 * own share of them, in proportion to its speed and the same from pass to pass, and takes from a share that would last
 * longer than its own when it is done with that. So a slow member does not hold up the rest.
 *
 * A member that fails for want of memory, or as its device does, hands its part back and is left out from then on,
 * which is told by `notice`; so is one whose engine did not open. When none is left, the last failure is the result.
 */
#ifndef HC_HOST_ENGINE_TEAM_H
#define HC_HOST_ENGINE_TEAM_H

#include "engine.h"

struct hc_team_member {
    const char *name;        /* for messages; copied */
    double speed;            /* in cores of a CPU, more than 0; without effect if it did not open */
    struct hc_engine engine; /* table NULL: it did not open, as `failure` says */
    struct hc_error failure;
};

/* Takes the engines over: they are destroyed with the team, or if it cannot be made. */
hc_status hc_engine_team(struct hc_engine *engine, const struct hc_team_member *members, size_t count,
                         struct hc_error *error);

#endif
