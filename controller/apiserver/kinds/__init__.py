"""The served kinds: Kubernetes' own, declared in tables, and those of CustomResourceDefinitions."""
