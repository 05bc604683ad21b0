#include "engine_team.h"

#include "engine_spread.h"
#include "meter.h"
#include "partition.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 4 /* of a member's share */ };

/* Units of the operation at hand that nobody has taken yet, taken `step` at a time. */
struct lane {
    uint64_t begin, end, step;
};

struct member {
    struct team *team;
    char *name;
    double speed;
    struct hc_engine engine;
    pthread_t thread;
    bool started;
    struct lane share, returned;  /* its own; what it could not finish */
    double pace[HC_SPREAD_KINDS]; /* seconds for a weight, lately; 0: not known */
    void *sum;                    /* of a part */
    bool failed, told;
    struct hc_error error;
};

struct team {
    struct hc_spread spread;
    size_t count;
    struct member *members;
    double *speeds; /* of the members, 0 of those that failed */
    uint64_t *units;
    size_t sum_bytes;      /* each member has room for */
    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t changed;
    const struct hc_spread_op *op; /* NULL: nothing to do */
    uint64_t left;                 /* units that are not done */
    size_t alive, busy;
    hc_status status; /* of the operation: a failure that is the data's */
    struct hc_error error;
    bool closing;
};

static uint64_t lane_left(const struct lane *lane)
{
    return lane->end - lane->begin;
}

/* ---- Who takes what ------------------------------------------------------------------------- */

/* Whether a member would have done with a part of another's lane before that is through with all of it. */
static bool is_worth(const struct team *team, const struct member *mine, const struct member *other)
{
    double a = mine->pace[team->op->kind], b = other->pace[team->op->kind];
    if (!(a > 0 && b > 0)) {
        a = 1 / mine->speed;
        b = 1 / other->speed;
    }
    uint64_t left = lane_left(&other->share), part = left < other->share.step ? left : other->share.step;
    return a * (double)part < b * (double)left || (left > 0 && other->failed);
}

static double time_left(const struct team *team, const struct member *member)
{
    double pace = member->pace[team->op->kind];
    return (double)lane_left(&member->share) * (pace > 0 ? pace : 1 / member->speed);
}

/* The lane to take from next; NULL: none, for now. */
static struct lane *choose(struct team *team, struct member *mine)
{
    struct member *longest = NULL;
    if (lane_left(&mine->share) > 0)
        return &mine->share;
    for (size_t m = 0; m < team->count; m++) {
        struct member *other = &team->members[m];
        if (lane_left(&other->returned) > 0)
            return &other->returned;
        if (is_worth(team, mine, other) && (!longest || time_left(team, other) > time_left(team, longest)))
            longest = other;
    }
    return longest ? &longest->share : NULL;
}

/* Takes a part: from the front of one's own share, from the end of another's. False: there is none, for now. */
static bool draw(struct team *team, struct member *mine, struct lane *part)
{
    struct lane *lane = team->op && team->status == HC_OK && !mine->failed ? choose(team, mine) : NULL;
    if (!lane)
        return false;
    uint64_t units = lane_left(lane) < lane->step ? lane_left(lane) : lane->step;
    if (lane == &mine->share) {
        *part = (struct lane){lane->begin, lane->begin + units, units};
        lane->begin += units;
    } else {
        *part = (struct lane){lane->end - units, lane->end, units};
        lane->end -= units;
    }
    return true;
}

/* ---- A member's thread ---------------------------------------------------------------------- */

static bool is_of_the_device(hc_status status)
{
    return status == HC_ERR_DEVICE || status == HC_ERR_MEMORY;
}

/* What became of a part. Sums of a part that failed are nowhere in the result. */
static void settle(struct team *team, struct member *mine, const struct lane *part, hc_status status, double pace)
{
    double *known = &mine->pace[team->op->kind];
    if (status == HC_OK) {
        hc_spread_add(&team->op->sum, team->op->result, mine->sum);
        team->left -= lane_left(part);
        *known = *known > 0 ? (*known + pace) / 2 : pace;
    } else if (is_of_the_device(status)) {
        mine->failed = true;
        mine->returned = *part;
        team->speeds[mine - team->members] = 0;
        team->alive--;
    }
    if (status != HC_OK && (!is_of_the_device(status) || team->alive == 0)) {
        team->status = status;
        team->error = mine->error;
    }
}

/* Called with the mutex locked, and returns so. */
static void do_part(struct team *team, struct member *mine, const struct lane *part)
{
    const struct hc_spread_op *op = team->op;
    uint64_t first = hc_spread_positions(op, part->begin), count = hc_spread_positions(op, part->end) - first;
    team->busy++;
    pthread_mutex_unlock(&team->mutex);
    double begin = hc_now();
    hc_spread_clear(&op->sum, mine->sum);
    hc_status status = op->run(op, &mine->engine, op->first + first, count, mine->sum, &mine->error);
    double pace = (hc_now() - begin) / ((double)count * (double)op->weights);
    pthread_mutex_lock(&team->mutex);
    team->busy--;
    settle(team, mine, part, status, pace);
    pthread_cond_broadcast(&team->changed);
}

static void *work(void *handle)
{
    struct member *mine = handle;
    struct team *team = mine->team;
    struct lane part;
    pthread_mutex_lock(&team->mutex);
    while (!team->closing)
        if (draw(team, mine, &part))
            do_part(team, mine, &part);
        else
            pthread_cond_wait(&team->changed, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
    return NULL;
}

/* ---- The operation -------------------------------------------------------------------------- */

static hc_status make_room(struct team *team, size_t bytes, struct hc_error *error)
{
    if (bytes <= team->sum_bytes)
        return HC_OK;
    for (size_t m = 0; m < team->count; m++) {
        void *larger = realloc(team->members[m].sum, bytes);
        if (!larger)
            return hc_no_memory(error);
        team->members[m].sum = larger;
    }
    team->sum_bytes = bytes;
    return HC_OK;
}

static void share_out(struct team *team, uint64_t units)
{
    uint64_t at = 0;
    hc_partition(units, team->speeds, team->count, team->units);
    for (size_t m = 0; m < team->count; m++) {
        uint64_t share = team->units[m];
        team->members[m].share = (struct lane){at, at + share, (share + PARTS - 1) / PARTS};
        team->members[m].returned = (struct lane){0, 0, 0};
        at += share;
    }
}

/* Those that were left out during the operation. */
static void tell_failures(struct hc_engine *engine, struct team *team)
{
    struct hc_error text;
    for (size_t m = 0; m < team->count; m++) {
        struct member *member = &team->members[m];
        if (!member->failed || member->told)
            continue;
        member->told = true;
        hc_fail(&text, HC_OK, "%s fails, and the run goes on without it: %s", member->name, member->error.text);
        if (engine->notice && team->alive > 0)
            engine->notice(text.text, engine->user);
    }
}

static hc_status team_carry_out(struct hc_engine *engine, const struct hc_spread_op *op, struct hc_error *error)
{
    struct team *team = engine->state;
    uint64_t units = hc_spread_units(op);
    if (team->alive == 0)
        return hc_fail(error, HC_ERR_DEVICE, "no device is left: %s", team->error.text);
    hc_status status = make_room(team, hc_spread_sum_bytes(&op->sum) + 1, error);
    if (status != HC_OK)
        return status;
    pthread_mutex_lock(&team->mutex);
    share_out(team, units);
    team->left = units;
    team->status = HC_OK;
    team->op = op;
    pthread_cond_broadcast(&team->changed);
    while (team->busy > 0 || (team->left > 0 && team->status == HC_OK))
        pthread_cond_wait(&team->changed, &team->mutex);
    team->op = NULL;
    pthread_mutex_unlock(&team->mutex);
    tell_failures(engine, team);
    return team->status == HC_OK ? HC_OK : hc_fail(error, team->status, "%s", team->error.text);
}

static uint64_t team_whole(struct hc_engine *engine, uint64_t units, uint64_t parts)
{
    struct team *team = engine->state;
    return hc_partition_whole(units, parts, team->speeds, team->count, team->units);
}

static void team_hold(struct hc_engine *engine, const struct hc_piece *piece)
{
    struct team *team = engine->state;
    for (size_t m = 0; m < team->count; m++)
        if (!team->members[m].failed)
            team->members[m].engine.table->hold(&team->members[m].engine, piece);
}

static void team_let_go(struct hc_engine *engine)
{
    struct team *team = engine->state;
    for (size_t m = 0; m < team->count; m++)
        if (team->members[m].engine.table)
            team->members[m].engine.table->let_go(&team->members[m].engine);
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

static void stop(struct team *team)
{
    pthread_mutex_lock(&team->mutex);
    team->closing = true;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
    for (size_t m = 0; m < team->count; m++)
        if (team->members[m].started)
            pthread_join(team->members[m].thread, NULL);
}

static void team_free(struct team *team)
{
    stop(team);
    for (size_t m = 0; m < team->count; m++) {
        struct member *member = &team->members[m];
        if (member->engine.table)
            member->engine.table->destroy(&member->engine);
        free(member->name);
        free(member->sum);
    }
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
    free(team->members);
    free(team->speeds);
    free(team->units);
    free(team);
}

static void team_destroy(struct hc_engine *engine)
{
    team_free(engine->state);
    *engine = (struct hc_engine){0};
}

/* Before its thread is there. */
static void leave_out(struct team *team, struct member *member, const struct hc_error *why)
{
    member->failed = true;
    member->error = *why;
    team->error = *why;
    team->speeds[member - team->members] = 0;
    team->alive--;
}

static hc_status start(struct team *team, const struct hc_team_member *members, struct hc_error *error)
{
    for (size_t m = 0; m < team->count; m++) {
        struct member *member = &team->members[m];
        team->speeds[m] = member->speed = members[m].speed;
        member->team = team;
        member->name = strdup(members[m].name);
        if (!member->name)
            return hc_no_memory(error);
        if (!member->engine.table) {
            leave_out(team, member, &members[m].failure);
            continue;
        }
        member->started = pthread_create(&member->thread, NULL, work, member) == 0;
        if (!member->started)
            return hc_fail(error, HC_ERR_MEMORY, "%s: its thread cannot be started", member->name);
    }
    return HC_OK;
}

/* NULL if memory is out. */
static struct team *allocate(size_t count)
{
    struct team *team = calloc(1, sizeof *team);
    if (!team)
        return NULL;
    team->members = calloc(count, sizeof *team->members);
    team->speeds = malloc(count * sizeof *team->speeds);
    team->units = malloc(count * sizeof *team->units);
    if (team->members && team->speeds && team->units)
        return team;
    free(team->members);
    free(team->speeds);
    free(team->units);
    free(team);
    return NULL;
}

/* Of any that opened: they are all the same. */
static const struct hc_kernels *kernels_of(const struct hc_team_member *members, size_t count)
{
    const struct hc_kernels *kernels = NULL;
    for (size_t m = 0; m < count && !kernels; m++)
        kernels = members[m].engine.kernels;
    return kernels;
}

hc_status hc_engine_team(struct hc_engine *engine, const struct hc_team_member *members, size_t count,
                         struct hc_error *error)
{
    struct team *team = allocate(count);
    for (size_t m = 0; !team && m < count; m++) {
        struct hc_engine member = members[m].engine;
        if (member.table)
            member.table->destroy(&member);
    }
    if (!team)
        return hc_no_memory(error);
    team->spread = (struct hc_spread){team_destroy, team_hold, team_let_go, team_whole, team_carry_out};
    team->count = team->alive = count;
    for (size_t m = 0; m < count; m++)
        team->members[m].engine = members[m].engine;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->changed, NULL);
    hc_status status = start(team, members, error);
    if (status == HC_OK && team->alive == 0)
        status = hc_fail(error, HC_ERR_DEVICE, "%s", team->error.text);
    if (status != HC_OK) {
        team_free(team);
        return status;
    }
    /* Twice the devices: parts are a fraction of a share, and small ones do not fill a device. */
    *engine = (struct hc_engine){
        .table = &hc_spread_engine, .kernels = kernels_of(members, count), .state = team, .width = 2 * (unsigned)count};
    return HC_OK;
}
