"""Places serial ports inside containers, and builds the cgroup rules that allow them."""
