"""Where runtimes run. Each backend is one package that satisfies protocol.Backend and passes the shared suite.

Backends never import the cloud; they know Runtimes only as base.Target.
"""
