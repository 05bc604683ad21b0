#include "devices.h"

#include <inttypes.h>

/* What follows from a report. Not finite where there was nothing. */
struct device_figures {
    double share, speed, waited; /* of all weights, 0 to 1; weights per second of work; of the time, 0 to 1 */
};

static uint64_t weights_of_all(const hc_context *context)
{
    hc_device_report report;
    uint64_t weights = 0;
    for (size_t i = 0; hc_context_device_report(context, i, &report) == HC_OK; i++)
        weights += report.weights;
    return weights;
}

static struct device_figures figures_of(const hc_device_report *report, uint64_t all)
{
    double weights = (double)report->weights, idle = report->seconds - report->busy;
    return (struct device_figures){weights / (double)all, weights / report->busy,
                                   idle > 0 ? idle / report->seconds : 0};
}

void print_devices(FILE *out, const hc_context *context)
{
    uint64_t all = weights_of_all(context);
    hc_device_report report;
    bool ranks = hc_context_ranks(context) > 1;
    fprintf(out, "%s%-10s %15s %7s %18s %7s\n", ranks ? "rank  " : "", "device", "weights", "share",
            "million weights/s", "waited");
    for (size_t i = 0; hc_context_device_report(context, i, &report) == HC_OK; i++) {
        struct device_figures figures = figures_of(&report, all);
        if (ranks)
            fprintf(out, "%4d  ", report.rank);
        fprintf(out, "%-10s %15" PRIu64, report.name, report.weights);
        if (report.weights > 0)
            fprintf(out, " %5.1f %% %18.3f", 100 * figures.share, figures.speed / 1e6);
        else
            fprintf(out, " %7s %18s", "-", "-");
        fprintf(out, " %5.1f %%\n", 100 * figures.waited);
    }
    fflush(out);
}

json_t *devices_json(const hc_context *context)
{
    uint64_t all = weights_of_all(context);
    hc_device_report report;
    json_t *list = json_array();
    for (size_t i = 0; hc_context_device_report(context, i, &report) == HC_OK; i++) {
        struct device_figures figures = figures_of(&report, all);
        json_append(&list, json_pack("{s:o, s:i, s:I, s:o, s:o, s:f, s:f, s:f}", "name", json_text(report.name), "rank",
                                     report.rank, "weights", (json_int_t)report.weights, "share",
                                     json_figure(figures.share), "weights_per_second", json_figure(figures.speed),
                                     "busy_seconds", report.busy, "seconds", report.seconds, "waited", figures.waited));
    }
    return list;
}
