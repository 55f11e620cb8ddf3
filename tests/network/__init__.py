"""The host's network, as interfaces and their changes show it."""
