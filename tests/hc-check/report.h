/* The rows of hc-check, as a table or as JSON. */
#ifndef HC_CHECK_REPORT_H
#define HC_CHECK_REPORT_H

#include "check.h"

enum verdict { PASSED, FAILED, NOT_RUN, VERDICTS };

struct row {
    const struct check_op *op;
    const struct check_tier *tier;
    enum verdict verdict;
    double worst;    /* deviation */
    char where[256]; /* of it; or why the row was not run */
    bool timed;
    double seconds_per_item, bytes_per_second;
    double plain_c; /* seconds per item of plain C; 0: not known */
};

struct report {
    bool json, timed;
    double copy_rate; /* bytes per second of memcpy; 0: not known */
    size_t count[VERDICTS];
    uint64_t seed;
    void *rows; /* json_t array */
};

/* json: nothing is printed before the end. */
bool report_begin(struct report *report, bool json, bool timed, uint64_t seed);
void report_row(struct report *report, const struct row *row);
/* `missing`: tiers that were required, and not run; "" if none. */
void report_end(struct report *report, const char *missing);

#endif
