"""What the host and its runtimes use: readings, history, archive, the port; and the health of the loops."""
