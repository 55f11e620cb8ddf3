"""Tests of the kinds, their CRDs and the manifests."""
