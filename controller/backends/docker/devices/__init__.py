"""Serial ports inside a container, and the cgroup rules that allow them."""
