"""`python -m gaia`: the command line."""

import sys

from gaia.cli import main

if __name__ == "__main__":
    sys.exit(main())
