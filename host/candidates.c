#include "candidates.h"

#include <math.h>
#include <stdbool.h>

static bool worse(const struct hc_candidate *a, const struct hc_candidate *b)
{
    return a->logit < b->logit || (a->logit == b->logit && a->token > b->token);
}

/* Puts a candidate where the top of a heap is free, whose top is the worst. */
static void sink(struct hc_candidate *heap, uint32_t count, uint32_t at, struct hc_candidate candidate)
{
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && worse(&heap[child + 1], &heap[child]))
            child++;
        if (!worse(&heap[child], &candidate))
            break;
        heap[at] = heap[child];
    }
    heap[at] = candidate;
}

void hc_candidates_best(const float *logits, uint32_t count, int32_t first, uint32_t most, struct hc_candidate *best)
{
    const uint32_t kept = count < most ? count : most;
    for (uint32_t i = 0; i < count; i++) {
        const struct hc_candidate next = {isnan(logits[i]) ? -INFINITY : logits[i], first + (int32_t)i};
        if (i < kept)
            best[i] = next;
        else if (worse(&best[0], &next))
            sink(best, kept, 0, next);
        if (i + 1 == kept)
            for (uint32_t at = kept / 2; at-- > 0;)
                sink(best, kept, at, best[at]);
    }
}
