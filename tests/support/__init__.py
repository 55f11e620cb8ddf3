"""What tests, the demonstration and the benchmark share: a private Docker engine, a LAN, images, a registry.

Nothing of the product is imported here, and nothing here is imported by the product.
"""
