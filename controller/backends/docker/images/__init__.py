"""Images: resolve, pull, pin."""
