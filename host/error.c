#include "error.h"

#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names come from files: nothing of them may steer a terminal or break the line. What is not UTF-8, such as a character
 * that was cut to fit, could not be told as JSON. */
static void make_printable(char *text)
{
    for (uint8_t *p = (uint8_t *)text; *p;) {
        size_t bytes = hc_utf8_bytes((char *)p);
        bool control = p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
        if (bytes == 0 || control)
            *p++ = '?'; /* the second byte of a control character alone is none */
        else
            p += bytes;
    }
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

hc_status hc_no_memory(struct hc_error *error)
{
    return hc_fail(error, HC_ERR_MEMORY, "out of memory");
}
