"""Quantizing a model block by block, each calibrated on what the quantized blocks before it give.

One block of the model (a decoder layer) is looked at at a time, so that its Hessians are those of the inputs
it will really have. Memory holds the hidden states of all windows and the Hessians of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.evaluate.language_model import LanguageModel, import_torch
from halo_timing.quantize.calibration import LayerStatistics
from halo_timing.quantize.tensor import QuantizedTensor

#: Called with a weight's name, the weight, and the Hessian of its inputs.
Quantize = Callable[[str, NDArray[np.float32], LayerStatistics], QuantizedTensor]
#: Called with blocks done and all blocks.
Progress = Callable[[int, int], None]


class _FirstBlockReached(Exception):
    """Ends a forward pass once the inputs of the first block are known."""


def quantize_sequentially(
    language_model: LanguageModel,
    windows: NDArray[np.int64],
    quantize: Quantize,
    progress: Progress | None = None,
) -> dict[str, QuantizedTensor]:
    """Quantize block by block; the model is left with the quantized weights.

    Parameters
    ----------
    language_model
        The model; all its :attr:`~LanguageModel.linears` must lie in its list of blocks.
    windows
        Token numbers for calibration, shape ``(windows, window)``.
    quantize
        Quantizes one weight.
    progress
        Told before each block.

    Raises
    ------
    CheckpointError
        If the model has no list of blocks that run one after the other.
    """
    torch = import_torch()
    blocks, members = _blocks(language_model)
    states = _first_inputs(language_model, blocks[0], windows)
    result = {}
    for index, block in enumerate(blocks):
        if progress:
            progress(index, len(blocks))
        hessians = _hessians(block, members[index], states)
        for name, module in members[index].items():
            weight = module.weight.detach().numpy().copy()
            hessian = hessians[name] / np.float32(windows.size)
            statistics = LayerStatistics(mean_square=hessian.diagonal().copy(), hessian=hessian)
            result[name] = quantize(name, weight, statistics)
            language_model.set_weight(name, result[name].dequantize())
        with torch.no_grad():
            states = [((_hidden(block(*args, **kwargs)), *args[1:]), kwargs) for args, kwargs in states]
    return result


def _blocks(language_model: LanguageModel) -> tuple[list[Any], list[dict[str, Any]]]:
    """Blocks of a model, and the linear layers in each."""
    torch = import_torch()
    for prefix, module in language_model.model.named_modules():
        if not isinstance(module, torch.nn.ModuleList):
            continue
        members = [
            {
                name: linear
                for name, linear in language_model.linears.items()
                if name.startswith(f"{prefix}.{index}.")
            }
            for index in range(len(module))
        ]
        if sum(map(len, members)) == len(language_model.linears):
            return list(module), members
    raise CheckpointError(
        f"{language_model.name}: its layers do not lie in one list of blocks, so it cannot be quantized "
        "block by block"
    )


def _first_inputs(
    language_model: LanguageModel, block: Any, windows: NDArray[np.int64]
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments with which the first block is called for each window."""
    torch = import_torch()
    states: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def keep(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append((args, kwargs))
        raise _FirstBlockReached

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        for window in windows:
            with torch.no_grad(), suppress(_FirstBlockReached):
                language_model.forward(torch.from_numpy(window[None]))
    finally:
        handle.remove()
    if not states[0][0]:
        raise CheckpointError(f"{language_model.name}: its blocks do not take their inputs by position")
    return states


def _hessians(
    block: Any, members: Mapping[str, Any], states: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> dict[str, NDArray[np.float32]]:
    """Sum the outer products of each layer's inputs; layers that read the same tensor share theirs."""
    torch = import_torch()
    sums: dict[str, Any] = {}
    readers: dict[str, str] = {}
    last: list[tuple[Any, str]] = []

    def hook(name: str) -> Callable[..., None]:
        def add(_module: Any, arguments: tuple[Any, ...]) -> None:
            match = next((first for tensor, first in last if tensor is arguments[0]), None)
            readers[name] = match or name
            if match is None:
                last.append((arguments[0], name))
                inputs = arguments[0].reshape(-1, arguments[0].shape[-1])
                if name not in sums:
                    sums[name] = torch.zeros(inputs.shape[1], inputs.shape[1])
                sums[name].addmm_(inputs.T, inputs)

        return add

    with ExitStack() as stack, torch.no_grad():
        for name, module in members.items():
            stack.callback(module.register_forward_pre_hook(hook(name)).remove)
        for args, kwargs in states:
            last.clear()
            block(*args, **kwargs)
    return {name: sums[reader].numpy() for name, reader in readers.items()}


def _hidden(output: Any) -> Any:
    """Hidden states from what a block returns."""
    return output[0] if isinstance(output, tuple) else output
