# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""GGUF files: whole, of the architecture that is declared, quantised as their name says."""

import re
from pathlib import Path

from modelseal.errors import Error
from modelseal.evidence.compatibility.checked import REMAKE, Checked
from modelseal.modelpack.gguf import GgufHeader, read_gguf
from modelseal.modelpack.project import Project

_MOST_FILES = 200

_FILE_TYPES: dict[int, str] = dict(
    enumerate(
        (
            *("F32", "F16", "Q4_0", "Q4_1", "Q4_1_SOME_F16", "", "", "Q8_0", "Q5_0", "Q5_1"),
            *("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M"),
            *("Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL"),
            *("IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16"),
        )
    )
)
"""`general.file_type`, as `llama_ftype` of llama.cpp numbers it."""

_IN_NAME = re.compile(
    r"(?<![A-Za-z0-9])(I?Q\d_(?:K(?:_[SML])?|[01]|XXS|XS|NL|[SM])|BF16|F16|F32)(?![A-Za-z0-9_])",
    re.IGNORECASE,
)


def check_gguf(directory: Path, paths: list[str], project: Project) -> Checked:
    """Read the header of each GGUF file, and compare it with its name and the project."""
    checked = Checked()
    for path in [path for path in paths if path.endswith(".gguf")][:_MOST_FILES]:
        try:
            header = read_gguf(directory / path)
        except Error as error:
            checked.contradict("weights-broken", str(error), where=path, hint=REMAKE)
            continue
        architecture = header.metadata.get("general.architecture")
        kinds = sorted(header.types.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(name for name, _ in kinds[:4])
        checked.hold(
            f"{path}: GGUF, architecture {str(architecture)[:40]}, {header.tensors} tensors "
            f"({told}), none cut off"
        )
        _check_name(path, header, checked)
        if isinstance(architecture, str) and header.tensors:
            _check_architecture(path, architecture, project, checked)
        _check_embeddings(path, header, architecture, checked)
    return checked


def _check_name(path: str, header: GgufHeader, checked: Checked) -> None:
    """Compare the name's encoding (ggml, docs/gguf.md, "GGUF Naming Convention") with the file."""
    number = header.metadata.get("general.file_type")
    is_ = _FILE_TYPES.get(number, "") if type(number) is int else ""
    named = [text.upper() for text in _IN_NAME.findall(path.rpartition("/")[2])]
    if not named or not is_:
        return
    if is_ not in named:
        checked.contradict(
            "quantization-differs",
            f"{path} is named after {named[-1]}, and says that it is {is_} (general.file_type)",
            where=path,
            hint="rename it, or pack the file that was meant",
        )
    else:
        checked.hold(f"{path} is quantised as its name says: {is_}")


def _check_architecture(path: str, architecture: str, project: Project, checked: Checked) -> None:
    said = [text for text in (project.architecture, project.family) if text]
    plain = [re.sub(r"[^a-z0-9]", "", text.lower()) for text in said]
    wanted = re.sub(r"[^a-z0-9]", "", architecture.lower())
    if not said:
        checked.lack(
            "missing-architecture",
            f"nothing says what kind of model it is; {path} says {architecture[:40]}",
            where="modelseal.yaml: spec.architecture",
            add=f"spec:\n  architecture: {architecture}"
            if re.fullmatch(r"[a-z0-9-]{1,40}", architecture)
            else "",
            hint="write what a runtime looks at (general.architecture)",
        )
    elif not any(wanted in text or text in wanted for text in plain if text):
        # Families share architectures (Mistral runs as llama), so that this may be right.
        checked.lack(
            "architecture-differs",
            f"modelseal.yaml says {' and '.join(said)}, and {path} says {architecture[:40]}",
            where="modelseal.yaml: spec.architecture",
            hint=f"write spec.architecture: {architecture[:40]}, which is what a runtime looks at",
        )
    else:
        checked.hold(f"{path} has the architecture that is declared: {architecture[:40]}")


def _check_embeddings(
    path: str, header: GgufHeader, architecture: object, checked: Checked
) -> None:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    embedding = header.shapes.get("token_embd.weight")
    if embedding is None or len(embedding) != 2:  # noqa: PLR2004 - width and tokens
        return
    if isinstance(tokens, list) and tokens[0] > embedding[1]:
        checked.contradict(
            "tokenizer-does-not-fit",
            f"{path} has {tokens[0]} tokens, and embeddings for {embedding[1]}",
            where=path,
            hint="convert the model anew, with the tokenizer that it was trained with",
        )
    width = header.metadata.get(f"{architecture}.embedding_length")
    if type(width) is int and width != embedding[0]:
        checked.contradict(
            "config-shape-differs",
            f"{path} says embeddings of {width}, and its tensor has {embedding[0]}",
            where=path,
            hint="convert the model anew: the metadata are of another model",
        )
