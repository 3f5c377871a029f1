"""Training on two devices, which gives the weights of training on one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("several_devices.py")


@pytest.mark.slow
def test_two_devices_train_the_weights_of_one():
    ended = subprocess.run(
        [sys.executable, PROGRAM], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    apart = json.loads(ended.stdout)
    assert len(apart) >= 4
    # Sums over two halves of a batch round otherwise than over the whole. Layer
    # normalization of nearly equal units enlarges that.
    for name, difference in apart.items():
        assert difference < (1e-4 if name.startswith("loop") else 1e-6), name
