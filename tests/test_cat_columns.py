"""`gaia cat` and `gaia stat` of other tools' Arrow and Parquet, whatever their columns are."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

from gaia.cli import main

pytestmark = pytest.mark.libraries

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)
FIRST = {
    "an id": 2**63,
    'x"\n': "a\tb",
    "f": 0.5,
    "b": "/wo=",
    "t": "2026-01-02T03:04:05.000678",
    "z": "2026-01-02T03:04:05Z",
    "ns": "1970-01-01 00:00:00.000000001",
    "d": "2026-01-02",
    "dec": "1.10",
    "list": [1, None],
    "rec": {"k": "/w=="},
    "dict": "one",
}


def table() -> Any:
    """A table of Arrow, which is imported only now: it starts threads."""
    import pyarrow as pa

    return pa.table(
        {
            "an id": pa.array([2**63, None], pa.uint64()),
            'x"\n': pa.array(["a\tb", None], pa.large_string()),
            "f": pa.array([0.5, float("nan")], pa.float32()),
            "b": pa.array([b"\xff\n", b""]),
            "t": pa.array([MOMENT, None], pa.timestamp("us")),
            "z": pa.array([MOMENT, None], pa.timestamp("ms", "UTC")),
            "ns": pa.array([1, None], pa.timestamp("ns")),
            "d": pa.array([MOMENT.date(), None]),
            "dec": pa.array([decimal.Decimal("1.10"), None]),
            "list": pa.array([[1, None], None]),
            "rec": pa.array([{"k": b"\xff"}, None]),
            "dict": pa.array(["one", None]).dictionary_encode(),
        }
    )


def write(path: Path, kind: str) -> str:
    import pyarrow.feather
    import pyarrow.parquet

    file = str(path / "no ending")
    content = table()
    if kind == "parquet":
        pyarrow.parquet.write_table(content, file)
    elif kind == "file":
        pyarrow.feather.write_feather(content, file, compression="uncompressed")
    else:
        with pyarrow.ipc.new_stream(file, content.schema) as stream:
            stream.write_table(content)
    return file


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_every_form(tmp_path: Path, capsys: Any, kind: str) -> None:
    file = write(tmp_path, kind)

    assert main(["cat", file, "-f", "json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == FIRST
    assert second == {**dict.fromkeys(FIRST), "b": ""}

    assert main(["cat", file]) == 0
    fields = capsys.readouterr().out.splitlines()[0].split("\t")
    assert fields[:5] == [str(2**63), "a\\tb", "0.5", "\\xff\\n", "2026-01-02T03:04:05.000678"]
    assert fields[6:] == [
        "1970-01-01 00:00:00.000000001",
        "2026-01-02",
        "1.10",
        "[1,null]",
        '{"k":"/w=="}',
        "one",
    ]

    assert main(["cat", file, "-f", "csv"]) == 0
    header, names, first_row, second_row = capsys.readouterr().out.splitlines()
    assert (header, names) == ('an id,"x""', '",f,b,t,z,ns,d,dec,list,rec,dict')
    assert first_row.startswith(f"{2**63},a\tb,0.5,/wo=,2026-01-02T03:04:05.000678,")
    assert first_row.endswith(',1.10,"[1,null]","{""k"":""/w==""}",one')
    assert second_row == ',,NaN,"",,,,,,,,'


@pytest.mark.parametrize(("kind", "rows"), [("parquet", 2), ("file", None), ("stream", None)])
def test_stat(tmp_path: Path, capsys: Any, kind: str, rows: int | None) -> None:
    file = write(tmp_path, kind)

    assert main(["stat", file, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["format"] == ("parquet" if kind == "parquet" else "arrow")
    assert found["records"] == rows
    assert [field["name"] for field in found["fields"]] == list(FIRST)
    assert main(["stat", file]) == 0
    shown = capsys.readouterr().out
    assert '    x"\\n  ' in shown
    assert ("  records   2\n" in shown) == (rows is not None)


def test_a_bucket(tmp_path: Path, capsys: Any, gcs: Any) -> None:
    gcs.write("in/a", Path(write(tmp_path, "parquet")).read_bytes())
    gcs.write("in/b", Path(write(tmp_path, "file")).read_bytes())

    assert main(["cat", gcs.url("in/*"), "-f", "json"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 4
    assert json.loads(lines[2]) == FIRST


def test_many_batches_are_read_in_their_order(tmp_path: Path, capsys: Any) -> None:
    import pyarrow.parquet

    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"n": range(50_000)}), file, row_group_size=7_000)

    assert main(["cat", str(file)]) == 0
    assert capsys.readouterr().out.split() == [str(number) for number in range(50_000)]
    assert main(["head", str(file)]) == 0
    assert len(capsys.readouterr().out.split()) == 10
