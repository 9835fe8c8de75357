"""Collecting a calibration: what the layers of a model see on text, and how much the loss depends on it.

Windows of text run through the model one at a time; sums are kept in float32 (a bfloat16 Hessian is not
positive definite on real activations) and counts in whole numbers. Only the layers whose sums fit the memory
allowed are looked at in one pass over the text; with more, the text is run again for the next ones. Each pass
leaves a part on disk, from which an interrupted run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError, UsageError
from halo_timing.evaluate.activations import LARGEST_CODE, token_scales
from halo_timing.evaluate.embedding import embedding
from halo_timing.evaluate.language_model import LanguageModel, import_torch
from halo_timing.files import canonical_json, sha256_json
from halo_timing.quantize.calibration import METADATA_KEY, SCHEMA_VERSION, CalibrationFile
from halo_timing.quantize.tensor_file import TensorFile, make_header, write_tensor_file

if TYPE_CHECKING:
    import torch

#: Codes are counted from -128 on.
_CODES = 256
_DTYPES = {np.dtype(np.float32): "F32", np.dtype(np.uint64): "U64"}

#: Called with what is being done, windows done, and all windows of all passes.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CollectOptions:
    """What to collect.

    Parameters
    ----------
    gradient_windows
        Windows, from the first on, that are also run backwards for the gradients; 0 for none.
    fisher
        Keep a Fisher diagonal of each weight (as large as the model in float32).
    hessian
        Keep the Hessian of each input and, where there are gradients, one of each layer that weighs tokens by
        how much the loss depends on them.
    memory_bytes
        Memory for sums; decides how many layers are looked at in one pass.
    """

    gradient_windows: int = 8
    fisher: bool = True
    hessian: bool = True
    memory_bytes: int = 2 << 30


def collect_calibration(
    language_model: LanguageModel,
    windows: NDArray[np.int64],
    out: Path,
    options: CollectOptions | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> CalibrationFile:
    """Run a model over text and write its calibration.

    Parameters
    ----------
    language_model
        The model.
    windows
        Token numbers, shape ``(windows, window)``.
    out
        File to write.
    options
        None: the defaults.
    provenance
        Said of the text and the model in the file; JSON.
    progress
        Told before each window, and at the end.

    Raises
    ------
    UsageError
        If there are fewer windows than are to run backwards, or a single token in each.
    CheckpointError
        If activations or gradients are not finite.
    """
    options = options or CollectOptions()
    if not 0 <= options.gradient_windows <= len(windows):
        raise UsageError(f"{options.gradient_windows} gradient windows: the text has {len(windows)} windows")
    if windows.shape[1] < 2:
        raise UsageError("a window needs at least two tokens")
    inputs = shared_inputs(language_model, windows[0])
    description = {
        **(provenance or {}),
        "schema_version": SCHEMA_VERSION,
        "inputs": inputs,
        "windows": len(windows),
        "window": windows.shape[1],
        "gradient_windows": options.gradient_windows,
    }
    content = [description, options.fisher, options.hessian, sha256_json(windows.tolist())]
    key = sha256_json(content)
    passes = _plan_passes(language_model, inputs, options)
    parts = []
    for index, names in enumerate(passes):
        path = out.with_name(f"{out.name}.{index:04d}")
        parts.append(path)
        if _part_key(path) == key:
            continue
        sums = _run_pass(
            language_model,
            windows,
            {name: inputs[name] for name in names},
            options,
            partial(_tell, progress, index * len(windows), len(passes) * len(windows)),
        )
        _write(path, sums, {"key": key})
    files = [TensorFile.open(path) for path in parts]
    entries = [(file, entry) for file in files for entry in file.entries.values()]
    header = make_header(
        [(entry.name, entry.dtype, entry.shape) for _, entry in entries],
        {METADATA_KEY: canonical_json(description)},
    )
    write_tensor_file(out, header, (block for file, entry in entries for block in file.chunks(entry.name)))
    for path in parts:
        path.unlink()
    if progress:
        progress("written", len(passes) * len(windows), len(passes) * len(windows))
    return CalibrationFile.open(out)


def shared_inputs(language_model: LanguageModel, window: NDArray[np.int64]) -> dict[str, str]:
    """Map each weight to the first one that reads the very same tensor, in the order of their use."""
    torch = import_torch()
    seen: list[tuple[Any, str]] = []
    inputs: dict[str, str] = {}
    with ExitStack() as stack:
        for name, module in language_model.linears.items():

            def note(_module: Any, arguments: tuple[Any, ...], name: str = name) -> None:
                # Tensors are held on to, so that no two of them can have the same identity.
                match = next((first for tensor, first in seen if tensor is arguments[0]), None)
                inputs[name] = match or name
                if match is None:
                    seen.append((arguments[0], name))

            stack.callback(module.register_forward_pre_hook(note).remove)
        with torch.no_grad():
            language_model.model(torch.from_numpy(window[None, :4]))
    return inputs


def _tell(progress: Progress | None, before: int, total: int, done: int) -> None:
    if progress:
        progress("calibrating", before + done, total)


def _plan_passes(
    language_model: LanguageModel, inputs: Mapping[str, str], options: CollectOptions
) -> list[list[str]]:
    """Weights to look at in each pass; those that share an input stay together."""
    passes: list[list[str]] = [[]]
    used = 0
    for source in dict.fromkeys(inputs.values()):
        readers = [name for name, other in inputs.items() if other == source]
        shapes = [tuple(language_model.linears[name].weight.shape) for name in readers]
        size = 8 * _CODES**2 + 8 * shapes[0][1] + (4 * shapes[0][1] ** 2 if options.hessian else 0)
        if options.gradient_windows:
            for rows, columns in shapes:
                size += 4 * rows + (4 * rows * columns if options.fisher else 0)
                size += 4 * columns**2 if options.hessian else 0
        if passes[-1] and used + size > options.memory_bytes:
            passes.append([])
            used = 0
        passes[-1] += readers
        used += size
    return passes


def _run_pass(
    language_model: LanguageModel,
    windows: NDArray[np.int64],
    inputs: Mapping[str, str],
    options: CollectOptions,
    tell: Callable[[int], None],
) -> dict[str, NDArray[Any]]:
    torch = import_torch()
    sums = _Sums(language_model, inputs, options)
    model = language_model.model
    for index, window in enumerate(windows):
        tell(index)
        tokens = torch.from_numpy(window[None])
        if index < options.gradient_windows:
            with sums.watching(backward=True), _differentiable_embeddings(model):
                _run_backwards(language_model, tokens, index)
        else:
            with sums.watching(backward=False), torch.no_grad():
                model.base_model(tokens, **({} if language_model.encoder else {"use_cache": False}))
    return sums.means(windows.size, options.gradient_windows * windows.shape[1])


def _run_backwards(language_model: LanguageModel, tokens: Any, index: int) -> None:
    """Let gradients run through the layers for one window.

    Those of a causal model are of the sum of the losses of all tokens, so that one does not shrink with the
    window. An encoder has no loss, and the distance of its embedding to itself no gradient; the projection of
    the embedding on a random direction has one, whose mean square is what a change costs in squared distance
    (diagonal of the Gauss-Newton matrix, by Hutchinson's estimate).
    """
    torch = import_torch()
    if language_model.encoder:
        result = embedding(language_model, tokens)
        direction = np.random.default_rng(index).standard_normal(len(result), np.float32)
        (result @ torch.from_numpy(direction)).backward()
    else:
        logits = language_model.forward(tokens).logits[0]
        torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:], reduction="sum").backward()


@contextmanager
def _differentiable_embeddings(model: Any) -> Iterator[None]:
    handle = model.get_input_embeddings().register_forward_hook(
        lambda _module, _arguments, output: output.requires_grad_()
    )
    try:
        yield
    finally:
        handle.remove()


class _Sums:
    """Sums over tokens for the layers of one pass."""

    def __init__(
        self, language_model: LanguageModel, inputs: Mapping[str, str], options: CollectOptions
    ) -> None:
        self._torch = import_torch()
        self._modules = {name: language_model.linears[name] for name in inputs}
        self._inputs, self._options = inputs, options
        self._arrays: dict[str, torch.Tensor] = {}

    @contextmanager
    def watching(self, backward: bool) -> Iterator[None]:
        """Add what runs through the layers while the block runs."""
        with ExitStack() as stack:
            for name, module in self._modules.items():
                hook = self._hook(name, backward)
                stack.callback(module.register_forward_hook(hook).remove)
            yield

    def means(self, tokens: int, gradient_tokens: int) -> dict[str, NDArray[Any]]:
        """Divide sums by the tokens they were taken over; histograms and maxima stay as they are."""
        result: dict[str, NDArray[Any]] = {}
        for key, total in self._arrays.items():
            kind = key.rpartition(".")[2]
            array = total.numpy()
            if kind == "joint":
                result[key] = array.reshape(_CODES, _CODES).astype(np.uint64)
                continue
            count: float = gradient_tokens if key.startswith("weight.") else tokens
            if kind == "largest":
                count = 1
            elif key.startswith("weight.") and kind == "hessian":
                # Divided by the sum of the tokens' weights.
                squares = self._arrays[f"{key.removesuffix('hessian')}gradient_square"]
                count = float(squares.mean()) or 1.0
            result[key] = array / np.float32(count)
            if not np.isfinite(result[key]).all():
                raise CheckpointError(f"calibration: {key} is not finite; the model overflows on this text")
        return result

    def _hook(self, name: str, backward: bool) -> Callable[..., None]:
        def hook(_module: Any, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            inputs = arguments[0].detach().reshape(-1, arguments[0].shape[-1])
            if self._inputs[name] == name:
                self._add_inputs(name, inputs)
            if backward:
                add = partial(self._add_gradient, name, inputs)
                output.register_hook(add)  # type: ignore[no-untyped-call]

        return hook

    def _add_inputs(self, name: str, inputs: torch.Tensor) -> None:
        torch = self._torch
        squares = self._array(f"input.{name}.mean_square", (inputs.shape[1],))
        if self._options.hessian:
            hessian = self._array(f"input.{name}.hessian", (inputs.shape[1],) * 2)
            hessian.addmm_(inputs.T, inputs)
            squares.copy_(hessian.diagonal())
        else:
            squares.add_(inputs.square().sum(0))
        largest = self._array(f"input.{name}.largest", (inputs.shape[1],))
        torch.maximum(largest, inputs.abs().amax(0), out=largest)
        codes = torch.round(inputs / token_scales(inputs)).clamp_(-LARGEST_CODE, LARGEST_CODE).to(torch.int64)
        codes += _CODES // 2
        pairs = (codes[:-1] * _CODES + codes[1:]).ravel()
        joint = self._array(f"input.{name}.joint", (_CODES**2,), torch.int64)
        joint.add_(torch.bincount(pairs, minlength=_CODES**2))

    def _add_gradient(self, name: str, inputs: torch.Tensor, gradient: torch.Tensor) -> None:
        squares = gradient.detach().reshape(-1, gradient.shape[-1]).square()
        self._array(f"weight.{name}.gradient_square", (squares.shape[1],)).add_(squares.sum(0))
        if self._options.hessian:
            hessian = self._array(f"weight.{name}.hessian", (inputs.shape[1],) * 2)
            hessian.addmm_((inputs * squares.mean(1, keepdim=True)).T, inputs)
        if self._options.fisher:
            fisher = self._array(f"weight.{name}.fisher", (squares.shape[1], inputs.shape[1]))
            fisher.addmm_(squares.T, inputs.square())

    def _array(self, key: str, shape: tuple[int, ...], dtype: Any = None) -> torch.Tensor:
        if key not in self._arrays:
            self._arrays[key] = self._torch.zeros(shape, dtype=dtype or self._torch.float32)
        return self._arrays[key]


def _part_key(path: Path) -> str | None:
    try:
        return TensorFile.open(path).metadata.get("key")
    except CheckpointError:
        return None


def _write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    header = make_header(
        [(key, _DTYPES[array.dtype], array.shape) for key, array in arrays.items()], metadata
    )
    write_tensor_file(path, header, (np.ascontiguousarray(array).tobytes() for array in arrays.values()))
