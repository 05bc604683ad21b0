/* One block of memory, handed out piece by piece: once to count, then to lay out. */
#ifndef HC_HOST_ARENA_H
#define HC_HOST_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct hc_arena {
    uint8_t *base;    /* NULL: only counts */
    size_t alignment; /* of every piece, if base has it */
    uint64_t used;
};

static inline void *hc_arena_take(struct hc_arena *arena, uint64_t bytes)
{
    uint8_t *at = arena->base ? arena->base + arena->used : NULL;
    arena->used += (bytes + arena->alignment - 1) / arena->alignment * arena->alignment;
    return at;
}

#endif
