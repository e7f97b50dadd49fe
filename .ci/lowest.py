"""Print the requirements of pyproject.toml, each at the lowest version that it allows.

python .ci/lowest.py            the dependencies
python .ci/lowest.py plots …    and those of these extras
"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).with_name("..").joinpath("pyproject.toml").read_text())
project = project["project"]
extras = [project["optional-dependencies"][name] for name in sys.argv[1:]]
for requirement in sum(extras, project["dependencies"]):
    lowest = re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement)
    if lowest is None:
        sys.exit(f"{requirement}: needs a lowest version, name>=version")
    print("{}=={}".format(*lowest.groups()))
