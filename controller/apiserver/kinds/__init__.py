"""What is served: Kubernetes' own kinds as tables, and those of CustomResourceDefinitions."""
