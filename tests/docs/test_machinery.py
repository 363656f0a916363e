"""What runs the pages notices what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pages import Block, _blocks
from parsing import check_commands, check_python, commands
from shell import run

from exitprint.networks import MultiExitNetwork, architecture
from exitprint.training import recipe
from remembered import remembered, trained_once

PAGE = """
# A page

<!-- not run: needs a GPU -->
```bash
exitprint train --out a.safetensors
```

<!-- exits with: 1 or 3 -->
<!-- prints: yes or no -->
```console
$ echo yes
yes
$ false
```

```text
exitprint is not run here
```

```python title="mine.py"
answer = 42
```

```
exitprint info a.safetensors
```
"""


def block(
    language: str, code: str, codes: tuple[int, ...] = (0,), prints: tuple[str, ...] = (), file: str = ""
) -> Block:
    return Block("page.md", 1, language, code, "", codes, prints, file)


def ran(tmp_path: Path, *blocks: Block) -> Path:
    """The folder after these blocks."""
    folder = tmp_path / "page"
    folder.mkdir()
    run(list(blocks), folder, {"PATH": "/usr/bin:/bin"})
    return folder


def test_blocks_and_what_comments_say_about_them():
    first, second, third, fourth = _blocks("page.md", PAGE)
    assert (first.reason, first.language) == ("needs a GPU", "bash")
    assert (second.code, second.codes, second.prints) == ("echo yes\nfalse\n", (1, 3), ("yes", "no"))
    assert third.file == "mine.py"
    assert fourth.code == "exitprint info a.safetensors\n"
    assert next(_blocks("docs/results/page.md", PAGE.replace("<!-- not run: needs a GPU -->", ""))).reason


def test_a_page_runs_in_order_and_its_servers_end(tmp_path):
    folder = ran(
        tmp_path,
        block("python", "answer = 42\n", file="mine.py"),
        block("bash", "cat mine.py > copy.py\nsleep 60 &\n"),
        block("bash", "false\n", codes=(1, 3)),
    )
    assert (folder / "copy.py").read_text() == "answer = 42\n"


@pytest.mark.parametrize(
    "wrong",
    [
        block("bash", "false\ntrue\n"),
        block("bash", "true\n", codes=(1,)),
        block("bash", "echo maybe\n", prints=("yes", "no")),
    ],
)
def test_a_page_that_does_not_do_what_it_says_is_noticed(tmp_path, wrong):
    with pytest.raises(AssertionError, match=r"page\.md:1"):
        ran(tmp_path, wrong)


def test_commands_are_found_with_their_variables():
    code = 'D="--data digits --limit 9"\nexitprint train $D \\\n  --out a.safetensors & # serve\n'
    code += "exitprint info a | tee b\n"
    assert list(commands(code)) == [
        ["train", "--data", "digits", "--limit", "9", "--out", "a.safetensors"],
        ["info", "a"],
    ]


@pytest.mark.parametrize(
    "code", ["exitprint trian --out a\n", "exitprint train --out a --wrong\n", "exitprint info\n", "if true\n"]
)
def test_commands_that_do_not_parse_are_noticed(code):
    with pytest.raises(AssertionError):
        check_commands(code)


@pytest.mark.parametrize("code", ["import exitprint as ep\nep.nothing()\n", "from exitprint.timing import nothing\n"])
def test_names_that_are_not_there_are_noticed(code):
    with pytest.raises(AssertionError, match="nothing"):
        check_python(code)


def test_names_that_are_there_are_not():
    check_python("import exitprint as ep\nfrom exitprint.timing import estimate_exits\nep.measure_t_n\n")
    check_commands("exitprint verify f.safetensors http://host/v2/models/NAME --rate 5 || true\n")


def test_a_command_that_another_page_gives_too_is_run_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net").write_text("first")
    runs = []

    def ask(*arguments: str, out: str, code: int = 0) -> object:
        def run() -> object:
            runs.append(arguments)
            Path(out).write_text(f"made of {Path('net').read_text()}")
            print(f"wrote {out}")
            return code

        return remembered([*arguments, "--out", out], tmp_path / "made", run)

    assert ask("tamper", "net", "prune", out="a") == 0 and ask("tamper", "net", "prune", out="b") == 0
    assert len(runs) == 1 and Path("b").read_text() == "made of first"
    assert capsys.readouterr().out == "wrote a\nwrote b\n"
    ask("tamper", "net", "quantise", out="c")
    ask("verify", "net", "prune", out="d")
    ask("verify", "net", "prune", out="d")
    Path("net").write_text("second")
    ask("tamper", "net", "prune", out="e")
    assert len(runs) == 5 and Path("e").read_text() == "made of second"
    ask("train", out="f", code=2)
    assert ask("train", out="f", code=2) == 2 and len(runs) == 7


def test_what_a_command_trained_is_not_trained_again_in_python(tmp_path, digits):
    arch, how = architecture("resnet8", digits.input_shape, digits.classes, width=4), recipe("fast", "resnet", "digits")
    made = []

    def train(arch, data, recipe, seed, *more):
        made.append((seed, *more))
        return MultiExitNetwork.build(arch, seed)

    trained = trained_once(train, tmp_path / "trained")
    first = trained(arch, digits, how, 0, 5, tmp_path / "checkpoint", None)
    again = trained(arch, digits, how, seed=0)
    assert torch.equal(first(digits.test.x[:2]), again(digits.test.x[:2]))
    trained(arch, digits, how, seed=1)
    trained(arch, replace(digits, train=digits.train[:50]), how)
    trained(arch, digits, how, criterion="entropy")
    assert made == [
        (0, 5, tmp_path / "checkpoint", None),
        (1, 5, None, None),
        (0, 5, None, None),
        (0, 5, None, "entropy"),
    ]
