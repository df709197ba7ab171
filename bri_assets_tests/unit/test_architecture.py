"""The house: imports go one way, no room grows too large, and nothing in the package knows what a test expects."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bri_assets_tests.commands import ROOT

PACKAGE = sorted((ROOT / "bri_assets").rglob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in PACKAGE]


def test_imports_go_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PACKAGE, ids=NAMES)
def test_no_file_is_too_long_and_each_says_what_belongs_there(path: Path) -> None:
    text = path.read_text()
    if "migrations/versions" not in path.as_posix():
        assert len(text.splitlines()) <= 320
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", PACKAGE, ids=NAMES)
def test_nothing_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not all(isinstance(part, ast.Pass) for part in node.body), f"line {node.lineno}: an error is dropped"


def test_no_word_or_object_that_a_test_expects_stands_in_the_package() -> None:
    reading = "dashwood prudently disposed amiable respectable astronaut"
    found = {
        (path.name, word)
        for path in PACKAGE
        for word in reading.split()
        if re.search(rf"\b{word}\b", path.read_text(), re.IGNORECASE)
    }
    assert found == set()


def test_the_package_names_no_path_of_a_machine() -> None:
    pattern = re.compile(r"[\"'](/home/|/root/|/work/|/tmp/)")
    assert [path.name for path in PACKAGE if pattern.search(path.read_text())] == []


def test_nothing_in_the_package_changes_or_removes_what_the_audit_log_says() -> None:
    pattern = re.compile(r"(update|delete\s+from|truncate|drop\s+table|insert\s+or\s+replace\s+into)\s+audit_log", re.I)
    found = [path.name for path in PACKAGE if pattern.search(path.read_text())]
    # The first migration's way back removes every table there is.
    assert found == []
