"""What only other clients of Kubernetes and its own conformance tests need of the API, not this product.

The server hands it over (see registration); nothing else imports it.
"""
