"""The stand-in has the names, signatures and dtypes of the real package."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from tests.cuda.stand_in import pin


def installed():
    for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return None


@pytest.mark.skipif(installed() != pin.load()["version"], reason="needs CuPy as it was pinned")
def test_pins_are_those_of_the_real_package():
    code = "import json; from tests.cuda.stand_in import pin; print(json.dumps(pin.read()))"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(process.stdout) == pin.load()
