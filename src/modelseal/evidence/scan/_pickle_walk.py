# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Walk through a pickle without running it: what would it import, call and set up?

The machine is pickle's own (`pickletools`, "A pickle is a program for a virtual pickle machine"),
with its stack and its memo, so that a name that is put together on the stack is known where it is
imported. Nothing is imported, and nothing is made. What cannot be told is a problem.

The standard library's `pickletools.genops` is not used because it copies every array and every
text; a test compares the two.
"""

import codecs
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from modelseal.evidence.scan._pickle_reader import MARGIN, BrokenPickleError, Window
from modelseal.evidence.scan._pickle_values import (
    ARRAY_WRAPPER,
    FIRST_OPCODE,
    OPAQUE,
    TEXT_KEPT,
    Global,
    Made,
    Table,
    raw_array,
)
from modelseal.evidence.scan.allowed import encodes_text_only
from modelseal.evidence.scan.source import Source

MAX_OBJECTS = 4_000_000
"""Most values on the stack and in the memo of one pickle."""

_MAX_TUPLE = 64
_MAX_PROTOCOL = 5
_MAX_NESTED = 8
_RUN = 4096  # instructions of one kind that are passed over at once
_KEPT = 8  # numbers of a run that may be a shape
_NO_MODULE = "?"
_MEMOIZE, _BINGET, _BINPUT, _SHORT_BINUNICODE = 0x94, 0x68, 0x71, 0x8C
_BININT1, _BINFLOAT, _MARK, _STOP = 0x4B, 0x47, 0x28, 0x2E
_BININT = 0x4A
_INTEGERS = {_BININT: 5, 0x4D: 3}  # and BININT2; with their lengths


@dataclass(slots=True)
class Walked:
    """What a pickle would do."""

    start: int
    end: int = 0
    imports: dict[Global, int] = field(default_factory=dict)
    """What it imports, and where first."""
    problems: dict[tuple[str, str], int] = field(default_factory=dict)
    """Rule and message, and where first."""
    calls: int = 0
    broken: BrokenPickleError | None = None
    result: object = OPAQUE


def walk(source: Source, start: int = 0, *, storages: bool = False) -> Walked:
    """Walk through the pickle that begins at `start`.

    Args:
        source: where it stands.
        start: its first byte.
        storages: whether the loader is PyTorch's, which gives storages for persistent ids.
    """
    walked = Walked(start)
    _Machine(Window(source, start), walked, storages=storages).run_to_end()
    return walked


class _Machine:
    def __init__(self, window: Window, walked: Walked, *, storages: bool, nested: int = 0) -> None:
        self.window = window
        self.walked = walked
        self.storages = storages
        self.nested = nested
        self.stack: list[object] = []
        self.outer: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.at = window.offset

    def run_to_end(self) -> None:
        try:
            self.run()
        except BrokenPickleError as error:
            self.walked.broken = error
        except (IndexError, KeyError):
            why = "it takes from its stack or its memo what is not there"
            self.walked.broken = BrokenPickleError(self.at, why)
        except (ValueError, UnicodeError):
            self.walked.broken = BrokenPickleError(self.at, "it holds a malformed value")
        self.walked.end = self.window.offset

    def run(self) -> None:  # noqa: C901, PLR0912, PLR0915 - one branch a frequent instruction, for speed
        window, memo, others = self.window, self.memo, _OTHERS
        window.refill()
        buf, pos, stack = window.buf, 0, self.stack
        limit = _limit(window)
        while True:
            if pos > limit:
                window.pos = pos
                window.refill()
                buf, pos = window.buf, 0
                limit = _limit(window)
                if not buf:
                    raise BrokenPickleError(window.offset, "it has no end")
                self.count()
            elif pos >= len(buf):
                raise BrokenPickleError(window.base + pos, "it has no end")
            op = buf[pos]
            pos += 1
            if op == _MEMOIZE:
                memo[len(memo)] = stack[-1]
            elif op == _BINGET:
                stack.append(memo[buf[pos]])
                pos += 1
            elif op == _SHORT_BINUNICODE:
                stop = pos + 1 + buf[pos]
                if stop > len(buf):
                    raise BrokenPickleError(window.base + pos, "it is cut off")
                text = buf[pos + 1 : stop]
                stack.append(text)
                pos = stop
                if pos < len(buf) and buf[pos] == _MEMOIZE:  # as it is with almost every text
                    memo[len(memo)] = text
                    pos += 1
            elif op == _BININT1:
                stack.append(buf[pos])
                pos += 1
                if pos < len(buf) and buf[pos] == _BININT1:
                    pos = self.numbers(buf, pos, 2)
            elif op == _BINFLOAT:
                count = _run(buf, pos - 1, 9)
                if not count:
                    raise BrokenPickleError(window.base + pos, "it is cut off")
                stack.extend([OPAQUE] * count)
                pos += 9 * count - 1
            elif op == _BINPUT:
                memo[buf[pos]] = stack[-1]
                pos += 1
            elif op in _INTEGERS:
                stop = pos + _INTEGERS[op] - 1
                if stop < len(buf) and buf[stop] != op:
                    stack.append(int.from_bytes(buf[pos:stop], "little", signed=op == _BININT))
                    pos = stop
                else:
                    pos = self.numbers(buf, pos - 1, _INTEGERS[op])
            elif op == _MARK:
                self.outer.append(stack)
                stack = self.stack = []
            elif op == _STOP:
                window.pos = pos
                self.walked.result = stack.pop()
                return
            else:
                window.pos = pos
                self.at = window.base + pos - 1
                handler = others.get(op)
                if handler is None:
                    raise BrokenPickleError(self.at, f"0x{op:02x} is no instruction")
                handler(self)
                buf, pos, stack = window.buf, window.pos, self.stack
                limit = _limit(window)

    def numbers(self, buf: bytes, at: int, width: int) -> int:
        """Push the integers of one kind that begin at `at`; return where they end."""
        count = _run(buf, at, width)
        if not count:
            raise BrokenPickleError(self.window.base + at, "it is cut off")
        self.stack.extend([OPAQUE] * (count - _KEPT))
        end = at + count * width
        signed = width == _INTEGERS[_BININT]
        for place in range(end - width * min(count, _KEPT) + 1, end, width):
            self.stack.append(
                int.from_bytes(buf[place : place + width - 1], "little", signed=signed)
            )
        return end

    def count(self) -> None:
        """Refuse a stack and a memo without end."""
        values = len(self.stack) + len(self.memo) + sum(len(part) + 1 for part in self.outer)
        if values > MAX_OBJECTS:
            raise BrokenPickleError(self.window.offset, f"it holds more than {MAX_OBJECTS} values")

    # What the handlers below are made of

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        return self.stack.pop()

    def to_mark(self) -> list[object]:
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def number(self, width: int) -> int:
        return int.from_bytes(self.window.take(width), "little")

    def problem(self, rule: str, message: str) -> None:
        self.walked.problems.setdefault((rule, message), self.at)

    def imported(self, module: str, name: str) -> Global:
        found = Global(module, name)
        self.walked.imports.setdefault(found, self.at)
        return found

    def call(self, called: object, arguments: object) -> None:
        self.walked.calls += 1
        if not isinstance(called, Global):
            self.problem("pickle-opaque-call", "it calls something that was not imported by name")
            self.push(OPAQUE)
            return
        if called.module == "_codecs" and called.name == "encode":
            words = tuple(map(_word, arguments)) if isinstance(arguments, tuple) else None
            if not encodes_text_only(words):
                self.problem("pickle-opaque-call", "it looks for a codec that is not a plain one")
        self.push(Made(called, arguments))

    def built(self) -> None:
        state, target = self.pop(), self.stack[-1]
        self.walked.calls += 1
        if isinstance(target, Made):
            target.state = state
            if target.by == ARRAY_WRAPPER:
                self.array(target)
        else:
            what = f"{target.module}.{target.name} itself" if isinstance(target, Global) else "it"
            self.problem("pickle-opaque-call", f"it changes {what}, and not an object of its own")

    def array(self, wrapper: Made) -> None:
        """Pass over the array that joblib has put behind its wrapper."""
        raw = raw_array(wrapper)
        if raw is None:
            message = "an array of joblib's has a type, a shape or an alignment that cannot be told"
            self.problem("pickle-opaque-call", message)
            return
        if raw.size is None:
            self.inner_pickle()
            return
        padding = self.number(1) if raw.aligned else 0
        if padding >= FIRST_OPCODE:
            self.problem("pickle-opaque-call", "the padding of an array is an instruction")
        self.window.skip(padding + raw.size)

    def inner_pickle(self) -> None:
        if self.nested >= _MAX_NESTED:
            raise BrokenPickleError(self.at, "it holds pickles in pickles in pickles")
        inner = _Machine(self.window, self.walked, storages=self.storages, nested=self.nested + 1)
        inner.run()

    def persistent(self, key: object) -> None:
        match key:
            case (b"storage", Global(), *_) if self.storages:
                pass
            case _:
                self.problem(
                    "pickle-persistent-id", "it asks its loader for an object by a persistent id"
                )
        self.push(OPAQUE)


def _run(buf: bytes, at: int, width: int) -> int:
    """Return how many whole instructions of one kind, `width` bytes each, begin at `at`."""
    if buf[at : at + 1] != buf[at + width : at + width + 1]:
        return min(1, (len(buf) - at) // width)
    codes = buf[at : at + _RUN * width : width]
    return min(len(codes) - len(codes.lstrip(codes[:1])), (len(buf) - at) // width)


def _limit(window: Window) -> int:
    """Return up to where an instruction is whole in the window."""
    at_end = window.base + len(window.buf) >= window.size
    return len(window.buf) if at_end else len(window.buf) - MARGIN


def _word(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


_Handler = Callable[[_Machine], None]


def _constant(value: object, width: int = 0) -> _Handler:
    def handler(machine: _Machine) -> None:
        if width:
            machine.window.take(width)
        machine.push(value)

    return handler


def _counted(width: int, *, text: bool, signed: bool = False, only_ascii: bool = False) -> _Handler:
    """Push a value whose length comes first."""

    def handler(machine: _Machine) -> None:
        count = int.from_bytes(machine.window.take(width), "little", signed=signed)
        if count < 0:
            raise BrokenPickleError(machine.at, "a length is negative")
        if text and count <= TEXT_KEPT:
            data = machine.window.take(count)
            machine.push(data if not only_ascii or data.isascii() else OPAQUE)
        else:
            machine.window.skip(count)
            machine.push(OPAQUE)

    return handler


def _line(machine: _Machine) -> None:
    machine.window.line()
    machine.push(OPAQUE)


def _int_line(machine: _Machine) -> None:
    line = machine.window.line()
    machine.push(
        int(line) if line is not None and re.fullmatch(rb"-?[0-9]{1,18}", line) else OPAQUE
    )


def _string_line(machine: _Machine) -> None:
    line = machine.window.line()
    if line is None:
        machine.push(OPAQUE)
        return
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):  # noqa: PLR2004 - two quotes
        raise BrokenPickleError(machine.at, "a text without quotes")
    data = _unescaped(line[1:-1])
    machine.push(
        data if isinstance(data, bytes) and data.isascii() and len(data) <= TEXT_KEPT else OPAQUE
    )


def _unescaped(data: bytes) -> object:
    if b"\\" not in data:
        return data
    with warnings.catch_warnings(action="ignore"):  # of escapes that Python calls invalid
        return codecs.escape_decode(data)[0]


def _unicode_line(machine: _Machine) -> None:
    line = machine.window.line()
    if line is None or len(line) > TEXT_KEPT:
        machine.push(OPAQUE)
        return
    machine.push(line.decode("raw-unicode-escape").encode("utf-8", "surrogatepass"))


def _name_line(machine: _Machine) -> str:
    line = machine.window.line()
    if line is None:
        machine.problem("pickle-unresolved-global", "it imports a name that is too long for one")
        return _NO_MODULE
    return line.decode("utf-8")


def _global(machine: _Machine) -> None:
    module = _name_line(machine)
    machine.push(machine.imported(module, _name_line(machine)))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if isinstance(name, bytes) and isinstance(module, bytes):
        machine.push(
            machine.imported(
                module.decode("utf-8", "surrogatepass"), name.decode("utf-8", "surrogatepass")
            )
        )
        return
    machine.problem("pickle-unresolved-global", "it imports a name that is not a plain text")
    machine.push(machine.imported(_NO_MODULE, _NO_MODULE))


def _extension(width: int) -> _Handler:
    def handler(machine: _Machine) -> None:
        code = machine.number(width)
        machine.problem("pickle-extension", f"it imports what copyreg's registry has as {code}")
        machine.push(Global(_NO_MODULE, _NO_MODULE))

    return handler


def _inst(machine: _Machine) -> None:
    module = _name_line(machine)
    called = machine.imported(module, _name_line(machine))
    machine.call(called, _small(machine.to_mark()))


def _obj(machine: _Machine) -> None:
    called, *arguments = machine.to_mark()
    machine.call(called, _small(arguments))


def _reduce(machine: _Machine) -> None:
    arguments, called = machine.pop(), machine.pop()
    machine.call(called, arguments)


def _newobj_ex(machine: _Machine) -> None:
    machine.pop()
    _reduce(machine)


def _small(items: list[object]) -> object:
    return tuple(items) if len(items) <= _MAX_TUPLE else OPAQUE


def _tuple(machine: _Machine) -> None:
    items = machine.to_mark()
    machine.push(_small(items))


def _tuple_of(count: int) -> _Handler:
    def handler(machine: _Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    return handler


def _from_mark(machine: _Machine) -> None:
    machine.to_mark()
    machine.push(OPAQUE)


def _into(machine: _Machine) -> None:
    """Append the items above the mark to what stands below it."""
    machine.to_mark()
    _ = machine.stack[-1]


def _top(machine: _Machine) -> None:
    """Ask for a value on the stack, and leave it."""
    _ = machine.stack[-1]


def _append(machine: _Machine) -> None:
    machine.pop()
    _ = machine.stack[-1]


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    target = machine.stack[-1]
    if isinstance(target, Table):
        target.put(key, value)


def _set_items(machine: _Machine) -> None:
    items = machine.to_mark()
    target = machine.stack[-1]
    if isinstance(target, Table):
        _fill(target, items)


def _fill(table: Table, items: list[object]) -> None:
    if len(items) % 2:
        raise IndexError
    for place in range(0, len(items), 2):
        table.put(items[place], items[place + 1])
        if not table.whole:
            return


def _dict(machine: _Machine) -> None:
    table = Table()
    _fill(table, machine.to_mark())
    machine.push(table)


def _pop(machine: _Machine) -> None:
    if machine.stack:
        machine.pop()
    else:
        machine.to_mark()


def _pop_mark(machine: _Machine) -> None:
    machine.to_mark()


def _get(machine: _Machine, place: int) -> None:
    machine.push(machine.memo[place])


def _put(machine: _Machine, place: int) -> None:
    if place < 0:
        raise ValueError
    machine.memo[place] = machine.stack[-1]


def _line_number(machine: _Machine) -> int:
    line = machine.window.line()
    if line is None or not re.fullmatch(rb" *[0-9]{1,18} *", line):
        raise ValueError
    return int(line)


def _protocol(machine: _Machine) -> None:
    version = machine.number(1)
    if version > _MAX_PROTOCOL:
        raise BrokenPickleError(machine.at, f"protocol {version} is not known")


def _persistent_line(machine: _Machine) -> None:
    machine.persistent(machine.window.line())


_OTHERS: dict[int, _Handler] = {
    0x80: _protocol,
    0x95: lambda m: m.window.skip(8),  # FRAME: a hint for readers
    0x49: _int_line,
    0x4C: _line,  # LONG
    0x46: _line,  # FLOAT
    0x53: _string_line,
    0x56: _unicode_line,
    0x4E: _constant(None),
    0x88: _constant(value=True),
    0x89: _constant(value=False),
    0x54: _counted(4, text=True, signed=True, only_ascii=True),  # BINSTRING
    0x55: _counted(1, text=True, only_ascii=True),  # SHORT_BINSTRING
    0x58: _counted(4, text=True),  # BINUNICODE
    0x8D: _counted(8, text=True),  # BINUNICODE8
    0x42: _counted(4, text=False),  # BINBYTES
    0x43: _counted(1, text=False),  # SHORT_BINBYTES
    0x8E: _counted(8, text=False),  # BINBYTES8
    0x96: _counted(8, text=False),  # BYTEARRAY8
    0x8A: _counted(1, text=False),  # LONG1
    0x8B: _counted(4, text=False, signed=True),  # LONG4
    0x97: _constant(OPAQUE),  # NEXT_BUFFER
    0x98: _top,  # READONLY_BUFFER
    0x5D: _constant(OPAQUE),  # EMPTY_LIST
    0x6C: _from_mark,  # LIST
    0x61: _append,
    0x65: _into,  # APPENDS
    0x29: lambda m: m.push(()),
    0x74: _tuple,
    0x85: _tuple_of(1),
    0x86: _tuple_of(2),
    0x87: _tuple_of(3),
    0x7D: lambda m: m.push(Table()),  # EMPTY_DICT
    0x64: _dict,
    0x73: _set_item,
    0x75: _set_items,
    0x8F: _constant(OPAQUE),  # EMPTY_SET
    0x90: _into,  # ADDITEMS
    0x91: _from_mark,  # FROZENSET
    0x30: _pop,
    0x32: lambda m: m.push(m.stack[-1]),  # DUP
    0x31: _pop_mark,
    0x67: lambda m: _get(m, _line_number(m)),
    0x6A: lambda m: _get(m, m.number(4)),  # LONG_BINGET
    0x70: lambda m: _put(m, _line_number(m)),
    0x72: lambda m: _put(m, m.number(4)),  # LONG_BINPUT
    0x63: _global,
    0x93: _stack_global,
    0x82: _extension(1),
    0x83: _extension(2),
    0x84: _extension(4),
    0x52: _reduce,
    0x62: lambda m: m.built(),
    0x69: _inst,
    0x6F: _obj,
    0x81: _reduce,  # NEWOBJ
    0x92: _newobj_ex,
    0x50: _persistent_line,
    0x51: lambda m: m.persistent(m.pop()),
}
