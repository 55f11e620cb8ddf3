"""The composition root: builds every object with explicit arguments, starts them in order and stops them in reverse.

No logic of the product lives here, and nothing else may import it but the command line.
"""
