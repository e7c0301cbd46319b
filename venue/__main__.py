"""Entry point; says so where the environment's packages are missing."""

import sys


def _run() -> int:
    try:
        from venue.cli import main
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        print(f"venue: the package {missing} is not installed: run `make setup` first", file=sys.stderr)
        return 2
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_run())
