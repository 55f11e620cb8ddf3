"""Benchmarks of the whole controller beside raw Docker calls, in one run on one machine (``make bench``)."""
