"""The example in docs/replay.md is a test file that passes."""

import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "replay.md"


async def test_the_example_of_the_test_environment_passes() -> None:
    section = DOCUMENT.read_text().partition("## A test environment that skips time\n")[2]
    example = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert example is not None
    module: dict[str, Any] = {"__name__": "example"}
    exec(compile(example[1], str(DOCUMENT), "exec"), module)
    tests = [test for name, test in module.items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        await test()
