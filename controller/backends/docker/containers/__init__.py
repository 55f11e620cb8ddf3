"""The containers of runtimes: create, start, stop, replace, observe, log, purge."""
