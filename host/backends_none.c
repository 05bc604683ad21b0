/* The devices of a build without any but the CPU. */
#include "backend.h"

const struct hc_backend hc_backends[] = {{NULL, NULL, NULL, NULL}};
