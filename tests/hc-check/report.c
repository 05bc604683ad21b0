#include "report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static const char *const verdict_names[VERDICTS] = {"passed", "FAILED", "not run"};

bool report_begin(struct report *report, bool json, bool timed, uint64_t seed)
{
    *report = (struct report){.json = json, .timed = timed, .seed = seed, .rows = json_array()};
    if (report->rows == NULL)
        return false;
    if (timed)
        report->copy_rate = check_copy_rate();
    if (json)
        return true;
    printf("%-24s %-7s %-8s %10s", "operation", "tier", "verdict", "deviation");
    if (timed)
        printf(" %10s %10s %8s %7s %7s", "ns/item", "M items/s", "GB/s", "of copy", "vs C");
    printf("  where\n");
    return true;
}

static void print_times(const struct report *report, const struct row *row)
{
    if (!row->timed) {
        printf(" %10s %10s %8s %7s %7s", "-", "-", "-", "-", "-");
        return;
    }
    printf(" %10.3f %10.1f %8.2f", row->seconds_per_item * 1e9, 1e-6 / row->seconds_per_item,
           row->bytes_per_second * 1e-9);
    if (report->copy_rate > 0)
        printf(" %6.0f%%", 100 * row->bytes_per_second / report->copy_rate);
    else
        printf(" %7s", "-");
    if (row->plain_c > 0)
        printf(" %6.1fx", row->plain_c / row->seconds_per_item);
    else
        printf(" %7s", "-");
}

static void print_row(const struct report *report, const struct row *row)
{
    printf("%-24s %-7s %-8s", row->op->name, row->tier->name, verdict_names[row->verdict]);
    if (row->verdict == NOT_RUN)
        printf(" %10s", "-");
    else
        printf(" %10.3g", row->worst);
    if (report->timed)
        print_times(report, row);
    printf("  %s\n", row->where);
    fflush(stdout);
}

static void add_number(json_t *object, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(object, key, json_real(value));
    else
        json_object_set_new(object, key, json_string("infinite"));
}

void report_row(struct report *report, const struct row *row)
{
    report->count[row->verdict]++;
    if (!report->json) {
        print_row(report, row);
        return;
    }
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", row->op->name, "tier", row->tier->name, "verdict",
                               verdict_names[row->verdict], "where", row->where, "item", row->op->item);
    if (row->verdict != NOT_RUN)
        add_number(object, "deviation", row->worst);
    if (row->timed) {
        add_number(object, "ns_per_item", row->seconds_per_item * 1e9);
        add_number(object, "items_per_second", 1 / row->seconds_per_item);
        add_number(object, "bytes_per_second", row->bytes_per_second);
        if (report->copy_rate > 0)
            add_number(object, "share_of_copy", row->bytes_per_second / report->copy_rate);
        if (row->plain_c > 0)
            add_number(object, "speed_up", row->plain_c / row->seconds_per_item);
    }
    json_array_append_new(report->rows, object);
}

void report_end(struct report *report, const char *missing)
{
    const size_t *count = report->count;
    if (report->json) {
        json_t *all = json_pack("{s:I, s:o, s:I, s:I, s:I, s:s}", "seed", (json_int_t)report->seed, "rows",
                                report->rows, "passed", (json_int_t)count[PASSED], "failed", (json_int_t)count[FAILED],
                                "not_run", (json_int_t)count[NOT_RUN], "required_but_not_run", missing);
        if (report->timed)
            add_number(all, "copy_bytes_per_second", report->copy_rate);
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(all);
        return;
    }
    json_decref(report->rows);
    if (report->timed)
        printf("memory copy: %.2f GB/s, read plus written\n", report->copy_rate * 1e-9);
    if (missing[0] != '\0')
        printf("required, but not run: %s\n", missing);
    printf("%zu passed, %zu failed, %zu not run\n", count[PASSED], count[FAILED], count[NOT_RUN]);
}
