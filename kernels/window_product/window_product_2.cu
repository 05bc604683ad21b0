#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_2 = {launch_window<2>, launch_panel<2>};
