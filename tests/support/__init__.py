"""Helpers shared by tests, demonstration and benchmark: a private Docker engine, a LAN, images, a registry.

This module imports nothing of the product, and the product imports nothing from here.
"""
