"""`python -m bench.mutants [MODULE …]`: how many of cosmic-ray's mutants of the deciding modules the tests kill.

A mutant is a module in which one operator, number, condition, loop or decorator was changed. `mutants.toml` says which
modules are tried by which tests. pytest collects a module's tests once. Then each mutant has a process of its own, in
which the module is executed anew in its place, and the tests run until one fails. A change of annotations alone, and
one that was made before in another way, is no mutant.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import json
import os
import random
import signal
import sys
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "exitprint"
SLOWER = 5
"""A mutant with which the tests take so many times as long, and `GRACE` seconds, is killed by the clock."""
GRACE = 20.0
EXAMPLES = 30
"""Of a property test that does not say itself how many it wants: fewer than in `make test`, to save time."""


def changes(source: str) -> list[tuple[str, int]]:
    """Every operator of cosmic-ray with the number of each place where it changes the code, annotations left out."""
    hints = [node for node in ast.walk(ast.parse(source)) for node in (_hint(node),) if node is not None]
    found = []
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():
            continue
        places = (start for node in ast_nodes(get_ast(source)) for start, _ in operator().mutation_positions(node))
        found += [(name, number) for number, start in enumerate(places) if not any(_within(start, h) for h in hints)]
    return found


def _hint(node: ast.AST) -> ast.expr | None:
    return node.returns if isinstance(node, ast.FunctionDef) else getattr(node, "annotation", None)


def _within(start: tuple[int, int], node: ast.expr) -> bool:
    return (node.lineno, node.col_offset) <= start < (node.end_lineno or 0, node.end_col_offset or 0)


def mutants(source: str, sample: int) -> Iterator[str]:
    """Mutants of a module's source, as many as wanted, each once and in a random order that is always the same.

    What does not compile is none, nor what Python warns of (`is` with a literal).
    """
    seen = {ast.dump(ast.parse(source))}
    every = changes(source)
    for name, number in random.Random(0).sample(every, len(every)):
        mutant = mutate_code(source, get_operator(name)(), number)
        with suppress(SyntaxError, SyntaxWarning), warnings.catch_warnings(action="error"):
            compile(mutant, "mutant", "exec")
            meant = ast.dump(ast.parse(mutant))
            if meant not in seen:
                seen.add(meant)
                yield mutant
        if len(seen) > sample:
            return


def changed(source: str, mutant: str) -> str:
    """The number of the first line that differs, that line, and what it became."""
    before, after = source.splitlines(), mutant.splitlines()
    for _, low, high, begin, end in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if before[low:high] != after[begin:end]:
            return f"{low + 1}: {' '.join(before[low:high]).strip()}  →  {' '.join(after[begin:end]).strip()}"
    raise AssertionError


def executed_anew(name: str, path: Path, source: str) -> None:
    """Put another source into a module that others have imported already: its old functions and classes change too."""
    module = sys.modules[name]
    space = vars(module)
    old = {key: value for key, value in space.items() if not key.startswith("__")}
    exec(compile(source, str(path), "exec", dont_inherit=True), space)
    for key, before in old.items():
        after = space[key]
        if isinstance(before, type) and before.__module__ == name:
            for part in set(vars(before)) - set(vars(after)):
                delattr(before, part)
            for part, value in vars(after).items():
                if part not in ("__dict__", "__weakref__", "__doc__", "__module__"):
                    setattr(before, part, value)
            space[key] = before
        elif isinstance(before, FunctionType) and before.__module__ == name and isinstance(after, FunctionType):
            before.__defaults__, before.__kwdefaults__ = after.__defaults__, after.__kwdefaults__
            with suppress(ValueError):  # it has other free variables than before
                before.__code__ = after.__code__
    for other in list(sys.modules.values()):
        if other is not module and (getattr(other, "__file__", None) or "").startswith(str(ROOT)):
            for key, value in list(vars(other).items()):
                if key in old and value is old[key]:
                    setattr(other, key, space[key])


def forked(work: Callable[[], int], limit: float) -> int | None:
    """The exit status of this work in another process; None if it did not end in so many seconds."""
    child = os.fork()
    if child == 0:
        os.setsid()
        status = 70
        with suppress(BaseException):
            status = work()
        os._exit(status)
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Trial:
    """A plugin of pytest that runs the collected tests once for every mutant, instead of once.

    Parameters
    ----------
    module
        Such as ``evidence/betting.py``.
    sample
        The most mutants.
    known
        What is known of it from before; mutants that were killed are not tried again.
    keep
        Told of the fate of each mutant that is tried: ``killed`` or ``survived``.
    """

    def __init__(self, module: str, sample: int, known: dict[str, str], keep: Callable[[str, str], None]) -> None:
        self.module, self.sample, self.known, self.keep = module, sample, known, keep

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the mutants."""
        path = PACKAGE / self.module
        name, original = ".".join(Path("exitprint", self.module).with_suffix("").parts), path.read_text()

        def tested(source: str) -> int:
            executed_anew(name, path, source)
            for item, following in zip(session.items, [*session.items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    return 1
            return 0

        gc.freeze()
        start = time.monotonic()
        if forked(lambda: tested(original), 900) != 0:
            raise pytest.UsageError(f"the tests of {self.module} fail without any mutant")
        limit = GRACE + SLOWER * (time.monotonic() - start)
        for mutant in mutants(original, self.sample):
            text = changed(original, mutant)
            if self.known.get(text) != "killed":
                self.keep(text, "killed" if forked(lambda m=mutant: tested(m), limit) != 0 else "survived")
        return True


def main() -> None:
    """Try the named modules, or all, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as evidence/betting.py; all by default")
    parser.add_argument("--sample", type=int, default=100, help="at most so many mutants of a module, by a seed")
    parser.add_argument("--fates", type=Path, help="a file that keeps what became of each, so that a run can go on")
    words = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    import_module("exitprint.cli")  # once for all: whatever is forked has it then
    declared = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    for module in words.modules or declared["tests"]:
        equivalent = declared["equivalent"].get(module, {})
        if forked(lambda m=module, e=equivalent: _row(m, declared["tests"][m], e, words.sample, words.fates), 1e6) != 0:
            sys.exit(f"{module}: the tests could not be run")


def _is_named(text: str, equivalent: dict[str, str]) -> bool:
    """Whether a mutant is named as equivalent: by the beginning of the line that was changed or of what it became."""
    lines = text.split(": ", 1)[1].split("  →  ")
    return any(line.startswith(name) for line in lines for name in equivalent)


def _row(module: str, tests: list[str], equivalent: dict[str, str], sample: int, file: Path | None) -> int:
    source = (PACKAGE / module).read_text()
    all_fates = json.loads(file.read_text()) if file and file.exists() else {}
    fates = all_fates.setdefault(f"{module} {sha256(source.encode()).hexdigest()[:12]}", {})

    def keep(text: str, fate: str) -> None:
        fates[text] = fate
        if file:
            file.write_text(json.dumps(all_fates, indent=1, ensure_ascii=False))

    phases = (Phase.explicit, Phase.generate)  # a failure need not be made small
    settings.register_profile(
        "mutants", deadline=None, derandomize=True, database=None, phases=phases, max_examples=EXAMPLES
    )
    options = ["-q", "--assert=plain", "--hypothesis-profile=mutants", "-p", "no:cacheprovider", "-p", "no:xdist"]
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing):
        status = pytest.main([*options, *tests], plugins=[Trial(module, sample, fates, keep)])
    survivors = [text for text, fate in fates.items() if fate == "survived"]
    same = [text for text in survivors if _is_named(text, equivalent)]
    for text in survivors:
        print(f"{module}:{text}" + "  (equivalent)" * (text in same))
    judged, killed = len(fates) - len(same), len(fates) - len(survivors)
    print(
        f"{module}: {len(changes(source))} changes, {len(fates)} tried, {len(same)} equivalent, {killed} killed, "
        f"{killed / max(judged, 1):.0%}",
        flush=True,
    )
    return int(status not in (0, 5))


if __name__ == "__main__":
    main()
