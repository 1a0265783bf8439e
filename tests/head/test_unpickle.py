"""Head-model pickles are read without executing anything; whatever else they hold is refused."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch

from unseen.core.errors import FormatError, InputError
from unseen.head.unpickle import UnsafePickleError, load_object_npy, load_pickle, loads


@pytest.fixture
def chumpy(monkeypatch):
    """A package named chumpy that exists while pickling and is gone while reading."""
    ch, reordering = types.ModuleType("chumpy.ch"), types.ModuleType("chumpy.reordering")

    class Ch:
        def __init__(self, **state):
            self.__dict__.update(state)

    class Select(Ch):
        pass

    for module, kind in ((ch, Ch), (reordering, Select)):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    modules = {"chumpy": types.ModuleType("chumpy"), "chumpy.ch": ch, "chumpy.reordering": reordering}

    def dump(make, protocol=2):
        sys.modules.update(modules)
        try:
            return pickle.dumps(make(Ch, Select), protocol)
        finally:
            for name in modules:
                del sys.modules[name]

    return dump


def python2_pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """Protocol 2 as python 2 wrote it: byte strings as SHORT_BINSTRING or BINSTRING, modules under their old names."""

    def string(raw: bytes) -> bytes:
        return b"T" + len(raw).to_bytes(4, "little") + raw

    def integer(n: int) -> bytes:
        return b"J" + n.to_bytes(4, "little", signed=True)

    out = b"\x80\x02}("
    for key, array in arrays.items():
        code = array.dtype.str[1:].encode()
        dtype = b"cnumpy\ndtype\n(" + string(code) + b"K\x00K\x01tR(K\x03U\x01<NNN" + integer(-1) * 2 + b"K\x00tb"
        shape = b"(" + b"".join(integer(n) for n in array.shape) + b"t"
        out += string(key.encode()) + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        out += b"(K\x01" + shape + dtype + b"\x89" + string(array.tobytes()) + b"tb"
    return out + b"u."


def test_python2_arrays():
    arrays = {"f": np.arange(12, dtype="<u4").reshape(4, 3), "v": np.linspace(0, 9, 6).reshape(1, 3, 2)}
    back = loads(python2_pickle(arrays))
    for key, array in arrays.items():
        np.testing.assert_array_equal(back[key], array)
        assert back[key].dtype == array.dtype


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_numpy_scipy_torch_and_plain_data(protocol):
    sparse = scipy.sparse.random(5, 9, 0.3, random_state=0)
    data = {
        "plain": [1, -2.5, "text", (True, None), {"a": {1, 2}}],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">f4"),
        "empty": np.zeros((0, 3), np.float32),
        "strings": np.array(["ab", "c"]),
        "objects": np.array([np.arange(2), "x"], dtype=object),
        "scalar": np.float32(1.5),
        "bytes": b"\x00\xff",
        "tensor": torch.arange(12).reshape(3, 4).T[1:],
    }
    back = loads(pickle.dumps(data, protocol))
    assert back["plain"] == data["plain"] and back["bytes"] == data["bytes"] and back["scalar"] == 1.5
    for key in ("fortran", "big", "empty", "strings"):
        np.testing.assert_array_equal(back[key], data[key])
        assert back[key].dtype == data[key].dtype.newbyteorder("=")
    np.testing.assert_array_equal(back["objects"][0], [0, 1])
    np.testing.assert_array_equal(back["tensor"], data["tensor"].numpy())
    for matrix in (sparse.tocsc(), sparse.tocsr(), sparse.tocoo(), scipy.sparse.csc_array(sparse)):
        np.testing.assert_array_equal(loads(pickle.dumps(matrix, protocol)), sparse.toarray())


def test_chumpy_arrays_without_chumpy(chumpy):
    values = np.random.default_rng(0).normal(size=(4, 3))

    def make(ch, select):
        array = ch(x=values, _dirty_vars=set(), _itr=None)
        chosen = select(a=ch(x=values), idxs=np.array([0, 5]), preferred_shape=(2, 1))
        return {"v": array, "again": array, "nested": ch(x=ch(x=values)), "chosen": chosen}

    for protocol in (0, 2, 4):
        back = loads(chumpy(make, protocol))
        for key in ("v", "again", "nested"):
            np.testing.assert_array_equal(back[key], values)
        np.testing.assert_array_equal(back["chosen"], values.ravel()[[0, 5]].reshape(2, 1))
    assert "chumpy" not in sys.modules


def test_chumpy_expression_is_not_an_array(chumpy):
    with pytest.raises(FormatError, match="not a stored array"):
        loads(chumpy(lambda ch, _: ch(terms=[1, 2])))


class Evil:
    """Pickles to a call."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("function", "args", "named"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("open({!r}, 'w').close()",), "eval"),
        (getattr, ("{}", "format"), "getattr"),
        (np.load, ("{}",), "load"),
        (os.open, ("{}", os.O_CREAT), "open"),
    ],
)
def test_calls_are_refused_and_not_made(tmp_path, protocol, function, args, named):
    marker = tmp_path / "executed"
    filled = tuple(a.format(str(marker)) if isinstance(a, str) else a for a in args)
    payload = pickle.dumps({"v_template": np.zeros(3), "x": Evil(function, *filled)}, protocol)
    with pytest.raises(UnsafePickleError, match=rf"\.{named}, .*nothing was executed"):
        loads(payload, "model.pkl")
    assert not marker.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"cunseen.head.unpickle\nos\n.",
        b"cbuiltins\n__import__\n(S'os'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
        b"Ppersistent\n.",
    ],
)
def test_every_way_to_name_a_function_is_refused(payload):
    with pytest.raises(UnsafePickleError):
        loads(payload)


def test_stand_ins_cannot_be_altered_from_within():
    """BUILD on a class of the table, which would outlive the file."""
    with pytest.raises(FormatError):
        loads(b"\x80\x02cnumpy\nndarray\nN}U\x05valueK\x01s\x86b.")
    assert loads(pickle.dumps(np.arange(3))).tolist() == [0, 1, 2]


def test_sparse_indices_outside_the_matrix_are_refused():
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.indices = np.array([0, 1, 2**20], dtype=np.int32)
    with pytest.raises(FormatError, match="IndexError"):
        loads(pickle.dumps(matrix))


@pytest.mark.parametrize("payload", [b"", b"not a pickle", pickle.dumps(np.arange(100.0))[:-50]])
def test_damaged_files(payload, tmp_path):
    (tmp_path / "x.pkl").write_bytes(payload)
    with pytest.raises(FormatError, match=r"x\.pkl is not a readable pickle"):
        load_pickle(tmp_path / "x.pkl")


def test_object_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array({"idx": np.arange(3), "t": torch.ones(2)}), allow_pickle=True)
    back = load_object_npy(path)
    assert back["idx"].tolist() == [0, 1, 2] and back["t"].tolist() == [1, 1]
    np.save(path, np.arange(4.0))
    assert load_object_npy(path).tolist() == [0, 1, 2, 3]
    np.save(path, np.array(Evil(os.system, "true")), allow_pickle=True)
    with pytest.raises(UnsafePickleError, match="system"):
        load_object_npy(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"not a \.npy file"):
        load_object_npy(path)
    with pytest.raises(InputError, match="No such file"):
        load_object_npy(tmp_path / "absent.npy")


def test_real_landmark_table(shared_dir):
    table = load_object_npy(shared_dir / "data/flame_template/landmark_embedding_with_eyes.npy")
    assert table["full_lmk_faces_idx"].shape == (1, 70)
    np.testing.assert_allclose(table["full_lmk_bary_coords"].sum(-1), 1, atol=1e-5)
