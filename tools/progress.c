/* Progress on stderr: one line that renews itself on a terminal, a plain line now and then elsewhere. */
#include "devices.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static const double terminal_interval = 0.1, plain_interval = 10;

/* The program has one run: its state may be the program's. */
static volatile sig_atomic_t stop_signalled;
static struct {
    double shown, devices_shown; /* when, in the run's seconds */
    bool quiet, terminal, line_open;
    const hc_context *devices; /* whose are to be told of; NULL: nobody's */
} view;

static void ask_stop(int signal_number)
{
    (void)signal_number;
    stop_signalled = 1;
}

/* The files are mapped into memory: a page that is not there any more, as the file was cut or its disk fails, is a
 * signal. Only functions that a handler may call. */
static void end_at_fault(int signal_number)
{
    static const char message[] = "hyperc: a file changed or could not be read while it was in use\n";
    static atomic_flag told = ATOMIC_FLAG_INIT;
    (void)signal_number;
    while (atomic_flag_test_and_set(&told))
        pause(); /* another thread is at it */
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written; /* nothing more can be said */
    _exit(EXIT_FAILED);
}

const char *human_time(double seconds, char buffer[16])
{
    if (!isfinite(seconds) || seconds > 359999)
        snprintf(buffer, 16, "?");
    else if (seconds >= 3600)
        snprintf(buffer, 16, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60, (int)seconds % 60);
    else
        snprintf(buffer, 16, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
    return buffer;
}

static bool due(double seconds)
{
    double interval = view.terminal ? terminal_interval : plain_interval;
    if (view.quiet || seconds - view.shown < interval)
        return false;
    view.shown = seconds;
    return true;
}

bool progress_due(const struct common_options *common, double seconds)
{
    view.quiet = common->quiet || program_rank() > 0;
    view.terminal = isatty(STDERR_FILENO);
    return due(seconds);
}

void progress_line(const char *text)
{
    fprintf(stderr, "%s%s%s", view.terminal ? "\r" : "", text, view.terminal ? "\x1b[K" : "\n");
    fflush(stderr);
    view.line_open = view.terminal;
}

static void show(const hc_progress *progress)
{
    uint64_t own = progress->weights_done - progress->weights_resumed;
    double rate = progress->seconds > 0 ? (double)own / progress->seconds : 0;
    double left = (double)(progress->weights_total - progress->weights_done) / rate;
    double share =
        progress->weights_total ? 100 * (double)progress->weights_done / (double)progress->weights_total : 100;
    char time[16], text[160];
    if (progress->tensors_total == 0)
        snprintf(text, sizeof text, "%.1f %%, %.0f tokens/s, %s left", share, rate, human_time(left, time));
    else
        snprintf(text, sizeof text, "%llu of %llu tensors, %.1f %%, %.1f million weights/s, %s left",
                 (unsigned long long)progress->tensors_done, (unsigned long long)progress->tensors_total, share,
                 rate / 1e6, human_time(left, time));
    progress_line(text);
}

static bool on_progress(const hc_progress *progress, void *user)
{
    (void)user;
    if (due(progress->seconds))
        show(progress);
    if (view.devices && !view.quiet && progress->seconds - view.devices_shown >= plain_interval) {
        view.devices_shown = progress->seconds;
        end_progress();
        print_devices(stderr, view.devices);
    }
    return !stop_signalled;
}

void end_progress(void)
{
    if (view.line_open)
        fputs("\r\x1b[K", stderr);
    view.line_open = false;
}

void watch_devices(const hc_context *context)
{
    view.devices = context;
}

static void on_signal(int signal_number, void (*handler)(int), unsigned flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)flags};
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

void catch_stop(void)
{
    stop_signalled = 0;
    on_signal(SIGINT, ask_stop, SA_RESETHAND | SA_RESTART);
    on_signal(SIGTERM, ask_stop, SA_RESETHAND | SA_RESTART);
}

void release_stop(void)
{
    on_signal(SIGINT, SIG_DFL, 0);
    on_signal(SIGTERM, SIG_DFL, 0);
}

bool stop_asked(void)
{
    return stop_signalled;
}

static hc_status make_context(const struct common_options *common, hc_progress_fn progress, hc_context **context)
{
    hc_context_options options;
    hc_context_options_init(&options);
    options.threads = common->threads;
    options.tier = common->tier;
    options.device = common->device;
    options.speeds = common->speeds;
    options.speed_count = common->speed_count;
    options.split = common->split;
    options.device_layers = common->device_layers;
    options.ranks = true;
    options.timeout = common->timeout;
    options.progress = progress;
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its write, with a message */
    on_signal(SIGBUS, end_at_fault, 0);
    hc_status status = hc_context_create(context, &options);
    if (*context)
        set_rank(hc_context_rank(*context), hc_context_ranks(*context));
    view.quiet = view.quiet || program_rank() > 0;
    bool refused = status == HC_OK && !common->over_ranks && hc_context_ranks(*context) > 1;
    return refused ? HC_ERR_UNSUPPORTED : status;
}

hc_status open_context(const struct common_options *common, hc_context **context)
{
    view.quiet = common->quiet;
    view.terminal = isatty(STDERR_FILENO);
    catch_stop(); /* the first signal ends the run in good order, a second one at once */
    return make_context(common, on_progress, context);
}

hc_status open_plain_context(const struct common_options *common, hc_context **context)
{
    return make_context(common, NULL, context);
}
