"""Whether commands and Python that are not run could be: options known, names there."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator

import typer

from exitprint.cli.verbs import app

ENDS = {"|", "||", "&&", "&", ";", ">", ">>", "<", "<<", "(", ")"}
ASSIGNMENT = re.compile(r"^(?:export )?([A-Za-z_]+)=(\"[^\"]*\"|'[^']*'|\S*)", re.M)


def check_commands(code: str) -> None:
    """Bash can read it, and `exitprint` knows every verb, option and choice in it.

    Raises
    ------
    AssertionError
        If not.
    """
    read = subprocess.run(["bash", "-n", "-c", code], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    for arguments in commands(code):
        check_command(arguments)


def check_command(arguments: list[str]) -> None:
    """`exitprint ARGUMENTS` parses."""
    verb, *rest = arguments
    verbs = typer.main.get_command(app).commands
    assert verb in verbs or arguments == ["--help"], f"there is no verb {verb!r}"
    if verb in verbs and "--help" not in rest:
        try:
            verbs[verb].make_context(verb, rest)
        except Exception as error:
            raise AssertionError(f"exitprint {shlex.join(arguments)}: {error}") from error


def commands(code: str) -> Iterator[list[str]]:
    """The arguments of every call of `exitprint`, the block's own variables put in."""
    variables = {name: value.strip("\"'") for name, value in re.findall(ASSIGNMENT, code)}
    variables |= {name: value.strip("\"'") for name, value in re.findall(r"\s(\w+)=(\"[^\"]*\")", code)}
    joined = re.sub(r"\\\n\s*", " ", code)
    for line in joined.splitlines():
        line = re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], found[1]), line)
        reader = shlex.shlex(line, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        words = list(reader)
        while "exitprint" in words:
            words = words[words.index("exitprint") + 1 :]
            end = next((i for i, word in enumerate(words) if word in ENDS), len(words))
            yield words[:end]
            words = words[end:]


def check_python(code: str) -> None:
    """It compiles, and all that it takes from exitprint is there.

    Raises
    ------
    AssertionError
        If a name is not.
    """
    tree = ast.parse(code)
    short: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            short |= {each.asname or each.name: each.name for each in node.names if each.name.startswith("exitprint")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("exitprint"):
            for each in node.names:
                _check_name(str(node.module), each.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in short:
            _check_name(short[node.value.id], node.attr)


def _check_name(module: str, wanted: str) -> None:
    if not hasattr(importlib.import_module(module), wanted):
        try:
            importlib.import_module(f"{module}.{wanted}")
        except ImportError as error:
            raise AssertionError(f"{module} has no {wanted}") from error
