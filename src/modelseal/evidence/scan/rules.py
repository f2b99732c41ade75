# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What can be found, each thing once: its id, how bad it is, and what to do about it.

An id never changes its meaning: allow-lists, SARIF files and statements hold on to it. A rule of
the level `error` denies the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelseal.evidence.facts import Level

_E, _W, _N = Level.ERROR, Level.WARNING, Level.NOTE
_REFUSE = "do not load it; take the model from whoever made it, in a format without code"
_SAFETENSORS = "save the weights as safetensors, which cannot hold code"
_ANEW = "it is damaged or was tampered with; write it anew with the library that it is for"
_UNPACK = "put the files themselves into the model directory instead of the archive"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding."""

    id: str
    level: Level
    summary: str
    hint: str
    """What to do."""


_ALL = (
    # Pickles
    Rule("pickle-dangerous-global", _E, "a pickle calls what runs commands or code", _REFUSE),
    Rule(
        "pickle-unlisted-global",
        _E,
        "a pickle imports what is not on the allow-list",
        f"{_SAFETENSORS}; or open this one name with a signed allow-list (docs/scanning.md)",
    ),
    Rule("pickle-unresolved-global", _E, "a pickle hides what it imports", _REFUSE),
    Rule("pickle-extension", _E, "a pickle imports by a number of the copyreg registry", _REFUSE),
    Rule("pickle-opaque-call", _E, "a pickle calls or sets up what cannot be told", _REFUSE),
    Rule(
        "pickle-persistent-id",
        _E,
        "a pickle asks its loader for an object that is not a tensor's storage",
        _REFUSE,
    ),
    Rule("pickle-trailing-bytes", _E, "something stands behind the end of a pickle", _ANEW),
    Rule("pickle-broken", _E, "a pickle that cannot be read to its end", _ANEW),
    Rule("pickle-format", _N, "a pickle with nothing but listed names", _SAFETENSORS),
    Rule(
        "shadowed-module",
        _E,
        "a file stands in for a module that allowed pickles import",
        "rename the file: Python would import it in place of the library",
    ),
    # Archives
    Rule("zip-broken", _E, "a zip archive that readers take differently, or not at all", _ANEW),
    Rule("zip-prepended-data", _E, "something stands before a zip archive", _ANEW),
    Rule("zip-hidden-data", _E, "a zip archive holds bytes that its directory hides", _ANEW),
    Rule("zip-header-mismatch", _E, "a zip member's two headers contradict each other", _ANEW),
    Rule("zip-crc-mismatch", _E, "a zip member has another checksum than it says", _ANEW),
    Rule("zip-duplicate-name", _E, "two zip members have the same name", _ANEW),
    Rule("zip-encrypted", _E, "a zip member is encrypted, so nobody can look into it", _UNPACK),
    Rule("zip-method", _E, "a zip member is compressed in an uncommon way", _UNPACK),
    Rule("archive-unsafe-path", _E, "an archive's member would leave the directory", _UNPACK),
    Rule("archive-link", _E, "an archive holds a link, a device or a pipe", _UNPACK),
    Rule("archive-bomb", _E, "it grows beyond all measure when it is unpacked", _UNPACK),
    Rule("archive-nested-too-deep", _E, "archives in archives in archives", _UNPACK),
    Rule("archive-broken", _E, "an archive or compressed file that cannot be read", _ANEW),
    Rule("archive-unsupported", _E, "an archive that is not looked into", _UNPACK),
    # Formats of weights
    Rule("safetensors-broken", _E, "the header of a safetensors file does not hold", _ANEW),
    Rule("gguf-broken", _E, "the header of a GGUF file does not hold", _ANEW),
    Rule("npy-broken", _E, "the header of a NumPy file does not hold", _ANEW),
    Rule("onnx-broken", _E, "an ONNX file that cannot be read to its end", _ANEW),
    Rule(
        "onnx-external-path",
        _E,
        "an ONNX file takes weights from outside the model directory",
        "put the file beside the model, and name it by its name alone",
    ),
    Rule(
        "onnx-external-missing",
        _W,
        "an ONNX file takes weights from a file that is not there",
        "put the file into the model directory",
    ),
    Rule(
        "onnx-custom-operators",
        _E,
        "an ONNX file needs operators that somebody's own library brings",
        "export it with the standard operators",
    ),
    Rule("keras-lambda", _E, "a Keras layer holds code", "write the layer as a class of its own"),
    Rule("keras-foreign-class", _E, "a Keras model names what is not a part of Keras", _REFUSE),
    Rule(
        "keras-reads-files",
        _E,
        "a Keras layer reads a file by its path when it is loaded",
        "store the vocabulary in the layer itself",
    ),
    Rule(
        "hdf5-searched",
        _N,
        "an HDF5 file was searched for code, and not taken apart",
        "save it as .keras, or its weights as safetensors",
    ),
    Rule("tensorflow-dangerous-operator", _E, "a TensorFlow graph runs or writes", _REFUSE),
    Rule("tensorflow-graph", _E, "a TensorFlow graph may do whatever TensorFlow can", _SAFETENSORS),
    Rule("torchscript", _E, "a TorchScript archive holds a program", _SAFETENSORS),
    Rule(
        "not-inspected",
        _N,
        "a format without code of its own that is not looked into",
        "nothing; know that its content was not checked",
    ),
    Rule("executable", _E, "a program or a compiled library", "leave it out of the model"),
    Rule(
        "unknown-binary",
        _E,
        "a file in a format that is not known",
        "save it in a known format, or leave it out; data may be declared as kind: dataset or doc",
    ),
    Rule(
        "unknown-data",
        _W,
        "a document or data set in a format that is not known",
        "nothing, if no program of yours runs it",
    ),
    # Text
    Rule(
        "template-code",
        _E,
        "a chat template reaches for Python's insides",
        "write the template without attributes that begin with an underscore, and without imports",
    ),
    Rule(
        "remote-code",
        _E,
        "the model's configuration makes its loader run Python code (trust_remote_code)",
        "use an architecture that the library knows, without auto_map",
    ),
    Rule("code-file", _N, "the model comes with source code", "read it before you run it"),
    Rule("notebook", _N, "the model comes with a notebook", "read it before you run it"),
    Rule(
        "xml-entities",
        _E,
        "an XML file (PMML) declares entities: files that it reads, or text that explodes",
        "write it without a DOCTYPE",
    ),
    Rule(
        "secret",
        _E,
        "a secret stands in the model",
        "revoke it, then remove it from the file: whoever pulls the model could read it",
    ),
    Rule(
        "possible-secret",
        _W,
        "what looks like a password stands in the model",
        "remove it if it is one, and change it where it is used",
    ),
    Rule("unreadable-file", _E, "a file could not be read to its end", "see that it is whole"),
    Rule(
        "partly-read",
        _W,
        "a text so long that only its beginning was looked at",
        "cut it into several files",
    ),
    Rule("link", _W, "a link, which was not followed", "scan what it points at"),
    Rule("too-much", _E, "there is more in it than is looked at", _UNPACK),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _ALL}
