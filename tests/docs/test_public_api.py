"""The page of the public API has a line for each name, and for no other."""

from __future__ import annotations

import ast
import inspect

from pages import ROOT, blocks

import exitprint

PAGE = ROOT / "docs" / "api" / "index.md"
TREE = ast.parse("\n".join(block.code for block in blocks(PAGE)))


def of_the_top_package(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ep"


def test_every_public_name_is_used_on_the_page_and_no_other():
    assert {node.attr for node in ast.walk(TREE) if of_the_top_package(node)} == set(exitprint.__all__)


def test_every_argument_has_a_parameter():
    for call in ast.walk(TREE):
        if isinstance(call, ast.Call) and of_the_top_package(call.func):
            words = {each.arg: None for each in call.keywords}
            inspect.signature(getattr(exitprint, call.func.attr)).bind(*call.args, **words)
