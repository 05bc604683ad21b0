/* Built without CUDA: no launchers. */
#include "../check.h"

const struct check_op *const check_device_families[] = {NULL};
