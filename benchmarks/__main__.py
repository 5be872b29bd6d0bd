"""`python -m benchmarks [name…] [--scale small|full]`."""

from __future__ import annotations

import argparse
import importlib

from benchmarks import NAMES, page


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="name", help=", ".join(NAMES))
    parser.add_argument("--scale", choices=("tiny", "small", "full"), default="small")
    arguments = parser.parse_args()
    for name in arguments.names:
        print(f"{name} ({arguments.scale})")
        importlib.import_module(f"benchmarks.{name}").main(arguments.scale)
    page.write()


if __name__ == "__main__":
    main()
