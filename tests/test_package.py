from __future__ import annotations

import subprocess
import sys

import exitprint


def test_every_public_name_is_there():
    assert len(exitprint.__all__) > 30 and set(exitprint.__all__) <= set(dir(exitprint))
    for name in exitprint.__all__:
        assert getattr(exitprint, name).__doc__, name


def test_the_command_line_answers_before_torch_is_there():
    words = "import sys, exitprint.cli; print(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
