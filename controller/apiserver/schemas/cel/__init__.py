"""The Common Expression Language as in Kubernetes: parser and cost-counting evaluation. Pure."""
