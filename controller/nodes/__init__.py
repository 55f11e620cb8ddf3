"""One host as a node: answers the cloud's queries about it and writes its EdgeNode. Decides nothing about runtimes."""
