"""Tests of usage readings, history, archive, the HTTP port and the liveness of loops."""
