/* How a failure travels inside the library: a status as the return value, one line of text beside it. */
#ifndef HC_HOST_ERROR_H
#define HC_HOST_ERROR_H

#include <hyperc/hyperc.h>

struct hc_error {
    char text[1024];
};

/* Writes the line (cut to fit; control characters and what is not UTF-8 become '?') and returns `status`, so that
 * `return hc_fail(...)` reads well. `error` may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
hc_status
hc_fail(struct hc_error *error, hc_status status, const char *format, ...);

/* The same for a failed system call: appends ": " and the text of errno. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
hc_status
hc_fail_errno(struct hc_error *error, const char *format, ...);

/* The failure that is everywhere. */
hc_status hc_no_memory(struct hc_error *error);

/* Relays a failure from the middle of a function that ends in one `done:` label. */
#define HC_TRY(call)                                                                                                   \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status != HC_OK)                                                                                           \
            goto done;                                                                                                 \
    } while (0)

#endif
