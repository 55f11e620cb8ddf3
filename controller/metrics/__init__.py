"""What this host and its runtimes use, now and over the last 48 hours, and the port where it is shown.

Nothing here may ask the Docker engine for figures (``docker stats`` costs a hundred times more than the files it
reads) and nothing may delay the event loop: every file is read and written in threads of this package.
"""
