"""One host as a node: what the cloud's commands ask of it, and its EdgeNode. Decides nothing about runtimes."""
