#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_1 = {launch_window<1>, launch_panel<1>};
