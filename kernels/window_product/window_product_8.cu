#include "window_product/window_kernels.cuh"

const struct window_launchers hc_window_8 = {launch_window<8>, launch_panel<8>};
