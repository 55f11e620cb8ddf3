"""Makes ``python -m controller`` run ``edge-controller``."""

from controller.cli.main import main

if __name__ == "__main__":
    main()
