#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names come from files: nothing of them may steer a terminal or break the line. */
static void make_printable(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

hc_status hc_fail(struct hc_error *error, hc_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        make_printable(error->text);
    }
    return status;
}

hc_status hc_fail_errno(struct hc_error *error, const char *format, ...)
{
    int code = errno;
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        size_t length = strlen(error->text);
        snprintf(error->text + length, sizeof error->text - length, ": %s", strerror(code));
        make_printable(error->text);
    }
    return code == ENOMEM ? HC_ERR_MEMORY : HC_ERR_IO;
}
