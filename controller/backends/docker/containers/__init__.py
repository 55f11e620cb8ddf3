"""Creates, starts, stops, replaces, observes and purges the containers of runtimes."""
