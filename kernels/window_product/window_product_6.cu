#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_6 = {launch_window<6>, launch_panel<6>};
