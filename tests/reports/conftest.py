from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from exitprint.fingerprints import Fingerprint, Verdict
from exitprint.fingerprints.course import Course
from exitprint.timing import Timings

VOID = {"meta", "link", "img", "br", "path", "line", "rect", "circle", "polyline"}
Made = tuple[Fingerprint, dict[str, Timings]]


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, text; says when tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture
def parsed() -> type[Page]:
    """A page as a parser sees it."""
    return Page


@pytest.fixture
def course() -> Course:
    """A verification that was sure after a few pairs."""
    pairs = 40
    logs = np.linspace(0, 9, pairs)
    return Course(
        2 * np.arange(1, pairs + 1),
        np.array(["nature", "crafted"] * (pairs // 2)),
        logs,
        logs / 2,
        -logs,
        np.array(["late", "early"] * pairs),
        np.tile([0.01, 0.002], pairs),
    )


@pytest.fixture
def made() -> Callable[..., Made]:
    """A fingerprint from noise, and runtimes as a copy would have them."""

    def make(kind: str = "paper", count: int = 24, shape: tuple[int, int, int] = (1, 8, 8)) -> Made:
        generator = torch.Generator().manual_seed(0)
        originals = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        noise = torch.randint(-9, 10, (count, *shape), generator=generator)
        late = torch.arange(count) < (count // 2 if kind == "contrast" else count)
        fingerprint = Fingerprint(
            kind,  # type: ignore[arg-type]
            (originals.int() + noise).clamp(0, 255).to(torch.uint8),
            originals,
            late,
            torch.arange(count) > 0,
            torch.full((count,), 40),
            torch.arange(count),
            pool=10 * count,
            answers=torch.zeros(count, dtype=torch.long),
            record={"data": "digits", "method": {"c": 10.0}},
        )
        rng = np.random.default_rng(0)
        seconds = {"sample": np.full(count, 0.01), "original": rng.uniform(0.002, 0.01, count)}
        if kind == "contrast":
            half = count // 2
            seconds = {
                "late": np.full(half, 0.01),
                "early": np.full(count - half, 0.002),
                "late original": np.full(half, 0.003),
                "early original": np.full(count - half, 0.009),
            }
        return fingerprint, {
            name: Timings(part[:, None] + rng.exponential(1e-5, (len(part), 3)), "measured")
            for name, part in seconds.items()
        }

    return make


@pytest.fixture
def verdict() -> Callable[..., Verdict]:
    """A verdict with numbers that occur nowhere else."""

    def make(decision: str = "derived", kind: str = "paper", **other: object) -> Verdict:
        fields: dict[str, object] = {
            "decision": decision,
            "kind": kind,
            "share": 0.937,
            "interval": (0.811, 0.983),
            "p0": 0.67,
            "nature": 0.954 if kind == "contrast" else None,
            "nature_interval": (0.732, 0.992) if kind == "contrast" else None,
            "e_value": 2.3e8,
            "p_value": 4.3e-9,
            "e_value_independent": 1.0,
            "alpha": 0.001,
            "beta": 0.001,
            "requests": 12_345,
            "seconds": 6.78,
            "bytes": None,
            "clock": "measured",
            "reason": "The suspect took the full time on 97 of 100 images (T_N = 0.032).",
            "assumptions": ("The owner states that the moon is round.",),
            "floor": None,
            "seed": 17,
        }
        return Verdict(**{**fields, **other})  # type: ignore[arg-type]

    return make
