"""Runtimes as containers of a Docker engine, API 1.40 (20.10) to 1.56 (29).

The only place that knows Docker. It observes and executes steps; what to do is decided by the plan.
"""
