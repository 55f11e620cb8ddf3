"""``make run``: demonstrates the controller on this machine, and removes everything afterwards."""
