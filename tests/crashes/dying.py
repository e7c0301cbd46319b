"""A host that kills itself right after a transaction: `python -m tests.crashes.dying 17 start ...` after its 17th.

A kill at a random instant hardly ever falls between two transactions that follow each other at once, where a host that
did in two what belongs in one would lose or double something.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

from devhost.cli import main
from devhost.store import Store


def _die_after(number: int, original: Callable[..., AbstractContextManager[Any]]) -> Callable[..., Any]:
    numbers = count(1)

    @contextmanager
    def transaction(*arguments: Any, **named: Any) -> Iterator[Any]:
        with original(*arguments, **named) as tx:
            yield tx
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return transaction


if __name__ == "__main__":
    with patch.object(Store, "transaction", _die_after(int(sys.argv.pop(1)), Store.transaction)):
        sys.exit(main())
