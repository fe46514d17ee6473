"""`python -m syncstring` is `syncstring`."""

from __future__ import annotations

import sys

from syncstring.cli import main

if __name__ == "__main__":
    sys.exit(main())
