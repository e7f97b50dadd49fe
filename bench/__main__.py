"""`python -m bench` compares minidl with another library."""

import sys

from bench.cli import main

sys.exit(main())
