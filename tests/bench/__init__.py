"""Benchmarks of the whole controller compared with raw Docker calls in the same run (``make bench``)."""
