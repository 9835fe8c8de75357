"""A language model, causal or an encoder, with the linear layers that are to be quantized."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError, UsageError
from halo_timing.quantize.selection import reason_left_out
from halo_timing.quantize.tensor_file import TensorEntry

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LanguageModel:
    """A model in float32, ready to be read and to have its weights replaced.

    Parameters
    ----------
    name
        File or folder it came from, without its path.
    model
        The `transformers` model, in evaluation mode.
    tokenizer
        Its tokenizer; None where the folder has none.
    linears
        Weight name → ``torch.nn.Linear``, in the order of the model; embeddings and heads are left out by
        the rules of :mod:`halo_timing.quantize.selection`.
    encoder
        Whether it gives hidden states of whole texts, such as BERT, and not the next token.
    """

    name: str
    model: Any
    tokenizer: Any
    linears: Mapping[str, torch.nn.Linear]
    encoder: bool = False

    @classmethod
    def load(cls, path: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> LanguageModel:
        """Load a Hugging Face folder, or a GGUF file; nothing is fetched.

        Parameters
        ----------
        path
            Folder with ``config.json`` and weights, GGUF file, or folder that holds one GGUF file.
        include, exclude
            Shell patterns of weight names, as for quantizing.

        Raises
        ------
        UsageError
            If torch or transformers is not installed.
        CheckpointError
            If the model cannot be loaded.
        """
        torch = import_torch()
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            import transformers
        except ImportError as error:
            raise _missing("transformers") from error
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        folder, options = _source(path)
        try:
            # The reader of GGUF draws a bar of its own.
            with contextlib.redirect_stderr(io.StringIO()):
                config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **options)
                encoder = _is_encoder(config)
                kind = transformers.AutoModel if encoder else transformers.AutoModelForCausalLM
                model = kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **options)
        except Exception as error:  # the libraries below raise whatever their reader of the day raises
            raise CheckpointError(f"{path}: transformers cannot load it ({_first_line(error)})") from error
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                tokenizer = transformers.AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, **options
                )
        except Exception:  # only needed where text is given
            tokenizer = None
        return cls.wrap(model, tokenizer, path.name, include, exclude, encoder=encoder)

    @classmethod
    def wrap(
        cls,
        model: Any,
        tokenizer: Any = None,
        name: str = "model",
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        *,
        encoder: bool = False,
    ) -> LanguageModel:
        """Take a model that is in memory.

        Raises
        ------
        CheckpointError
            If it holds no linear layer to quantize.
        """
        torch = import_torch()
        model.eval().requires_grad_(False)
        linears = {}
        for module_name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                weight = f"{module_name}.weight"
                entry = TensorEntry(weight, "F32", tuple(module.weight.shape), 0, 0)
                if reason_left_out(entry, include, exclude) is None:
                    linears[weight] = module
        if not linears:
            raise CheckpointError(f"{name}: no linear layer to quantize")
        return cls(name, model, tokenizer, linears, encoder)

    def forward(self, tokens: torch.Tensor) -> Any:
        """Run the model on token numbers, shape ``(1, window)``; what comes out is that of `transformers`."""
        return self.model(tokens) if self.encoder else self.model(tokens, use_cache=False)

    def frame(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Put around each piece of text what the model expects there; nothing for a causal model.

        Parameters
        ----------
        windows
            Token numbers, shape ``(windows, window)``.

        Raises
        ------
        UsageError
            If a piece is longer than the model can read.
        """
        special = (
            [self.tokenizer.cls_token_id, self.tokenizer.sep_token_id]
            if self.encoder and self.tokenizer is not None
            else [None, None]
        )
        if None not in special:
            first, last = (np.full((len(windows), 1), token, np.int64) for token in special)
            windows = np.concatenate([first, windows, last], axis=1)
        longest = getattr(self.model.config, "max_position_embeddings", None)
        if longest is not None and windows.shape[1] > longest:
            raise UsageError(
                f"{self.name} reads {longest} tokens at most, and a piece has {windows.shape[1]}: "
                "give a smaller --window"
            )
        return windows

    def tokenize(self, text: str) -> NDArray[np.int64]:
        """Token numbers of a text, as one piece and without special tokens; shape ``(n,)``.

        Raises
        ------
        CheckpointError
            If the model came without a tokenizer.
        """
        if self.tokenizer is None:
            raise CheckpointError(f"{self.name}: has no tokenizer; put tokenizer.json beside the weights")
        tokens = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return np.asarray(tokens, np.int64)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy the weights of :attr:`linears`."""
        return {name: module.weight.detach().numpy().copy() for name, module in self.linears.items()}

    def set_weight(self, name: str, weight: NDArray[np.float32]) -> None:
        """Replace one weight by another of the same shape."""
        torch = import_torch()
        self.linears[name].weight.data.copy_(torch.from_numpy(np.ascontiguousarray(weight, np.float32)))


def import_torch() -> Any:
    """Return the torch module.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise _missing("torch") from error
    return torch


def _missing(package: str) -> UsageError:
    return UsageError(
        f"running a language model needs {package}, which is not installed: "
        "pip install 'halo-timing[quality]'"
    )


def _is_encoder(config: Any) -> bool:
    """Whether no architecture that a model names predicts the next token; GGUF files name none."""
    names = config.architectures or []
    return bool(names) and not any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)


def _source(path: Path) -> tuple[str, dict[str, str]]:
    """Folder, and the name of the GGUF file in it where that is what it holds."""
    if not path.exists():
        raise CheckpointError(f"{path}: no such model")
    if path.is_file():
        return str(path.parent), {"gguf_file": path.name}
    if not (path / "config.json").exists():
        files = sorted(path.glob("*.gguf"))
        if len(files) == 1:
            return str(path), {"gguf_file": files[0].name}
        raise CheckpointError(f"{path}: holds no config.json, and not one GGUF file either")
    return str(path), {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
