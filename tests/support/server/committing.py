"""The committing process of a `RunningServer`, as a program of its own, which imports its modules.

`python committing.py commit FD`, as `licet.lanes.process_main`, but by the clock of the test.
"""

import os
from pathlib import Path

from licet.clock import SystemClock
from licet.lanes import process_main
from licet.testing.shared_memory import Switches

if __name__ == "__main__":
    clock = Switches(Path(os.environ["LICET_DATA"])).clock
    process_main.run(clock if clock.is_set else SystemClock())
