"""Activations as an 8-bit array sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from halo_timing.errors import UsageError
from halo_timing.evaluate.language_model import LanguageModel, import_torch

if TYPE_CHECKING:
    import torch

#: Largest magnitude of an activation code; -128 is not used, so that codes are symmetric.
LARGEST_CODE = 127
#: Ways to quantize activations: not at all, one scale for each token, one fixed scale for each layer.
MODES = ("float", "dynamic", "static")


def token_scales(inputs: torch.Tensor) -> torch.Tensor:
    """Activation per code of each token: its largest magnitude over 127; the last axis stays, with size 1."""
    largest = inputs.abs().amax(dim=-1, keepdim=True)
    return largest.clamp_(min=1e-30) / LARGEST_CODE


@contextmanager
def quantized_inputs(
    language_model: LanguageModel, mode: str, static_scales: Mapping[str, float] | None = None
) -> Iterator[None]:
    """Round the inputs of all quantized layers to 8 bits while the block runs.

    Parameters
    ----------
    language_model
        The model.
    mode
        One of :data:`MODES`.
    static_scales
        Weight name → activation per code, for mode ``static``.

    Raises
    ------
    UsageError
        If the mode is unknown, or static scales are missing.
    """
    torch = import_torch()
    if mode not in MODES:
        raise UsageError(f"activations {mode!r}: must be one of {', '.join(MODES)}")
    if mode == "static" and not all(name in (static_scales or {}) for name in language_model.linears):
        raise UsageError("static activations need a calibration of the same model")

    def rounding(scale: float | None) -> Any:
        def hook(_module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            step = token_scales(arguments[0]) if scale is None else scale
            codes = torch.round(arguments[0] / step).clamp_(-LARGEST_CODE, LARGEST_CODE)
            return (codes.mul_(step), *arguments[1:])

        return hook

    with ExitStack() as stack:
        if mode != "float":
            for name, module in language_model.linears.items():
                scale = static_scales[name] if mode == "static" and static_scales else None
                handle = module.register_forward_pre_hook(rounding(scale))
                stack.callback(handle.remove)
        yield
