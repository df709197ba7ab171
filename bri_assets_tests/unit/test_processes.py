"""Whether a process that left its name still lives."""

from __future__ import annotations

import subprocess
import sys

import psutil

from bri_assets.processes import is_gone, name_of


def test_a_process_is_gone_when_it_has_ended_and_not_before() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(psutil.Process(child.pid))
    assert not is_gone(name)
    child.kill()
    child.wait()
    assert is_gone(name)


def test_a_number_that_was_given_to_another_process_is_not_mistaken_for_the_first() -> None:
    host, pid, _ = name_of().rsplit(":", 2)
    assert is_gone(f"{host}:{pid}:1.00")


def test_nothing_is_known_of_another_host() -> None:
    assert not is_gone("elsewhere:1:1.00")
