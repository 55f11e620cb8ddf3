"""Real Kubernetes programs, built from their Go modules, for tests that compare with them or run on them."""
