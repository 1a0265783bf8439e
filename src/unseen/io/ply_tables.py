"""The .ply container: a text header that names elements and their properties, then one table after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unseen.core.errors import FormatError
from unseen.io.atomic import PathLike
from unseen.io.reading import read_bytes

_NUMPY_TYPES = {
    **dict.fromkeys(["char", "int8"], "i1"),
    **dict.fromkeys(["uchar", "uint8"], "u1"),
    **dict.fromkeys(["short", "int16"], "i2"),
    **dict.fromkeys(["ushort", "uint16"], "u2"),
    **dict.fromkeys(["int", "int32"], "i4"),
    **dict.fromkeys(["uint", "uint32"], "u4"),
    **dict.fromkeys(["float", "float32"], "f4"),
    **dict.fromkeys(["double", "float64"], "f8"),
}
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class Element:
    """One element of the header: its name, number of rows and properties (name, numpy type; None for a list)."""

    name: str
    count: int
    properties: list[tuple[str, str | None]]


@dataclass(frozen=True)
class PlyTables:
    """A .ply file of which the header is read: numpy's byte order ("=" for text), elements, all bytes and where the
    first table starts."""

    path: PathLike
    order: str
    elements: list[Element]
    data: bytes
    start: int

    def element(self, name: str) -> Element | None:
        """The first element of that name, if there is one."""
        return next((element for element in self.elements if element.name == name), None)

    def rows(self, name: str) -> np.ndarray:
        """The rows of an element as a structured array; what stands before it is skipped.

        Raises:
            FormatError: truncated, no such element, or one behind rows of varying length.
        """
        text = self.data[self.start :].decode("ascii", "replace").splitlines() if self.order == "=" else []
        start, row = self.start, 0
        for element in self.elements:
            if any(kind is None for _, kind in element.properties):
                break  # rows of varying length: what follows cannot be found in a binary file
            dtype = np.dtype([(name, self.order + str(kind)) for name, kind in element.properties])
            available = len(text) - row if self.order == "=" else (len(self.data) - start) // max(dtype.itemsize, 1)
            if available < element.count:
                raise FormatError(
                    f"{self.path} is truncated: {available} of its {element.count} {element.name} rows are there"
                )
            if element.name == name and element.properties:
                if self.order == "=":
                    return _parse_text(self.path, name, text[row : row + element.count], dtype)
                return np.frombuffer(self.data, dtype, element.count, start)
            start, row = start + element.count * dtype.itemsize, row + element.count
        names = ", ".join(element.name for element in self.elements) or "none"
        raise FormatError(f"{self.path} holds no readable {name} element (elements: {names}): expected 3D Gaussians")


def read_ply_tables(path: PathLike) -> PlyTables:
    """Open a .ply file: ascii or binary of either byte order.

    Raises:
        InputError: no such file.
        FormatError: not a .ply file, or a malformed header.
    """
    data = read_bytes(path)
    if not data.startswith(b"ply"):
        raise FormatError(f"{path} is not a .ply file: it does not start with the line 'ply'")
    end = data.find(b"end_header", 0, _MAX_HEADER_BYTES)
    start = data.find(b"\n", end) + 1
    if end < 0 or start == 0:
        raise FormatError(f"{path} is truncated or damaged: its .ply header has no end")
    order, elements = "", []
    for line in data[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = _ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(Element(words[1], int(words[2]), []))
            elif words[:1] == ["property"]:
                elements[-1].properties.append((words[-1], None if words[1] == "list" else _NUMPY_TYPES[words[1]]))
        except (IndexError, KeyError, ValueError) as error:
            raise FormatError(f"{path} has a malformed .ply header line: {line[:80]!r}") from error
    if not order:
        raise FormatError(f"{path} has a .ply header without a format line")
    for element in elements:
        names = [name for name, _ in element.properties]
        if element.count < 0 or len(set(names)) < len(names):
            raise FormatError(f"{path} has a malformed .ply header: element {element.name} of {element.count} rows")
    return PlyTables(path, order, elements, data, start)


def _parse_text(path: PathLike, name: str, rows: list[str], dtype: np.dtype) -> np.ndarray:
    width = len(dtype.names or ())
    try:
        table = np.array([row.split() for row in rows], np.float64).reshape(len(rows), width)
    except ValueError as error:
        raise FormatError(f"{path} is damaged: its {name} rows are not all {width} numbers") from error
    vertex = np.empty(len(rows), dtype)
    with np.errstate(invalid="ignore"):  # a number too large for its column's type
        for index, column in enumerate(dtype.names or ()):
            vertex[column] = table[:, index]
    return vertex
