"""The command line. Each group of commands has one module, imported only when one of its commands is called."""
