"""minidl data: list and fetch datasets."""

import argparse
from typing import Any

from minidl.data.catalog import catalog, fetch


def add_to(commands: Any) -> None:
    """Add the actions `list` and `fetch`."""
    parser = commands.add_parser(
        "data",
        help="list or download datasets",
        description="List the available datasets, or download some into the data folder, which "
        "the environment variable MINIDL_DATA names.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list every dataset, and whether it is downloaded")
    listing.set_defaults(run=show)
    fetching = actions.add_parser(
        "fetch", help="download datasets that are missing, and verify all"
    )
    fetching.add_argument(
        "names", nargs="+", metavar="NAME", help="a name that `minidl data list` shows"
    )
    fetching.set_defaults(run=fetch_all)


def show(_: argparse.Namespace) -> int:
    """Print a table of the datasets."""
    from rich.console import Console
    from rich.table import Table

    table = Table("data", "samples", "size", "licence", "here", "from")
    for entry in catalog():
        here = str(entry.folder) if entry.here else "no"
        size = _size(entry.size)
        sources = "\n".join(entry.sources)
        samples = f"{entry.samples:,} {entry.kind}"
        table.add_row(entry.name, samples, size, entry.licence, here, sources)
    console = Console()
    if not console.is_terminal:  # a file or a pipe: lines may be long
        console = Console(width=200)
    console.print(table)
    return 0


def fetch_all(options: argparse.Namespace) -> int:
    """Fetch the datasets one after another, each with a progress bar."""
    for entry in fetch(options.names):
        print(f"{entry.name}: {_size(entry.size)} in {entry.folder}")
    return 0


def _size(count: int) -> str:
    """A number of bytes in kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
