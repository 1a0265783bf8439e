"""Reading the pickles head models are published as, without executing anything in them.

FLAME comes as python-2 pickles holding chumpy arrays and scipy sparse matrices, its landmark tables as numpy object
arrays around a pickle. A pickle is a program: here every class or function it names is looked up in a short table of
passive stand-ins that only record what they are given; anything else is refused. The stand-ins become plain numpy
arrays afterwards, built by bounds-checked operations. Neither chumpy nor numpy's, scipy's or torch's own unpickling
code runs.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from unseen.core.errors import FormatError, InputError


class UnsafePickleError(FormatError):
    """A pickle names a class or function that is not on the list of harmless ones."""


def load_pickle(path: str | os.PathLike[str]) -> Any:
    """Read a pickle (python 2 or 3) of plain data: numbers, strings, lists, dicts, arrays (numpy, chumpy, scipy sparse,
    torch). Arrays of all kinds come back as dense numpy arrays.

    Raises:
        InputError: there is no such file.
        UnsafePickleError: it names anything else; nothing has been executed.
        FormatError: it is not a pickle, or damaged.
    """
    return loads(_read(path), str(path))


def load_object_npy(path: str | os.PathLike[str]) -> Any:
    """Read a .npy file: an ordinary array or an object array (around a pickle). A 0-d array gives its content.

    Raises: as `load_pickle`.
    """
    return _parse_npy(_read(path), str(path))


def load_object_npz(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a .npz file, object arrays included; each array as `load_object_npy` gives it.

    Raises: as `load_pickle`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(_read(path))) as archive:
            return {
                name.removesuffix(".npy"): _parse_npy(archive.read(name), f"{path}:{name}")
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise FormatError(f"{path} is not a .npz file: {error}") from error


def loads(data: bytes, name: str = "the data") -> Any:
    """Read a pickle from bytes; see `load_pickle`. `name` is what messages call it."""
    try:
        return _finish(_Unpickler(io.BytesIO(data), name).load(), {})
    except UnsafePickleError:
        raise
    except Exception as error:  # a hostile or damaged pickle may fail in any way; all of them mean the same
        raise FormatError(f"{name} is not a readable pickle: {type(error).__name__}: {error}") from error


def _parse_npy(data: bytes, name: str) -> Any:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if not dtype.hasobject:
            stream.seek(0)
            return np.lib.format.read_array(stream, allow_pickle=False)[()]
    except (ValueError, EOFError) as error:
        raise FormatError(f"{name} is not a .npy file: {error}") from error
    value = loads(data[stream.tell() :], name)
    return value[()] if isinstance(value, np.ndarray) and shape == () else value


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


class _Node:
    """Stand-in for an object of the pickle: keeps constructor arguments and state, does nothing with them."""

    def __new__(cls, *args: Any, **_: Any) -> _Node:
        node = super().__new__(cls)
        node.args, node.state = args, None
        return node

    args: tuple[Any, ...]
    state: Any

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, memo: dict[int, Any]) -> Any:
        """What the object stands for, as plain data."""
        raise ValueError(f"a bare {type(self).__name__.strip('_')} holds no data")


class _DType(_Node):
    """numpy.dtype(spec, align, copy) with state (version, byte order, subarray, names, fields, ...)."""

    def value(self, memo: dict[int, Any]) -> np.dtype:
        dtype = np.dtype(str(self.args[0]))
        if dtype.kind not in "biufcOSU" or (self.state is not None and any(x is not None for x in self.state[2:5])):
            raise ValueError(f"arrays of dtype {self.args[0]!r} are not expected here")
        return dtype.newbyteorder(">") if self.state is not None and self.state[1] == ">" else dtype.newbyteorder("<")


class _Array(_Node):
    """numpy's array: state (version, shape, dtype, is_fortran, bytes or list)."""

    def value(self, memo: dict[int, Any]) -> np.ndarray:
        _, shape, dtype, fortran, data = self.state
        return _array(data, dtype, shape, "F" if fortran else "C", memo)


class _Buffer(_Node):
    """Protocol 5's form of an array: arguments (bytes, dtype, shape, order)."""

    def value(self, memo: dict[int, Any]) -> np.ndarray:
        data, dtype, shape, order = self.args
        return _array(data, dtype, shape, order, memo)


class _Scalar(_Node):
    """A numpy scalar: arguments (dtype, bytes)."""

    def value(self, memo: dict[int, Any]) -> Any:
        return _array(self.args[1], self.args[0], (), "C", memo)[()]


class _Chumpy(_Node):
    """Any chumpy object. An array keeps its numbers under `x`; a selection keeps `a`, `idxs`, `preferred_shape`."""

    def value(self, memo: dict[int, Any]) -> np.ndarray:
        state = self.state if isinstance(self.state, dict) else {}
        if "x" in state:
            return np.asarray(_finish(state["x"], memo))
        if "a" in state and "idxs" in state:
            picked = np.asarray(_finish(state["a"], memo)).ravel()[np.asarray(_finish(state["idxs"], memo))]
            shape = _finish(state.get("preferred_shape"), memo)
            return picked if shape is None else picked.reshape(shape)
        raise ValueError(f"a chumpy expression with {sorted(map(str, state))} is not a stored array")


class _Csc(_Node):
    """scipy's compressed sparse columns: state with data, indices, indptr, _shape. Becomes dense."""

    def value(self, memo: dict[int, Any]) -> np.ndarray:
        state = _finish(self.state, memo)
        rows, columns = state["indices"], np.repeat(np.arange(len(state["indptr"]) - 1), np.diff(state["indptr"]))
        return _dense(state, *self._row_column(rows, columns))

    def _row_column(self, inner: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inner, outer


class _Csr(_Csc):
    """Compressed sparse rows."""

    def _row_column(self, inner: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return outer, inner


class _Coo(_Node):
    """scipy's coordinate format: state with data, row, col (newer: coords), _shape. Becomes dense."""

    def value(self, memo: dict[int, Any]) -> np.ndarray:
        state = _finish(self.state, memo)
        return _dense(state, *(state["coords"] if "coords" in state else (state["row"], state["col"])))


class _Storage(_Node):
    """torch's storage as bytes; read by torch's own weights-only reader, which executes nothing either."""

    def value(self, memo: dict[int, Any]) -> torch.Tensor:
        storage = torch.load(io.BytesIO(_to_bytes(self.args[0], memo)), weights_only=True, map_location="cpu")
        return torch.tensor([], dtype=storage.dtype).set_(storage)


class _Tensor(_Node):
    """A torch tensor: arguments (storage, offset, size, stride, ...)."""

    def value(self, memo: dict[int, Any]) -> np.ndarray:
        storage, offset, size, stride = self.args[:4]
        return _finish(storage, memo).as_strided(tuple(size), tuple(stride), int(offset)).numpy().copy()


class _Instance(_Node):
    """copyreg's way to make an object: arguments (class, base, state of base). Gives an empty object of the class."""

    def __new__(cls, *args: Any, **_: Any) -> _Node:  # type: ignore[misc]
        if not (args and isinstance(args[0], type) and issubclass(args[0], _Node)):
            raise ValueError("an object of an unexpected class")
        return args[0].__new__(args[0])


class _Encoded(_Node):
    """Bytes written by python 3 in an old protocol: arguments (text, encoding), none for no bytes."""

    def value(self, memo: dict[int, Any]) -> bytes:
        if not self.args:
            return b""
        if self.args[1:] and self.args[1] not in ("latin1", "latin-1"):
            raise ValueError(f"bytes encoded as {self.args[1]!r}")
        return _to_bytes(self.args[0], memo)


_SPARSE = {"csc": _Csc, "csr": _Csr, "coo": _Coo}
_KNOWN: dict[tuple[str, str], type] = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
    ("copy_reg", "_reconstructor"): _Instance,
    ("copyreg", "_reconstructor"): _Instance,
    ("_codecs", "encode"): _Encoded,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch.storage", "_load_from_bytes"): _Storage,
    ("collections", "OrderedDict"): dict,
    **{
        (module, name): kind
        for module in ("__builtin__", "builtins")
        for name, kind in (("object", object), ("set", set), ("bytes", _Encoded))
    },
    **{
        (f"numpy.{core}.{module}", name): node
        for core in ("core", "_core")
        for module, name, node in (
            ("multiarray", "_reconstruct", _Instance),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _Buffer),
        )
    },
    **{
        (f"scipy.sparse.{module}", f"{kind}_{flavour}"): node
        for kind, node in _SPARSE.items()
        for module in (kind, f"_{kind}")
        for flavour in ("matrix", "array")
    },
}


class _Unpickler(pickle.Unpickler):
    """Looks names up in the table, and nowhere else."""

    def __init__(self, stream: io.BytesIO, name: str) -> None:
        super().__init__(stream, encoding="latin1")
        self._name = name

    def find_class(self, module: str, name: str) -> type:
        if module == "chumpy" or module.startswith("chumpy."):
            return _Chumpy
        if (module, name) not in _KNOWN:
            raise UnsafePickleError(
                f"{self._name} wants to use {module}.{name}, which a head model has no need of: refused, nothing was "
                "executed. Expected plain data, numpy, chumpy or scipy arrays; get the file from its publisher"
            )
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnsafePickleError(f"{self._name} refers to an object outside itself ({pid!r}): refused")


def _finish(value: Any, memo: dict[int, Any]) -> Any:
    """Replace every stand-in within plain containers by what it stands for."""
    if not isinstance(value, _Node | dict | list | tuple | set):
        return value
    if id(value) not in memo:
        memo[id(value)] = None  # an object inside itself: no head model has one
        if isinstance(value, _Node):
            memo[id(value)] = value.value(memo)
        elif isinstance(value, dict):
            memo[id(value)] = {_finish(k, memo): _finish(v, memo) for k, v in value.items()}
        else:
            memo[id(value)] = type(value)(_finish(v, memo) for v in value)
    return memo[id(value)]


def _array(data: Any, dtype: _DType, shape: tuple[int, ...], order: str, memo: dict[int, Any]) -> np.ndarray:
    kind = dtype.value(memo)
    if kind.hasobject:
        flat = np.empty(len(data), object)
        for i, item in enumerate(data):
            flat[i] = _finish(item, memo)
    else:
        flat = np.frombuffer(_to_bytes(data, memo), kind).astype(kind.newbyteorder("="))
    return flat.reshape(tuple(int(n) for n in shape), order="F" if order == "F" else "C")


def _to_bytes(data: Any, memo: dict[int, Any]) -> bytes:
    data = _finish(data, memo)
    if isinstance(data, str):
        return data.encode("latin1")
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    raise ValueError(f"{type(data).__name__} where bytes are expected")


def _dense(state: dict[str, Any], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sum the entries into a matrix; numpy refuses indices outside it."""
    height, width = (int(n) for n in state["_shape" if "_shape" in state else "shape"])
    if height * width > 2**28:
        raise ValueError(f"a matrix of {height} x {width} is too large for a head model")
    dense = np.zeros((height, width), state["data"].dtype)
    np.add.at(dense, (np.asarray(rows), np.asarray(columns)), state["data"])
    return dense
