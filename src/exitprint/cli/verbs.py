"""The verbs, thin: options in, a sentence or JSON out, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from exitprint.cli import (
    ERROR,
    ask,
    claim,
    demonstrate,
    deploy,
    describe_service,
    inspect_file,
    judge,
    own,
    probe,
    steal,
    study,
    tampering,
    wrap,
)
from exitprint.cli.streams import TRACEBACK
from exitprint.errors import ExitprintError
from exitprint.progress import show_progress

UsageError: type[Exception] = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "UsageError")
"""That of click, or of the copy of it that newer versions of typer have inside."""

app = typer.Typer(
    name="exitprint",
    help="Prove, by its inference time alone, that a deployed multi-exit network is a copy of yours.",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demonstrate.demo)
app.command()(own.train)
app.command()(wrap.wrap)
app.command()(own.fingerprint)
app.command()(ask.verify)
app.command()(claim.commit)
app.command()(judge.panel)
app.command()(judge.audit)
app.command()(judge.pack)
app.command()(tampering.tamper)
app.command()(probe.probe)
app.command()(steal.steal)
app.command()(inspect_file.info)
app.command()(deploy.export)
app.command()(deploy.serve)
app.command()(describe_service.describe_service)
app.command()(study.study)


@app.callback()
def _every_verb(
    traceback: Annotated[bool, typer.Option(TRACEBACK, help="After an error, say where it was.")] = False,
) -> None:
    """Taken off the words before they are read, so that it may stand anywhere."""


def invoke(words: Sequence[str]) -> int:
    """Do what the words of the command line say, and give the exit code that the verb asks for.

    typer's own way of ending, which turns interruptions and broken pipes into code 1, is gone around.

    Raises `ExitprintError` if the words cannot be read, or the verb raises it.
    """
    show_progress()
    command = typer.main.get_command(app)
    said = [word for word in words if word != TRACEBACK]
    try:
        with command.make_context("exitprint", [*said] or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code if said else ERROR
    except UsageError as error:
        raise ExitprintError(_misread(error)) from error
    return 0


def _misread(error: Any) -> str:
    verb = error.ctx.command_path if error.ctx else "exitprint"
    return f"{error.format_message().rstrip('.')}: see {verb} --help."
