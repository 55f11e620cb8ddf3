"""What each message of the cloud must look like, as pydantic models, and every fault of one that does not.

No I/O, no knowledge of what a command does. Nothing here may import anything of ours but names and errors.
"""
