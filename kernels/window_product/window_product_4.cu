#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_4 = {launch_window<4>, launch_panel<4>};
