"""The verbs, thin: options in, a sentence or JSON out, and the exit code."""

from __future__ import annotations

import sys

import typer

from exitprint.cli import ask, claim, demonstrate, deploy, inspect_file, own, probe, steal, study, tampering, wrap
from exitprint.errors import ExitprintError
from exitprint.progress import show_progress

ERROR = 2

app = typer.Typer(
    name="exitprint",
    help="Prove, by its inference time alone, that a deployed multi-exit network is a copy of yours.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demonstrate.demo)
app.command()(own.train)
app.command()(wrap.wrap)
app.command()(own.fingerprint)
app.command()(ask.verify)
app.command()(claim.commit)
app.command()(tampering.tamper)
app.command()(probe.probe)
app.command()(steal.steal)
app.command()(inspect_file.info)
app.command()(deploy.export)
app.command()(deploy.serve)
app.command()(study.study)


def main() -> None:
    """Run the command line; every error is one sentence on stderr and exit code 2."""
    show_progress(sys.stderr.isatty())
    try:
        app()
    except ExitprintError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("stopped; nothing was written.")
    except BrokenPipeError:
        sys.exit(ERROR)


def _fail(sentence: str) -> None:
    print(f"exitprint: {sentence}", file=sys.stderr)
    sys.exit(ERROR)
