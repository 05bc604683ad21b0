/* The devices of a build without any accelerator: none. */
#include "engine.h"

const struct hc_backend hc_backends[] = {{NULL, NULL}};
