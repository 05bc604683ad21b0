#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_3 = {launch_window<3>, launch_panel<3>};
