"""Print the requirements of pyproject.toml: of minidl itself, and of extras of it.

python .ci/requirements.py plots …              the dependencies, and those of these extras
python .ci/requirements.py --lowest plots …     each at the lowest version that is allowed
python .ci/requirements.py --extras proofs …    the extras alone
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--lowest", action="store_true")
parser.add_argument("--extras", action="store_true")
parser.add_argument("names", nargs="*")
given = parser.parse_args()

project = tomllib.loads(Path(__file__).with_name("..").joinpath("pyproject.toml").read_text())
project = project["project"]
own = [] if given.extras else project["dependencies"]
for requirement in sum((project["optional-dependencies"][name] for name in given.names), own):
    lowest = re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement)
    if given.lowest and lowest is None:
        sys.exit(f"{requirement}: needs a lowest version, name>=version")
    print("{}=={}".format(*lowest.groups()) if given.lowest else requirement)
