"""Real Kubernetes programs, built from their Go modules, for suites that compare with them or run on them."""
