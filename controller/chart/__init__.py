"""What the Jobs of the Helm chart run: checks of the installation and cleanup of Runtimes. Not part of the service."""
