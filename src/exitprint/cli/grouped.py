"""Options that belong together: one parameter in the code, several options on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, get_type_hints

Command = Callable[..., None]


def grouped(name: str, group: type[Any]) -> Callable[[Command], Command]:
    """Give a command the fields of a dataclass as options, in place of its parameter of this name.

    An instance as that parameter's default gives the options' defaults. Fields are annotated as typer wants them.
    """
    hints = get_type_hints(group, include_extras=True)

    def decorate(command: Command) -> Command:
        own = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []

        def take(name: str, annotation: Any, default: Any) -> None:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(name, kind, default=default, annotation=annotation))

        for each, parameter in inspect.signature(command).parameters.items():
            if each != name:
                take(each, own[each], parameter.default)
                continue
            for field in fields(group):
                usual = inspect.Parameter.empty if field.default is MISSING else field.default
                if isinstance(parameter.default, group):
                    usual = getattr(parameter.default, field.name)
                take(field.name, hints[field.name], usual)

        @wraps(command)
        def with_options(**given: Any) -> None:
            value = group(**{field.name: given.pop(field.name) for field in fields(group)})
            command(**given, **{name: value})

        del with_options.__wrapped__
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate
