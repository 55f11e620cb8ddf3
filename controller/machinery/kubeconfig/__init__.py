"""A program that resolves a kubeconfig or a service account; import nothing from it, see endpoint.py."""
