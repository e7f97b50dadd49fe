"""Write the digests to a file; with another file, name the cases that differ from it."""

import json
import sys
from pathlib import Path

from tests.bits import digests, unreached


def main(path: str, other: str | None = None) -> int:
    found = digests()
    Path(path).write_text(json.dumps(found, indent=1) + "\n")
    for symbol in unreached():
        print(f"not reached: {symbol}")
    if other is None:
        print(f"{len(found)} cases")
        return 0
    before = json.loads(Path(other).read_text())
    wrong = [name for name in sorted(before | found) if before.get(name) != found.get(name)]
    print(f"{len(found)} cases, {len(wrong)} differ", *wrong, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
