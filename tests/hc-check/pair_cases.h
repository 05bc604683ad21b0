/* Inputs for the operations of `pair`: ordinary ones, and those at the edges where tiers would part. */
#ifndef HC_CHECK_PAIR_CASES_H
#define HC_CHECK_PAIR_CASES_H

#include "check.h"

enum pair_case_kind {
    PAIR_NORMAL,  /* most inside the square */
    PAIR_WIDE,    /* most outside */
    PAIR_UNIFORM, /* all over the square, its rim included */
    PAIR_RIM,     /* within a step of the left and right rim, in the lowest and highest rows */
    PAIR_TIES,    /* at points, and halfway between them; exactly so if the grid is made of powers of two */
    PAIR_BORDER,  /* on the border of the square and right beside it */
    PAIR_CENTRE,  /* at the centre and right beside it */
    PAIR_LIMITS,  /* exactly where one class of outer pairs ends, and right beside it */
    PAIR_OUTLIER, /* normal, but for one that is far away */
    PAIR_KINDS
};

struct pair_case {
    enum pair_case_kind kind;
    size_t n;
    double centre[2];
    double side;
    uint32_t points, classes; /* classes 0: every pair is drawn into the square */
};

/* One of them by chance; n up to HC_BLOCK. */
struct pair_case pair_case_draw(struct check_random *random);

/* Fills n weights, and the grid with what reads centre, half and pad (before the fit: pair_extent). */
void pair_case_weights(struct check_random *random, const struct pair_case *p, float *weights,
                       struct hc_pair_grid *grid);

/* The grid that fits the weights. False if there is none: the parameters are out of range. */
bool pair_case_fit(const struct pair_case *p, const struct hc_kernels *truth, const float *weights,
                   struct hc_pair_grid *grid);

#endif
