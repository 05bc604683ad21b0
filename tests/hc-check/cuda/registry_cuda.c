/* The families of launchers. A new one is a file check_cuda_<family>.c, a name here and a row. */
#include "../check.h"

const struct check_op *const check_device_families[] = {
    NULL,
};
