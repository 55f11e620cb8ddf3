"""Tests of the host's interfaces, changes and assigned addresses."""
