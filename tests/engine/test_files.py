"""Files: what is written is read, other readers of safetensors read it too, and nothing damaged or made up passes."""

import json
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from hashlib import sha256

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from sklearn_mtae import VAETransformer
from sklearn_mtae._engine.files import write_file
from sklearn_mtae.persistence import FileError, load, save
from sklearn_mtae.runtime import SCHEMA, read_file

SECONDS, BYTES = 2.0, 8_000_000
"""What reading a small damaged file may take."""
HEADER = {"text": "é\ud800\n", "numbers": [1, -2.5, 1e-320, 10**30, True, None], "nested": {"a": {"b": []}}}
ARRAYS = {
    "float": np.linspace(-1, 1, 6).reshape(2, 3),
    "short": np.arange(3, dtype="float16"),
    "transposed": np.arange(6, dtype="float32").reshape(2, 3).T,
    "strided": np.arange(10, dtype="int8")[::3],
    "other order": np.arange(3, dtype=">i4"),
    "truth": np.array([True, False, True]),
    "empty": np.empty((0, 3), dtype="uint16"),
    "alone": np.array(7, dtype="uint64"),
    "odd": np.array([np.nan, np.inf, -0.0], dtype="float32"),
}


@pytest.fixture
def path(tmp_path):
    write_file(tmp_path / "model.mtae", HEADER, ARRAYS)
    return tmp_path / "model.mtae"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A fitted model, as small as they get."""
    path = tmp_path_factory.mktemp("saved") / "model.mtae"
    X = np.random.default_rng(0).normal(size=(20, 3))
    save(VAETransformer(1, hidden_layer_sizes=(2,), max_iter=1, random_state=0).fit(X), path)
    return path.read_bytes()


def test_what_is_written_is_read(path):
    header, arrays = read_file(path)
    assert header == {**HEADER, "schema": SCHEMA}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype.newbyteorder("=")
        assert arrays[name].shape == array.shape
        assert arrays[name].flags.writeable
        assert arrays[name].flags.aligned
    assert np.signbit(arrays["odd"][2])


def test_safetensors_reads_it(path):
    for name, array in load_file(path).items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["header"]) == HEADER


def test_numpy_alone_reads_it(path):
    program = (
        "import sys; sys.modules.update(torch=None, sklearn=None, scipy=None, pandas=None);"
        f"from sklearn_mtae.runtime import read_file; print(sorted(read_file({str(path)!r})[1]))"
    )
    found = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == str(sorted(ARRAYS))


def damaged(path, data):
    """Return what is said of a file; reading it takes neither long nor much memory."""
    path.write_bytes(data)
    start = time.perf_counter()
    try:
        load(path)
    except FileError as error:
        said = str(error)
    else:
        raise AssertionError("it was loaded")
    assert said.startswith(f"{str(path)!r} cannot be read: ")
    assert time.perf_counter() - start < SECONDS
    return said


def test_every_flip_of_a_bit_is_found(saved, tmp_path):
    rng = np.random.default_rng(0)
    said = set()
    places = np.r_[:120, rng.integers(len(saved), size=880)]  # the opening and the checksum, and all the rest
    for place in places:
        flipped = bytearray(saved)
        flipped[place] ^= 1 << int(rng.integers(8))
        said.add(damaged(tmp_path / "flipped", flipped))
    assert len(said) < 1_000


def test_every_change_of_a_byte_is_found(saved, tmp_path):
    rng = np.random.default_rng(1)
    for place in rng.integers(len(saved), size=100):
        changed = bytearray(saved)
        changed[place] = (changed[place] + int(rng.integers(1, 256))) % 256
        damaged(tmp_path / "changed", changed)


def test_every_cut_is_found(saved, tmp_path):
    cuts = {*range(1, 110), *np.linspace(110, len(saved) - 1, 100).astype(int).tolist()}
    for length in cuts:
        assert "it is cut" in (text := damaged(tmp_path / "cut", saved[:length])) or "bytes of it are missing" in text
    assert "it is empty" in damaged(tmp_path / "cut", b"")
    assert "bytes of it are missing or have changed" in damaged(tmp_path / "longer", saved + b"\0")
    assert "bytes of it are missing" in damaged(tmp_path / "twice", saved + saved)


class Bomb:
    def __reduce__(self):
        return print, ("executed",)


def png():
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0))
    return start + chunk(b"IDAT", zlib.compress(bytes(90))) + chunk(b"IEND", b"")


FOREIGN = {
    "png": png(),
    "pickle": pickle.dumps([Bomb()] * 40),
    "zip": b"PK\x03\x04" + bytes(200),
    "text": b"model: vae\n" * 30,
    "json": json.dumps({"__metadata__": {"sha256": "0" * 64}}).encode() * 3,
    "zeros": bytes(10_000),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(300),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files(kind, tmp_path, capsys):
    assert "no file of sklearn_mtae" in damaged(tmp_path / kind, FOREIGN[kind])
    assert capsys.readouterr().out == ""


def test_a_file_of_safetensors_without_our_header(tmp_path):
    save_file({"weight": np.zeros(50)}, tmp_path / "theirs")
    assert "no file of sklearn_mtae" in damaged(tmp_path / "a", (tmp_path / "theirs").read_bytes())
    save_file({"weight": np.zeros(50)}, tmp_path / "theirs", {"sha256": "0" * 64})
    assert "its checksum is wrong" in damaged(tmp_path / "a", (tmp_path / "theirs").read_bytes())


def test_a_foreign_file_is_not_read_to_its_end(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(10**12)  # a hole, which takes no room
    with pytest.raises(FileError, match="no file of sklearn_mtae"):
        load(tmp_path / "large")


def made_up(entries=None, header="{}", data=b"", length=None, text=None, schema="1"):
    """Return a file whose checksum is right, whatever it holds."""
    metadata = {"sha256": "0" * 64, "schema": schema, "header": header}
    text = text or json.dumps({"__metadata__": metadata, **(entries or {})}, separators=(",", ":"))
    text = text if isinstance(text, bytes) else text.encode()
    raw = (len(text) if length is None else length).to_bytes(8, "little") + text + data
    return raw.replace(b"0" * 64, sha256(raw).hexdigest().encode(), 1)


def entry(dtype="F64", shape=(1,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


OPENED = '{"__metadata__":{"sha256":"' + "0" * 64 + '","schema":"1","header":"{}"}'
EIGHT = bytes(8)
MADE_UP = {
    "a length of exabytes": (made_up(length=2**63), "would end at byte 9223372036854775816"),
    "a length beyond the end": (made_up(length=10_000), "would end at byte 10008"),
    "a length in the middle": (made_up(length=110), "not admissible JSON"),
    "deep nesting": (made_up(text=OPENED + ',"a":' + "[" * 200_000 + "]" * 200_000 + "}"), "not admissible JSON"),
    "deep nesting inside": (made_up(header='{"a":' * 100_000 + "1" + "}" * 100_000), "not admissible JSON"),
    "a number of many digits": (made_up(text=OPENED + ',"a":' + "9" * 100_000 + "}"), "not admissible JSON"),
    "not a number": (made_up(header='{"a":NaN}'), "NaN is not a number of JSON"),
    "no UTF-8": (made_up(text=OPENED.encode() + b',"\xff":1}'), "not admissible JSON"),
    "duplicate names": (made_up(text=OPENED + ',"a":1,"a":1}'), "a name is there twice"),
    "duplicate names inside": (made_up(header='{"a":1,"a":2}'), "a name is there twice"),
    "two metadata": (made_up(text=OPENED + "," + OPENED[1:] + "}"), "a name is there twice"),
    "a list": (made_up(header="[]"), "not an object"),
    "no header": (made_up(text=OPENED.replace(',"header":"{}"', "") + "}"), "no header"),
    "a header that is no text": (made_up(header={}), "no header"),
    "no schema": (made_up(schema=None), "no schema number"),
    "a schema that is no number": (made_up(schema="-1"), "no schema number"),
    "a newer schema": (made_up(schema="2"), "has schema 2, and this version of sklearn_mtae reads up to 1; update"),
    "terabytes": (made_up({"a": entry(shape=[2**40], offsets=[0, 2**43])}, data=EIGHT), "lies at bytes 0 to 8796093"),
    "more than there is": (made_up({"a": entry(shape=[2**40])}, data=EIGHT), "not that of its bytes"),
    "an overflow": (made_up({"a": entry(shape=[2**32, 2**32, 0], offsets=[0, 0])}), "not admissible"),
    "many dimensions": (made_up({"a": entry(shape=[1] * 70)}, data=EIGHT), "not that of its bytes"),
    "a negative shape": (made_up({"a": entry(shape=[-1, -1])}, data=EIGHT), "not that of its bytes"),
    "a shape of fractions": (made_up({"a": entry(shape=[1.0])}, data=EIGHT), "not that of its bytes"),
    "a shape of truth": (made_up({"a": entry(shape=[True])}, data=EIGHT), "not that of its bytes"),
    "a wrong shape": (made_up({"a": entry(shape=[2])}, data=EIGHT), "not that of its bytes"),
    "negative offsets": (made_up({"a": entry(offsets=[-8, 0])}, data=EIGHT), "not that of its bytes"),
    "offsets turned round": (made_up({"a": entry(offsets=[8, 0])}, data=EIGHT), "not that of its bytes"),
    "three offsets": (made_up({"a": entry(offsets=[0, 8, 8])}, data=EIGHT), "no admissible dtype"),
    "an overlap": (made_up({"a": entry(), "b": entry(shape=[2], offsets=[0, 16])}, data=EIGHT * 2), "'b' lies at"),
    "one in another": (made_up({"a": entry(shape=[2], offsets=[0, 16]), "b": entry()}, data=EIGHT * 2), "lies at"),
    "a gap": (made_up({"a": entry(), "b": entry(offsets=[16, 24])}, data=EIGHT * 3), "'b' lies at bytes 16 to 24; 8"),
    "bytes left over": (made_up({"a": entry()}, data=EIGHT * 2), "end at byte 8 of 16"),
    "bytes missing": (made_up({"a": entry()}, data=EIGHT[:5]), "lies at bytes 0 to 8; 0 to 5"),
    "an unknown dtype": (made_up({"a": entry("O")}, data=EIGHT), "no admissible dtype"),
    "a dtype that is no name": (made_up({"a": entry([])}, data=EIGHT), "no admissible dtype"),
    "no description": (made_up({"a": 1}, data=EIGHT), "no admissible dtype"),
    "half a description": (made_up({"a": {"dtype": "F64"}}, data=EIGHT), "no admissible dtype"),
}


@pytest.mark.parametrize("kind", MADE_UP)
def test_made_up_files_with_a_right_checksum(kind, tmp_path):
    data, said = MADE_UP[kind]
    tracemalloc.start()
    try:
        assert said in damaged(tmp_path / "a", data)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


def test_the_truth_is_true_or_false(tmp_path):
    (tmp_path / "a").write_bytes(made_up({"a": entry("BOOL", [3], [0, 3])}, data=b"\0\1\2"))
    assert read_file(tmp_path / "a")[1]["a"].tolist() == [False, True, True]
