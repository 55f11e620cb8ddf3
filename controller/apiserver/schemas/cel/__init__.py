"""The Common Expression Language as Kubernetes speaks it: parsed, and evaluated at a counted cost. Pure."""
