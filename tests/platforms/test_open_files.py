"""How many open files a server may have."""

import subprocess
import sys

import pytest

_CODE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
from licet.platforms.processes import open_files_max
print(open_files_max(50), open_files_max(150), resource.getrlimit(resource.RLIMIT_NOFILE))
print(open_files_max(1000))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    """Systems begin with few, for old programs; only an administrator may allow more than the hard limit."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "50 150 (150, 200)\n200\n"
