"""What the Jobs of the Helm chart do with a cluster's Runtimes; nothing of it runs in the service."""
