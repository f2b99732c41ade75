# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which names a pickle may import: a short built-in list of inert ones, and what a list opens.

Compared exactly, module and name, as the unpickler would import them: neither a prefix nor a
dotted path counts. What is built in makes plain data (arrays, tensors, ordered dicts) and calls
nothing that it is given.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelseal.documents import Fields, canonical_json, parse_yaml
from modelseal.errors import UsageError
from modelseal.oci.descriptor import Digest

MAX_ALLOW_LIST_BYTES = 1 << 20
"""Largest allow-list, in bytes."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

_TORCH = """
FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage
CharStorage ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage QInt8Storage
QInt32Storage QUInt8Storage float16 float32 float64 bfloat16 float8_e4m3fn float8_e5m2 int8
int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128 Size device Tensor
strided per_tensor_affine per_channel_affine
"""
_PLAIN = {
    "collections": "OrderedDict defaultdict Counter deque",
    "builtins": "set frozenset complex slice range bytearray bytes list dict tuple int float str "
    "bool object",
    "__builtin__": "set frozenset complex slice xrange bytearray list dict tuple int long float "
    "str unicode bool object",
    "datetime": "datetime date time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID",
    "pathlib": "PurePosixPath PosixPath Path PureWindowsPath",
    "copyreg": "_reconstructor",
    "copy_reg": "_reconstructor",
    "_codecs": "encode",
    "array": "array _array_reconstructor",
    "numpy": "ndarray dtype bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 "
    "float32 float64 complex64 complex128 matrix",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "_mareconstruct MaskedArray",
    "numpy.random.mtrand": "RandomState",
    "numpy.random._pickle": "__randomstate_ctor __generator_ctor __bit_generator_ctor",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "torch": _TORCH,
    "torch._utils": "_rebuild_tensor _rebuild_tensor_v2 _rebuild_parameter _rebuild_qtensor "
    "_rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_device_tensor_from_numpy "
    "_rebuild_meta_tensor_no_storage",
    "torch.storage": "UntypedStorage TypedStorage",
    "torch.nn.parameter": "Parameter",
    "torch.serialization": "_get_layout",
    "joblib.numpy_pickle": "NumpyArrayWrapper",
    "ml_dtypes": "bfloat16 float8_e4m3fn float8_e5m2",
}
_CODECS = frozenset({"latin1", "latin-1", "ascii", "utf-8", "utf8"})
_DANGEROUS = """
os posix nt subprocess sys builtins __builtin__ importlib imp runpy pty pdb bdb code codeop
marshal pickle _pickle cPickle dill cloudpickle shutil socket socketserver ssl http urllib
urllib2 requests httplib ftplib telnetlib smtplib webbrowser ctypes _ctypes cffi multiprocessing
threading asyncio pkgutil pip setuptools distutils venv ensurepip timeit cProfile profile trace
doctest unittest operator _operator functools types inspect gc platform signal tempfile
zipimport zipapp compileall py_compile logging commands popen2 idlelib lib2to3 site sqlite3 test
shelve torch.hub torch.jit torch.serialization torch.utils torch._dynamo torch._inductor
torch.storage numpy.testing numpy.f2py numpy.distutils numpy.lib.npyio joblib.numpy_pickle
"""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names that pickles may import."""

    names: frozenset[tuple[str, str]]
    lists: tuple[Digest, ...] = ()
    """The signed lists that opened some of them."""

    def allows(self, module: str, name: str) -> bool:
        """Tell whether exactly this name of this module is allowed."""
        return (module, name) in self.names

    def modules(self) -> frozenset[str]:
        """Return the top-level modules that are imported."""
        return frozenset(module.partition(".")[0] for module, _ in self.names)

    def and_list(self, raw: bytes) -> "Allowed":
        """Return these names and those of a list whose signature was verified.

        Raises:
            UsageError: it is no allow-list.
        """
        opened = parse_allow_list(raw)
        return Allowed(self.names | opened, (*self.lists, Digest.of(raw)))

    @property
    def digest(self) -> Digest:
        """Return the digest of all the names."""
        return Digest.of(canonical_json(sorted(map(list, self.names))))


def encodes_text_only(arguments: object) -> bool:
    """Tell whether the arguments of `_codecs.encode` name a codec that does nothing else.

    The name of any other would be imported from the package `encodings`, or from a registered one.
    """
    match arguments:
        case (_,):
            return True
        case (_, str(codec)) | (_, str(codec), _):
            return codec in _CODECS
        case _:
            return False


def is_dangerous(module: str) -> bool:
    """Tell whether a module is known for running things; only the words of a finding need it."""
    parts = module.split(".")
    return any(".".join(parts[:end]) in _DANGEROUS_MODULES for end in range(1, len(parts) + 1))


def parse_allow_list(raw: bytes) -> frozenset[tuple[str, str]]:
    """Read an allow-list: `apiVersion`, `kind: PickleAllowList`, `globals: [{module, name}]`.

    Raises:
        UsageError: it is not one; a pattern is not taken for a name.
    """
    fields = Fields(parse_yaml(raw, "the allow-list"), "", error=UsageError)
    if fields.text("apiVersion") != "modelseal.dev/v1" or fields.text("kind") != "PickleAllowList":
        raise UsageError(
            "it is no allow-list",
            hint="it has to begin with apiVersion: modelseal.dev/v1 and kind: PickleAllowList",
        )
    names = frozenset(_entry(item) for item in fields.items("globals"))
    fields.text("description")
    fields.finish()
    if not names:
        raise UsageError("the allow-list opens nothing", hint="add globals: [{module: …, name: …}]")
    return names


def _entry(item: Fields) -> tuple[str, str]:
    module, name = item.text("module", required=True), item.text("name", required=True)
    item.text("reason")
    item.finish()
    for key, text in (("module", module), ("name", name)):
        if not _NAME.fullmatch(text):
            raise item.wrong(key, f"is {text[:80]!r}, and has to be one name, without a pattern")
    return module, name


def _built_in(table: Iterable[tuple[str, str]]) -> Allowed:
    return Allowed(frozenset((module, name) for module, names in table for name in names.split()))


_DANGEROUS_MODULES = frozenset(_DANGEROUS.split())
BUILT_IN = _built_in(_PLAIN.items())
