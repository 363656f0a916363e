"""A module as plainly as it can be: what others put around its weights or its forward pass is taken off a copy."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from exitprint.errors import ExitprintError, told

AROUND = ("OptimizedModule", "DataParallel", "DistributedDataParallel")
GRADIENTS = "wrap_with_set_grad_enabled"
AUTOCAST = "wrap_with_autocast"


@torch.no_grad()
def plain_copy(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode, whose weights are what they come to.

    Masks of `torch.nn.utils.prune`, weight and spectral normalisation, old and new, and other parametrisations are
    multiplied in; `torch.compile` and `DataParallel` are taken off.

    Raises `ExitprintError` if the module, or a part of it, is TorchScript, or it cannot be copied.
    """
    while type(module).__name__ in AROUND:
        module = module._orig_mod if hasattr(module, "_orig_mod") else module.module  # type: ignore[assignment]
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            which = f"its part {name!r}" if name else "it"
            raise ExitprintError(
                f"this module cannot be followed: {which} is TorchScript (traced or scripted), a program without the "
                "Python that made it; wrap the module that it was made from."
            )
    computed = {id(value): value.detach().clone() for value in _kept_in(module) if not value.is_leaf}
    with told("this module cannot be copied: {why}"):
        copied = copy.deepcopy(module, computed)
    copied.cpu()
    copied.eval()  # one whose `train` is its own may give nothing back
    for part in list(copied.modules()):
        _bake(part)
    for tensor in (*copied.parameters(), *copied.buffers()):
        # strides anew: with one channel a tensor is contiguous in two layouts, and kernels go by its strides
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
    return copied


def _kept_in(module: nn.Module) -> list[Tensor]:
    """Tensors that lie in attributes, alone or in a list, tuple or dictionary."""
    found: list[Tensor] = []
    for part in module.modules():
        for value in vars(part).values():
            inside = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            )
            found += [each for each in inside if isinstance(each, Tensor)]
    return found


def _bake(part: nn.Module) -> None:
    for hook in list(part._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(part, hook._tensor_name)
        elif isinstance(hook, WeightNorm):
            remove_weight_norm(part, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(part, hook.name)
    if parametrize.is_parametrized(part):
        values = {str(name): getattr(part, str(name)) for name in part.parametrizations}  # type: ignore[union-attr]
        del part.parametrizations
        part.__class__ = type(part).__bases__[0]  # the parametrised class is also that of the module copied from
        for name, value in values.items():
            part.register_parameter(name, nn.Parameter(value))


def inline(program: torch.export.ExportedProgram) -> None:
    """Put what a block of the forward pass runs, such as one under `torch.no_grad`, into the graph around it.

    Raises `ExitprintError` if a block computes in another number format (`torch.autocast`).
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.op != "call_function" or str(node.target) not in (GRADIENTS, AUTOCAST):
            continue
        if str(node.target) == AUTOCAST and node.args[0] == "cpu" and node.args[2]:
            dtype = str(node.args[1]).removeprefix("torch.")
            raise ExitprintError(
                f"this module computes in {dtype} by torch.autocast: leave that out, or say enabled=False."
            )
        first = next(i for i, arg in enumerate(node.args) if isinstance(arg, Node) and arg.op == "get_attr")
        block: Any = program.graph_module.get_submodule(str(node.args[first].target))
        taken = [each for each in block.graph.nodes if each.op == "placeholder"]
        values = dict(zip(taken, node.args[first + 1 :], strict=True))
        with graph.inserting_before(node):
            given = graph.graph_copy(block.graph, values)
        for user in list(node.users):
            user.replace_all_uses_with(given[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)
    if any(str(node.target) in (GRADIENTS, AUTOCAST) for node in graph.nodes if node.op == "call_function"):
        inline(program)
    graph.eliminate_dead_code(lambda node: node.op != "get_attr")
    program.graph_module.recompile()
