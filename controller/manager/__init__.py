"""The composition root: builds every object with explicit arguments, starts them in order and stops them in reverse.

It contains no business logic, and only the command line may import it.
"""
