"""Serial devices: what is found, what changes, and nodes in containers."""
