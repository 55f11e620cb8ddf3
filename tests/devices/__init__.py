"""Serial devices, their changes, and device nodes in containers."""
