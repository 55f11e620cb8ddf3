"""HTTP: the listener, the filter chain, and the encoding of bodies and responses. Knows nothing about objects."""
