"""`python -m bench.mutants [MODULE …]`: how many of cosmic-ray's mutants of the deciding modules the tests kill.

A mutant is a module in which one operator, number, condition, loop or decorator was changed. `mutants.toml` says which
modules are tried by which tests. Each mutant runs in a process of its own, forked from one that has imported the
libraries already, and is never on the disk. A change of annotations alone, and one that was made before in another way,
is no mutant.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import json
import os
import pickle
import random
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.machinery import SourceFileLoader
from itertools import count
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "exitprint"
SLOWER = 5
"""A mutant with which the tests take so many times as long, and `GRACE` seconds, is killed by the clock."""
GRACE = 10.0


class _Bare(ast.NodeTransformer):
    """Takes annotations and docstrings away."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def mutants(source: str) -> Iterator[str]:
    """Every mutant of a module's source, each once."""
    seen = {ast.dump(_Bare().visit(ast.parse(source)))}
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():
            continue
        for occurrence in count():
            mutant = mutate_code(source, operator(), occurrence)
            if mutant is None:
                break
            with suppress(SyntaxError):
                bare = ast.dump(_Bare().visit(ast.parse(mutant)))
                if bare not in seen:
                    seen.add(bare)
                    yield mutant


def changed(source: str, mutant: str) -> tuple[int, str, str]:
    """The number of the first line that differs, that line, and what it became."""
    before, after = source.splitlines(), mutant.splitlines()
    for _, low, high, begin, end in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if before[low:high] != after[begin:end]:
            return low + 1, " ".join(before[low:high]).strip(), " ".join(after[begin:end]).strip()
    raise AssertionError


def forked(work: Callable[[], int], limit: float) -> int | None:
    """The exit status of this work in another process; None if it did not end in so many seconds."""
    child = os.fork()
    if child == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        status = 70
        with suppress(BaseException):
            status = work()
        os._exit(status)
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def tested(tests: list[str], path: Path | None = None, source: str = "") -> int:
    """pytest's exit status for these tests, the module at `path` being of this source."""
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> object:
        return compile(source, str(path), "exec", dont_inherit=True) if self.path == str(path) else original(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
    import pytest
    from hypothesis import Phase, settings

    phases = (Phase.explicit, Phase.generate)  # a failure need not be made small
    settings.register_profile("mutants", deadline=None, derandomize=True, database=None, phases=phases)
    words = ["-x", "-q", "--assert=plain", "--hypothesis-profile=mutants"]
    for plugin in ("cacheprovider", "xdist", "unraisableexception"):
        words += ["-p", f"no:{plugin}"]
    return int(pytest.main([*words, *tests]))


def prepared(tests: list[str]) -> float:
    """Import what the tests import but our own; the seconds that they take, and they have to pass."""
    read, write = os.pipe()

    def scout() -> int:
        status = tested(tests)
        files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
        with os.fdopen(write, "wb") as pipe:
            pickle.dump([name for name, file in files.items() if "site-packages" in file], pipe)
        return status

    child = os.fork()
    if child == 0:
        os._exit(scout())
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        names = pickle.load(pipe)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"the tests fail without any mutant: {' '.join(tests)}")
    for name in names:
        with suppress(Exception):
            import_module(name)
    gc.freeze()
    start = time.monotonic()
    assert forked(lambda: tested(tests), 600) == 0
    return time.monotonic() - start


def tried(module: str, tests: list[str], sample: int, equivalent: dict[str, str]) -> dict[str, object]:
    """What became of a module's mutants."""
    path = PACKAGE / module
    source = path.read_text()
    every = list(mutants(source))
    chosen = every if len(every) <= sample else random.Random(0).sample(every, sample)
    limit = GRACE + SLOWER * prepared(tests)
    survivors, same = [], []
    for number, mutant in enumerate(chosen, 1):
        line, before, after = changed(source, mutant)
        if after in equivalent:
            same.append(after)
        elif forked(lambda mutant=mutant: tested(tests, path, mutant), limit) == 0:
            survivors.append(f"{line}: {before}  →  {after}")
            print(f"{module}:{survivors[-1]}", flush=True)
        if number % 50 == 0:
            print(f"{module}: {number} of {len(chosen)}", flush=True)
    judged = len(chosen) - len(same)
    return {
        "module": module,
        "mutants": len(every),
        "tried": len(chosen),
        "equivalent": len(same),
        "killed": judged - len(survivors),
        "share": round((judged - len(survivors)) / judged, 3) if judged else 1.0,
        "survivors": survivors,
    }


def main() -> None:
    """Try the named modules, or all, and print a row for each."""
    declared = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as evidence/betting.py; all by default")
    parser.add_argument("--sample", type=int, default=200, help="at most so many mutants of a module, by a seed")
    parser.add_argument("--out", type=Path, help="a file for the rows, as lines of JSON")
    words = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    for module in words.modules or declared["tests"]:
        row = tried(module, declared["tests"][module], words.sample, declared["equivalent"].get(module, {}))
        print(" | ".join(f"{name} {value}" for name, value in row.items() if name != "survivors"), flush=True)
        if words.out:
            with words.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
