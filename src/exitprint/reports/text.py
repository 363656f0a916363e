"""Numbers and strangers' words as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from exitprint.display import legible

LONGEST_TEXT = 400
"""Characters of what others wrote that are shown."""
MOST_ENTRIES = 60
"""Lines of a record that are shown."""
MISSING = "–"
MINUS = "−"


def shown(text: object, limit: int = LONGEST_TEXT) -> str:
    """Text that cannot disturb what stands around it: no control or direction marks, one line, at most `limit` long."""
    words = " ".join(str(text)[: 4 * limit].split())
    clean = legible(words)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def prose(text: object) -> Markup:
    """A sentence for the page, escaped, with the paper's symbols T_N, T_f and T_c set as symbols."""
    html = str(escape(shown(text, 1200)))
    for symbol in ("T_N", "T_f", "T_c"):
        html = html.replace(symbol, f"<i>T</i><sub>{symbol[-1]}</sub>")
    return Markup(html)


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` decimals; a dash where there is none."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return MINUS + text[1:] if text.startswith("-") else text


def count(value: int, noun: str) -> str:
    """So many of something, in the plural where there is not just one."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def probability(p: float) -> str:
    """A probability: three decimals, or a power of ten where it is below 0.001."""
    if not math.isfinite(p):
        return MISSING
    if p >= 0.001:
        return f"{p:.3f}"
    if p < 1e-99:
        return "< " + power_of_ten(-99)
    exponent = math.floor(math.log10(p))
    mantissa = p / 10**exponent
    if f"{mantissa:.1f}" == "10.0":
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:.1f} × {power_of_ten(exponent)}"


def power_of_ten(exponent: int) -> str:
    """10 with a raised exponent."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them, three figures."""
    if not math.isfinite(seconds):
        return MISSING
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest} s"
    factor, unit = (1.0, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    return f"{float(f'{seconds * factor:.3g}'):g} {unit}"


def entries(record: Mapping[str, Any], prefix: str = "", levels: int = 4) -> list[tuple[str, str]]:
    """A JSON record as (name, text) pairs, nested names joined by dots, no more than a reader can take in."""
    rows: list[tuple[str, str]] = []
    for key, value in record.items():
        name = shown(f"{prefix}{key}", 80)
        if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
            value = {str(position): part for position, part in enumerate(value[:MOST_ENTRIES], 1)}
        if isinstance(value, Mapping) and value and levels > 1:
            rows += entries(value, f"{name}.", levels - 1)
        else:
            rows.append((name, _entry(value)))
        if len(rows) >= MOST_ENTRIES:
            return [*rows[: MOST_ENTRIES - 1], ("…", "further entries are in the file")]
    return rows


def _entry(value: object) -> str:
    if value is None or value in ([], {}):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "(more inside)"
    if isinstance(value, list):
        some = ", ".join(_entry(part) for part in value[:12])
        return shown(some if len(value) <= 12 else f"{some}, … ({len(value):,} in all)")
    return shown(value)
