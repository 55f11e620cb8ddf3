"""Resource usage of this host and its runtimes, now and over the last 48 hours, and the port that serves it.

Nothing here may ask the Docker engine for usage (``docker stats`` costs a hundred times more than reading the cgroup
files directly), and nothing may block the event loop: all file access happens in threads of this package.
"""
