"""Entry point; says so where the environment's packages are missing."""

import sys


def _run() -> int:
    try:
        from replay.cli import main
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        print(f"replay: the package {missing} is not installed: run `make setup` first", file=sys.stderr)
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(_run())
