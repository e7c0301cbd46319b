"""What the app does on several threads at once when it has just started."""

import os
import subprocess
import sys

from tests.app.conftest import ROOT, local_settings

_PROGRAM = """
import sys, threading
import function_app
from orchestrators.order import Progress
from trading.messages import Placement, decoded

sys.setswitchinterval(1e-6)
spec = {"type": "single", "order_id": "a", "symbol": "A", "side": "buy", "quantity": "1", "limit_price": "1"}
together = threading.Barrier(8)

def orchestrate():
    together.wait()
    for _ in range(3):
        decoded({"type": "placement", "spec": spec}, Placement | Progress)

threads = [threading.Thread(target=orchestrate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_orders_of_a_process_may_come_on_several_threads() -> None:
    """Without `prepare` most of these processes end with a segmentation fault."""
    environment = {**os.environ, **local_settings()}
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, env=environment, check=False)
        assert ended.returncode == 0
