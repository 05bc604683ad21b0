#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_5 = {launch_window<5>, launch_panel<5>};
