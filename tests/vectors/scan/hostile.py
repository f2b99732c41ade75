# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Hostile files of every class that is known, made here and never loaded.

Each is the smallest that shows its class, named after it, with the rule that has to find it. The
commands in them do nothing (`echo harmless`). References: CVE and GHSA identifiers as published for
picklescan, fickling, PyTorch, Keras and llama-cpp-python.
"""

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import pickletools
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.model_factory import onnx_file, safetensors_file
from tests.vectors.scan.pickle_code import (
    COMMAND,
    call,
    glob,
    stack_global,
    tar_member,
    tar_of,
    tensor_pickle,
    text,
    torch_zip,
    zip_of,
)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file that has to be denied."""

    name: str
    data: bytes
    rule: str


def hostile_files() -> list[Hostile]:
    """Return them all."""
    makers: tuple[Callable[[], Iterator[Hostile]], ...] = (
        _pickles, _hidden_pickles, _wrapped_pickles, _zips, _archives, _weights, _graphs, _texts,
    )  # fmt: skip
    return [one for maker in makers for one in maker()]


def _pickles() -> Iterator[Hostile]:
    """Yield what runs something by a name that block-lists know, or do not."""
    dangerous = "pickle-dangerous-global"
    for protocol in range(6):
        data = call("os", "system", COMMAND, protocol=protocol)
        yield Hostile(f"os-system-protocol-{protocol}.pkl", data, dangerous)
    gadgets = {
        "posix": ("posix", "system"),
        "nt": ("nt", "system"),
        "subprocess": ("subprocess", "Popen"),
        "eval": ("builtins", "eval"),
        "exec-of-python-2": ("__builtin__", "execfile"),
        "getattr": ("builtins", "getattr"),
        "import": ("builtins", "__import__"),
        "runpy": ("runpy", "_run_code"),
        "pty-spawn": ("pty", "spawn"),
        "code-interact": ("code", "InteractiveInterpreter"),
        "importlib": ("importlib", "import_module"),
        "marshal": ("marshal", "loads"),
        "webbrowser": ("webbrowser", "open"),
        "pip-main-cve-2025-1716": ("pip", "main"),
        "pkgutil-resolve-name-ghsa-vvpj-8cmc-gx39": ("pkgutil", "resolve_name"),
        "asyncio-subclass-cve-2025-10157": (
            "asyncio.unix_events",
            "_UnixSubprocessTransport._start",
        ),
        "timeit": ("timeit", "timeit"),
        "cprofile": ("cProfile", "run"),
        "bdb": ("bdb", "Bdb"),
        "doctest": ("doctest", "debug_script"),
        "unittest-mock": ("unittest.mock", "_importer"),
        "idlelib": ("idlelib.pyshell", "ModifiedInterpreter.runcommand"),
        "ensurepip": ("ensurepip", "_run_pip"),
        "lib2to3": ("lib2to3.pgen2.grammar", "Grammar.loads"),
        "operator-methodcaller": ("operator", "methodcaller"),
        "functools-partial": ("functools", "partial"),
        "numpy-runstring": ("numpy.testing._private.utils", "runstring"),
        "torch-load-from-bytes": ("torch.storage", "_load_from_bytes"),
        "torch-hub": ("torch.hub", "load"),
        "torch-inductor": ("torch._inductor.codecache", "compile_file"),
        "sqlite-extension": ("sqlite3", "connect"),
        "shutil-rmtree": ("shutil", "rmtree"),
    }
    for name, (module, attribute) in gadgets.items():
        yield Hostile(f"{name}.pkl", call(module, attribute, COMMAND), dangerous)
    for name, (module, attribute) in {
        "unknown-package": ("a_package_that_nobody_knows", "run"),
        "pandas-eval": ("pandas", "eval"),
        "sklearn-utils": ("sklearn.utils._testing", "check_output"),
        "nltk": ("nltk.app.wordnet_app", "server"),
        "pydoc-pipepager": ("pydoc", "pipepager"),
    }.items():
        yield Hostile(f"{name}.pkl", call(module, attribute, COMMAND), "pickle-unlisted-global")


def _hidden_pickles() -> Iterator[Hostile]:
    """Yield what hides the name, or the call, from a reader of instructions."""
    argument = b"(" + text(COMMAND) + b"t"
    dangerous, unlisted = "pickle-dangerous-global", "pickle-unlisted-global"
    system = stack_global("os", "system")
    yield Hostile("inst.pkl", f"(S'{COMMAND}'\nios\nsystem\n.".encode(), dangerous)
    yield Hostile("obj.pkl", b"\x80\x04(" + system + text(COMMAND) + b"o.", dangerous)
    yield Hostile("newobj.pkl", b"\x80\x04" + system + argument + b"\x81.", dangerous)
    yield Hostile("newobj-ex.pkl", b"\x80\x04" + system + argument + b"}\x92.", dangerous)
    yield Hostile(
        "build-a-class.pkl",
        b"\x80\x04" + stack_global("collections", "OrderedDict") + b"}b.",
        "pickle-opaque-call",
    )
    yield Hostile(
        "call-of-a-result.pkl",
        b"\x80\x04" + stack_global("collections", "OrderedDict") + b")R)R.",
        "pickle-opaque-call",
    )
    memo = (
        b"\x80\x04"
        + text("os")
        + b"\x940"
        + text("system")
        + b"\x940h\x00h\x01\x93"
        + argument
        + b"R."
    )
    yield Hostile("names-through-the-memo.pkl", memo, dangerous)
    put = (
        b"\x80\x04"
        + text("os")
        + b"r\xff\xff\x00\x000"
        + text("collections")
        + b"0j\xff\xff\x00\x00"
        + text("system")
        + b"\x93"
        + argument
        + b"R."
    )
    yield Hostile("names-through-a-far-memo.pkl", put, dangerous)
    swapped = b"\x80\x04" + text("os") + text("system") + text("junk") + b"0\x93" + argument + b"R."
    yield Hostile("names-below-what-is-popped.pkl", swapped, dangerous)
    strings = b"\x80\x04S'o\\x73'\nS'system'\n\x93" + argument + b"R."
    yield Hostile("names-with-escapes.pkl", strings, dangerous)
    yield Hostile(
        "names-in-raw-unicode.pkl",
        b"\x80\x04Vo\\u0073\nVsystem\n\x93" + argument + b"R.",
        dangerous,
    )
    built = (
        b"\x80\x04"
        + stack_global("builtins", "str")
        + b"("
        + text("os")
        + b"tR"
        + text("system")
        + b"\x93"
        + argument
        + b"R."
    )
    yield Hostile("names-that-a-call-makes.pkl", built, "pickle-unresolved-global")
    yield Hostile(
        "names-as-bytes.pkl",
        b"\x80\x04C\x02osC\x06system\x93" + argument + b"R.",
        "pickle-unresolved-global",
    )
    yield Hostile(
        "dotted-name-ghsa-5j3x-jp52-966f.pkl",
        call("collections", "OrderedDict.fromkeys.__func__"),
        unlisted,
    )
    yield Hostile("dotted-module-of-an-allowed-one.pkl", call("numpy.dtype", "system"), unlisted)
    yield Hostile("case-of-an-allowed-name.pkl", call("collections", "ordereddict"), unlisted)
    for width, code in (("1", b"\x82\x01"), ("2", b"\x83\x01\x02"), ("4", b"\x84\x01\x02\x03\x00")):
        yield Hostile(f"extension-{width}.pkl", b"\x80\x02" + code + b")R.", "pickle-extension")
    yield Hostile(
        "persistent-id.pkl", b"\x80\x04" + text("somewhere") + b"Q.", "pickle-persistent-id"
    )
    yield Hostile(
        "persistent-id-line.pkl",
        glob("collections", "OrderedDict") + b")R0Psomewhere\n.",
        "pickle-persistent-id",
    )
    yield Hostile("second-pickle.pkl", pickle.dumps([1]) + call("os", "system", COMMAND), dangerous)
    yield Hostile(
        "acts-before-it-breaks.pkl", call("os", "system", COMMAND)[:-1] + b"\xff\xff", dangerous
    )
    yield Hostile(
        "acts-before-it-breaks-without-a-mark.bin",
        call("os", "system", COMMAND, protocol=0)[:-1] + b"0\xff",
        dangerous,
    )
    yield Hostile("no-end.pkl", call("os", "system", COMMAND)[:-1], dangerous)
    yield Hostile(
        "trailing-bytes.pkl", pickle.dumps([1, 2]) + b"\xff" * 40, "pickle-trailing-bytes"
    )
    yield Hostile("unknown-protocol.pkl", b"\x80\x05\x80\x09N.", "pickle-broken")
    yield Hostile(
        "long-frame.pkl",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + system + argument + b"R.",
        dangerous,
    )
    yield Hostile("negative-length.pkl", b"\x80\x02T\xff\xff\xff\xff.", "pickle-broken")
    yield Hostile(
        "codec.pkl",
        b"\x80\x04"
        + stack_global("_codecs", "encode")
        + b"("
        + text("x")
        + text("evil_codec")
        + b"tR.",
        "pickle-opaque-call",
    )
    yield Hostile("named-as-text.txt", call("os", "system", COMMAND, protocol=0), dangerous)
    yield Hostile("named-as-json.json", call("posix", "system", COMMAND), dangerous)
    yield Hostile("named-as-safetensors.safetensors", call("os", "system", COMMAND), dangerous)
    yield Hostile(
        "after-many-numbers.pkl",
        b"\x80\x04](" + b"K\x01" * 700_000 + b"e0" + system + argument + b"R.",
        dangerous,
    )
    deep = (
        pickletools.optimize(pickle.dumps({"a": [(1, b"x" * 70_000)] * 3}))[:-1]
        + b"0"
        + system
        + argument
        + b"R."
    )
    yield Hostile("after-much-data.pkl", deep, dangerous)
    yield Hostile("joblib-array-that-is-code.joblib", _joblib(b""), "pickle-opaque-call")
    yield Hostile(
        "joblib-padding-that-is-code.joblib", _joblib(b"\x63os\nsystem\n"), "pickle-opaque-call"
    )


def _joblib(padding: bytes) -> bytes:
    """Return a joblib file whose array is a program for who takes the file for a plain pickle."""
    alignment = b"K\x10" if padding else b"N"
    dtype = stack_global("numpy", "dtype") + b"(" + text("u1") + b"\x89\x88tR"
    state = (
        b"}(" + text("subclass") + stack_global("numpy", "ndarray") + text("shape") + b"K\x40\x85"
        + text("order") + text("C") + text("dtype") + dtype + text("allow_mmap") + b"\x88"
        + text("numpy_array_alignment_bytes") + alignment + b"u"
    )  # fmt: skip
    wrapper = stack_global("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b"
    array = call("os", "system", COMMAND)[2:-1].ljust(64 if not padding else 99, b"0")
    return b"\x80\x04" + wrapper + padding + array + b"."


def _wrapped_pickles() -> Iterator[Hostile]:
    """Yield pickles in other files."""
    evil, dangerous = call("os", "system", COMMAND), "pickle-dangerous-global"
    yield Hostile("torch.pt", torch_zip(call("os", "system", COMMAND, protocol=2)), dangerous)
    yield Hostile(
        "torch-state.pt",
        torch_zip(tensor_pickle(glob("os", "system") + b"(X\x01\0\0\0xtR")),
        dangerous,
    )
    yield Hostile(
        "torch-second-pickle.pt", torch_zip(tensor_pickle(), {"archive/other.bin": evil}), dangerous
    )
    yield Hostile(
        "torch-extension-cve-2025-1889.pt",
        torch_zip(tensor_pickle(), {"archive/config.p": evil}),
        dangerous,
    )
    yield Hostile(
        "torch-persistent-id.pt",
        torch_zip(b"\x80\x02(X\x06\0\0\0moduleNtQ."),
        "pickle-persistent-id",
    )
    yield Hostile(
        "torchscript.pt",
        torch_zip(
            tensor_pickle(),
            {"archive/code/__torch__.py": b"op", "archive/constants.pkl": b"\x80\x02)."},
        ),
        "torchscript",
    )
    legacy = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    yield Hostile(
        "torch-legacy.pt",
        b"".join(pickle.dumps(one, 2) for one in legacy)
        + call("os", "system", COMMAND, protocol=2),
        dangerous,
    )
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + evil
    yield Hostile("objects.npy", npy, dangerous)
    yield Hostile("objects.npz", zip_of({"a.npy": npy}, deflated=True), dangerous)
    yield Hostile("joblib.z", zlib.compress(evil), dangerous)
    yield Hostile("joblib.gz", gzip.compress(evil, mtime=0), dangerous)
    yield Hostile("joblib.bz2", bz2.compress(evil), dangerous)
    yield Hostile("joblib.xz", lzma.compress(evil), dangerous)
    yield Hostile("joblib.lzma", lzma.compress(evil, lzma.FORMAT_ALONE), dangerous)
    yield Hostile(
        "gzip-in-gzip.gz", gzip.compress(gzip.compress(evil, mtime=0), mtime=0), dangerous
    )
    yield Hostile(
        "pickle-in-zip-in-tar.tar", tar_of((tar_member("m.zip"), zip_of({"m": evil}))), dangerous
    )
    yield Hostile("lz4.bin", b"\x04\x22\x4d\x18" + bytes(40), "archive-unsupported")


def _zips() -> Iterator[Hostile]:  # noqa: PLR0915 - one file a line
    """Yield archives that two readers understand differently."""
    good = torch_zip(tensor_pickle())
    evil = torch_zip(call("os", "system", COMMAND, protocol=2))
    name = b"archive/data.pkl"
    at = good.index(b"PK\x01\x02")
    local_name = good.replace(name, b"archive/data.txt", 1)
    yield Hostile("zip-local-name-cve-2025-1944.pt", local_name, "zip-header-mismatch")
    central = good.index(name, at)
    yield Hostile(
        "zip-central-name.pt",
        good[:central] + b"archive/data.txt" + good[central + len(name) :],
        "zip-header-mismatch",
    )
    yield Hostile(
        "zip-encrypted-flag-cve-2025-1945.pt", evil[:6] + b"\x01" + evil[7:], "zip-header-mismatch"
    )
    at_evil = evil.index(b"PK\x01\x02")
    both = bytearray(evil)
    both[6] |= 1
    both[at_evil + 8] |= 1
    yield Hostile("zip-encrypted-flags.pt", bytes(both), "zip-encrypted")
    crc = bytearray(evil)
    crc[14] ^= 0xFF
    crc[at_evil + 16] ^= 0xFF
    yield Hostile("zip-crc-cve-2025-10156.pt", bytes(crc), "zip-crc-mismatch")
    method = bytearray(evil)
    method[8], method[at_evil + 10] = 99, 99
    yield Hostile("zip-method.pt", bytes(method), "zip-method")
    yield Hostile(
        "zip-prepended-pickle.pt",
        call("os", "system", COMMAND, protocol=2) + good,
        "zip-prepended-data",
    )
    yield Hostile("zip-prepended-bytes.zip", b"PK\x03\x04" + bytes(60) + good, "zip-prepended-data")
    yield Hostile("zip-appended-bytes.pt", good + b"more", "zip-broken")
    yield Hostile(
        "zip-hidden-member.pt",
        _hide_first(zip_of({"hidden": call("os", "system"), "a.txt": b"text"})),
        "zip-hidden-data",
    )
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr(zipfile.ZipInfo("data"), b"first")
        archive.filelist[0].filename = "other"
        archive.NameToInfo.clear()
        archive.writestr(zipfile.ZipInfo("data"), b"second")
        archive.filelist[0].filename = "data"
    yield Hostile("zip-duplicate.zip", raw.getvalue(), "zip-duplicate-name")
    yield Hostile("zip-slip.zip", zip_of({"../../home/user/.bashrc": b"x"}), "archive-unsafe-path")
    yield Hostile("zip-absolute.zip", zip_of({"/etc/cron.d/x": b"x"}), "archive-unsafe-path")
    yield Hostile("zip-backslash.zip", zip_of({"..\\x": b"x"}), "archive-unsafe-path")
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    yield Hostile("zip-link.zip", raw.getvalue(), "archive-link")
    overlap = bytearray(zip_of({"a": b"x" * 10, "b": b"y" * 10}))
    second = overlap.index(b"PK\x01\x02", overlap.index(b"PK\x01\x02") + 4)
    overlap[second + 42 : second + 46] = struct.pack("<L", 5)
    yield Hostile("zip-overlap.zip", bytes(overlap), "zip-hidden-data")
    yield Hostile("zip-cut-off.zip", good[: len(good) // 2], "zip-broken")
    nested = call("os", "system", COMMAND)
    for _ in range(12):
        nested = zip_of({"m": nested})
    yield Hostile("zip-nested.zip", nested, "archive-nested-too-deep")
    yield Hostile(
        "zip-bomb.zip", zip_of({"zeros.bin": bytes(70 << 20)}, deflated=True), "archive-bomb"
    )
    yield Hostile("polyglot.png", b"\x89PNG\r\n\x1a\n" + bytes(40) + evil, "zip-prepended-data")


def _hide_first(raw: bytes) -> bytes:
    """Take the first member out of an archive's directory, and leave its bytes."""
    start = raw.index(b"PK\x01\x02")
    second = raw.index(b"PK\x01\x02", start + 4)
    end = raw.index(b"PK\x05\x06")
    tail = bytearray(raw[end:])
    struct.pack_into("<HHLL", tail, 8, 1, 1, end - second, start)
    return raw[:start] + raw[second:end] + bytes(tail)


def _archives() -> Iterator[Hostile]:
    for name, kind in (("link", tarfile.SYMTYPE), ("hard-link", tarfile.LNKTYPE)):
        member = tar_member("m", kind, "/etc/passwd")
        yield Hostile(f"tar-{name}.tar", tar_of((member, b"")), "archive-link")
    yield Hostile("tar-device.tar", tar_of((tar_member("m", tarfile.CHRTYPE), b"")), "archive-link")
    yield Hostile("tar-pipe.tar", tar_of((tar_member("m", tarfile.FIFOTYPE), b"")), "archive-link")
    yield Hostile("tar-slip.tar", tar_of((tar_member("../m"), b"x")), "archive-unsafe-path")
    yield Hostile("tar-absolute.tar", tar_of((tar_member("/etc/m"), b"x")), "archive-unsafe-path")
    link = tar_of((tar_member("m", tarfile.SYMTYPE, "/etc/passwd"), b""))
    yield Hostile("tar-link.tar.gz", gzip.compress(link, mtime=0), "archive-link")
    yield Hostile("bomb.gz", gzip.compress(bytes(70 << 20), 9, mtime=0), "archive-bomb")
    yield Hostile("cut-off.gz", gzip.compress(b"x" * 1000, mtime=0)[:-6], "archive-broken")
    yield Hostile("archive.7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(40), "archive-unsupported")
    yield Hostile("archive.rar", b"Rar!\x1a\x07\x01\x00" + bytes(40), "archive-unsupported")


def _weights() -> Iterator[Hostile]:
    """Yield weights whose headers do not hold."""
    broken = "safetensors-broken"
    good = {"w": ("F32", (2,), bytes(8))}

    def header(value: object, data: bytes = bytes(8)) -> bytes:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return struct.pack("<Q", len(raw)) + raw + data

    w = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    yield Hostile("appended.safetensors", safetensors_file(good) + b"more", broken)
    yield Hostile("cut-off.safetensors", safetensors_file(good)[:-1], broken)
    yield Hostile("overlap.safetensors", header({"a": w, "b": w}), broken)
    yield Hostile(
        "gap.safetensors", header({"a": w, "b": {**w, "data_offsets": [16, 24]}}, bytes(24)), broken
    )
    yield Hostile("shape.safetensors", header({"a": {**w, "shape": [1 << 40, 1 << 40]}}), broken)
    yield Hostile("negative.safetensors", header({"a": {**w, "shape": [-2, -1]}}), broken)
    yield Hostile("unknown-dtype.safetensors", header({"a": {**w, "dtype": "EVIL"}}), broken)
    one = json.dumps(w).encode()
    yield Hostile("two-keys.safetensors", header(b'{"a":' + one + b',"a":' + one + b"}"), broken)
    yield Hostile("metadata.safetensors", header({"__metadata__": {"a": {"b": 1}}, "w": w}), broken)
    yield Hostile("extra-field.safetensors", header({"w": {**w, "code": "x"}}), broken)
    yield Hostile("no-weights.safetensors", bytes(range(7, 200)), "unknown-binary")
    archive = torch_zip(tensor_pickle())
    yield Hostile(
        "polyglot.safetensors",
        safetensors_file({"w": ("U8", (len(archive),), archive)}),
        "zip-prepended-data",
    )
    npy = b"\x93NUMPY\x01\x00\x36\x00{'descr':'<f8','fortran_order':False,'shape':(9,)}     \n"
    yield Hostile("short.npy", npy + bytes(8), "npy-broken")
    yield Hostile("header.npy", npy.replace(b"False,", b"(1==1),") + bytes(72), "npy-broken")
    template = "{% for m in messages %}{{ ''.__class__.__mro__[1].__subclasses__() }}{% endfor %}"
    yield Hostile(
        "template-cve-2024-34359.gguf", gguf({"tokenizer.chat_template": template}), "template-code"
    )
    yield Hostile("cut-off.gguf", gguf({"general.name": "x"})[:-4], "gguf-broken")
    yield Hostile("many-keys.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 62), "gguf-broken")
    yield Hostile("long-text.gguf", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 63), "gguf-broken")
    yield Hostile("overlap.gguf", gguf({}, [("a", 64, 0), ("b", 64, 32)]), "gguf-broken")
    yield Hostile("past-the-end.gguf", gguf({}, [("a", 1 << 40, 0)]), "gguf-broken")
    yield Hostile("two-keys.gguf", gguf({"a": "x"}, twice=True), "gguf-broken")
    yield Hostile("unknown.bin", bytes(range(150, 250)) * 10, "unknown-binary")


def gguf(
    keys: dict[str, str], tensors: list[tuple[str, int, int]] | None = None, *, twice: bool = False
) -> bytes:
    """Return a GGUF file: texts by key, and tensors as name, float32 items and offset."""

    def string(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    entries = [string(key) + struct.pack("<I", 8) + string(value) for key, value in keys.items()]
    if twice:
        entries *= 2
    infos = [
        string(name) + struct.pack("<IQIQ", 1, items, 0, offset)
        for name, items, offset in tensors or []
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(entries)) + b"".join(entries + infos)
    size = max((offset + 4 * items for _, items, offset in tensors or []), default=0)
    return head + bytes(-len(head) % 32 if infos else 0) + bytes(min(size, 4096))


def _field(number: int, value: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def onnx_with(location: str = "", domain: str = "", *, inner: bool = False) -> bytes:
    """Return an ONNX model with weights elsewhere, or with an operator of another domain."""
    entry = _field(1, b"location") + _field(2, location.encode())
    tensor = (
        b"\x08\x04\x10\x01"
        + _field(8, b"w")
        + (_field(13, entry) + b"\x70\x01" if location else b"")
    )
    node = _field(2, b"y") + _field(4, b"Op") + (_field(7, domain.encode()) if domain else b"")
    if inner:
        node += _field(5, _field(1, b"value") + _field(5, tensor))
    graph = _field(1, node) + _field(2, b"g") + (b"" if inner else _field(5, tensor))
    opset = _field(8, _field(1, b"") + b"\x10\x11")
    return b"\x08\x08" + _field(7, graph) + opset


def _graphs() -> Iterator[Hostile]:
    yield Hostile("external-up.onnx", onnx_with("../../etc/passwd"), "onnx-external-path")
    yield Hostile("external-absolute.onnx", onnx_with("/etc/passwd"), "onnx-external-path")
    yield Hostile("external-windows.onnx", onnx_with("C:\\x\\weights"), "onnx-external-path")
    yield Hostile(
        "external-in-a-constant.onnx", onnx_with("../secret", inner=True), "onnx-external-path"
    )
    yield Hostile(
        "custom-operator.onnx", onnx_with(domain="ai.onnx.contrib"), "onnx-custom-operators"
    )
    cut = onnx_file()
    yield Hostile("cut-off.onnx", cut[:-3], "unknown-binary")
    node = _field(1, b"n") + _field(2, b"WriteFile")
    yield Hostile(
        "saved_model.pb",
        b"\x08\x01" + _field(2, _field(2, _field(1, node))),
        "tensorflow-dangerous-operator",
    )
    frozen = _field(1, _field(1, b"n") + _field(2, b"PyFunc"))
    yield Hostile("frozen.pb", frozen, "tensorflow-dangerous-operator")
    plain = _field(1, _field(1, b"n") + _field(2, b"Const"))
    yield Hostile("graph.pb", plain, "tensorflow-graph")

    def keras(layer: dict[str, object]) -> bytes:
        config = {"module": "keras", "class_name": "Sequential", "registered_name": None,
                  "config": {"name": "m", "layers": [layer]}}  # fmt: skip
        return zip_of({"metadata.json": b"{}", "config.json": json.dumps(config).encode()})

    code = base64.b64encode(b"\xe3" + bytes(20)).decode()
    value: dict[str, object] = {"class_name": "__lambda__", "config": {"code": code}}
    layer: dict[str, object] = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"function": value},
    }
    yield Hostile("lambda.keras", keras(layer), "keras-lambda")
    yield Hostile(
        "module-cve-2025-1550.keras",
        keras(
            {
                "module": "os",
                "class_name": "function",
                "config": "system",
                "registered_name": "function",
            }
        ),
        "keras-foreign-class",
    )
    yield Hostile(
        "get-file-cve-2025-8747.keras",
        keras({"module": "keras.utils", "class_name": "function", "config": "get_file"}),
        "keras-foreign-class",
    )
    yield Hostile(
        "vocabulary-cve-2025-12058.keras",
        keras(
            {
                "module": "keras.layers",
                "class_name": "StringLookup",
                "config": {"vocabulary": "/etc/passwd"},
            }
        ),
        "keras-reads-files",
    )
    yield Hostile(
        "torch-wrapper-cve-2025-49655.keras",
        keras(
            {
                "module": "keras.layers",
                "class_name": "TorchModuleWrapper",
                "config": {"module": "gASV"},
            }
        ),
        "keras-lambda",
    )
    yield Hostile(
        "own-class.keras",
        keras(
            {
                "module": "evil",
                "class_name": "Layer",
                "config": {},
                "registered_name": "Custom>Layer",
            }
        ),
        "keras-foreign-class",
    )
    hdf5 = (
        b"\x89HDF\r\n\x1a\n"
        + bytes(200)
        + b'{"class_name": "Functional", '
        + b'"config": {"layers": [{"class_name": "Lambda", "config": {}}]}}'
    )
    yield Hostile("lambda-cve-2025-9905.h5", hdf5, "keras-lambda")
    yield Hostile("user-block.h5", bytes(range(130, 130 + 64)) * 8 + hdf5, "keras-lambda")


def _texts() -> Iterator[Hostile]:
    secret, template = "secret", "template-code"
    yield Hostile(
        "config.json",
        json.dumps({"auto_map": {"AutoModel": "modeling.Evil"}}).encode(),
        "remote-code",
    )
    for number, code in enumerate((
        "{{ x.__globals__ }}", "{{ x|attr('_'~'_class'~'_') }}", "{{ x['\\x5f\\x5fclass'] }}",
        "{% import 'os' as os %}", "{{ cycler.next }}", "{{ lipsum }}", "{{ ('_'*2)+'x' }}",
    )):  # fmt: skip
        document = {"chat_template": "{% for m in messages %}" + code + "{% endfor %}"}
        yield Hostile(f"tokenizer-config-{number}.json", json.dumps(document).encode(), template)
    named = {"chat_template": [{"name": "tool", "template": "{{ x.__class__ }}"}]}
    yield Hostile("named-template.json", json.dumps(named).encode(), template)
    yield Hostile(
        "chat_template.jinja", b"{% for m in messages %}{{ m.__init__ }}{% endfor %}", template
    )
    pmml = b'<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/passwd">]><PMML>&x;</PMML>'
    yield Hostile("entities.pmml", pmml, "xml-entities")
    yield Hostile("entities-utf-16.pmml", pmml.decode().encode("utf-16"), "xml-entities")
    yield Hostile("program", b"\x7fELF\x02\x01\x01" + bytes(60), "executable")
    yield Hostile("library.dll", b"MZ\x90\x00" + bytes(60), "executable")
    yield Hostile("module.pyc", b"\xa7\r\r\n\x00\x00\x00\x00" + bytes(20), "executable")
    body = base64.b64encode(bytes(range(256))).decode()
    yield Hostile("key.txt", f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END".encode(), secret)
    yield Hostile(
        "key.json",
        json.dumps({"private_key": f"-----BEGIN RSA PRIVATE KEY-----\n{body}"}).encode(),
        secret,
    )
    yield Hostile("aws.env", b"AWS_ACCESS_KEY_ID=" + b"AKIA" + b"Q3EGVYX7ZN5LPDWR", secret)
    yield Hostile("hf.yaml", b"token: " + b"hf_" + b"QwErTyUiOpAsDfGhJkLzXcVbNmPoIuYtRe", secret)
    token = b"x7Kq2LmZ9vR4tYb8NcWd3PfHs6JgAe"
    yield Hostile("github.md", b"use " + b"ghp_" + token + _crc62(token), secret)


def _crc62(body: bytes) -> bytes:
    """Return the checksum at the end of a token of GitHub's."""
    letters, value, digits = (
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        zlib.crc32(body),
        "",
    )
    while value:
        value, digit = divmod(value, 62)
        digits = letters[digit] + digits
    return digits.rjust(6, "0").encode()
