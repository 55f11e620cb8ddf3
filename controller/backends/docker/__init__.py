"""Runtimes as containers of a Docker engine, API 1.40 (20.10) to 1.56 (29).

The only package that knows Docker. It observes and executes steps; the plan decides which.
"""
