"""Tests of p2p.measure.raw_data."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.measure.raw_data import BLOCKS, DAEMONS, LINKS, LOOKUPS, SAMPLES, BlockRow, CsvTable, RunFacts, SampleRow
from test.measure.synthetic_run import Synthetic

ROOT = Path(__file__).resolve().parents[2]


class RowTests(SynchronousTestCase):
    """What rows refuse."""

    def sample(self, planned_ns: int, first_byte_ns: int | None, end_ns: int) -> SampleRow:
        place = (1, "transport", "text", 1024, 10, "closed", 1, "n1.n>m1.m", "echo", "text-1k", 1024, 1024)
        return SampleRow(*place, planned_ns, first_byte_ns, end_ns, "ok")

    def test_order_of_times(self) -> None:
        """An exchange ends after its first byte, which comes after the plan; without a first byte, after the plan."""
        self.sample(5, 5, 5)
        self.sample(5, None, 6)
        for times in ((0, 1, 2), (5, 4, 6), (5, 7, 6), (5, None, 4)):
            with self.assertRaisesRegex(ValueError, "no order of times"):
                self.sample(*times)


class LineTests(SynchronousTestCase):
    """A row is one line."""

    def test_empty(self) -> None:
        """What isn't known is left empty."""
        self.assertEqual(LINKS.line([1, 2, "n1.n", 5, None, None]), "1,2,n1.n,5,,\n")

    def test_formula(self) -> None:
        """A text from elsewhere is no formula to a spreadsheet."""
        self.assertEqual(SAMPLES.line(["=1+1", "@x", "a=b"]), " =1+1, @x,a=b\n")

    @given(st.lists(st.text(), min_size=2))
    def test_any_text(self, values: list[str]) -> None:
        """Whatever a text holds, its row is one line, as every program counts lines."""
        self.assertEqual(len(SAMPLES.line(values).splitlines()), 1)


class LoadTests(SynchronousTestCase):
    """Reading one file."""

    def write(self, table: CsvTable, data: str | bytes) -> Path:
        path = Path(self.mktemp()) / table.file
        path.parent.mkdir()
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def test_round_trip(self) -> None:
        """What was written is read back, every value and type of it."""
        run = Synthetic(repetitions=2, lost={"audio": 0.2}).run()
        for table, columns in (
            (SAMPLES, run.samples),
            (LINKS, run.links),
            (BLOCKS, run.blocks),
            (LOOKUPS, run.lookups),
        ):
            self.assertEqual(table.load(self.write(table, table.dump(columns))), (columns, []))

    def test_from_a_spreadsheet(self) -> None:
        """A byte-order mark, line ends of Windows, other columns and another order of columns do no harm."""
        path = self.write(LOOKUPS, "\ufeffns,note,table_size\r\n5.5,mine,10\r\n")
        self.assertEqual(LOOKUPS.load(path), ({"table_size": [10], "ns": [5.5]}, []))

    def test_older(self) -> None:
        """What an older version didn't write yet has the value of what isn't known."""
        older = BLOCKS.header().replace(",bytes_per_s,sets", "") + "1,1,a,text,1,1,closed,1,0,0,1,1,on,7\n"
        columns, notes = BLOCKS.load(self.write(BLOCKS, older))
        self.assertEqual((columns["bytes_per_s"], columns["sets"], notes), ([None], [None], []))
        header = SAMPLES.header().replace(",set,label,content", "")
        older = header + "1,a,text,1,1,closed,1,x>y,echo,n,1,1,1,2,3,ok,\n"
        columns, notes = SAMPLES.load(self.write(SAMPLES, older))
        self.assertEqual((columns["set"], columns["label"], notes), ([None], [""], []))

    def test_cut_off(self) -> None:
        """A last line without its end is left out, even if it looks whole, and told by its number."""
        columns, notes = LOOKUPS.load(self.write(LOOKUPS, "table_size,ns\n10,5.5\n20,6.25"))
        self.assertEqual(columns["table_size"], [10])
        self.assertEqual(notes, ["lookups.csv: line 3 was cut off and is left out"])

    def test_nothing_in_it(self) -> None:
        """An empty file, and one cut off in its header, are told."""
        self.assertEqual(LOOKUPS.load(self.write(LOOKUPS, ""))[1], ["lookups.csv: it is empty"])
        self.assertEqual(
            LOOKUPS.load(self.write(LOOKUPS, "table_si"))[1], ["lookups.csv: line 1 was cut off and is left out"]
        )

    def test_damaged_lines(self) -> None:
        """Lines that aren't rows are left out and told, whatever is wrong with them; the others are kept."""
        wrong = [
            "20",
            "20,1,1",
            "x,1",
            "20,-1",
            "20,nan",
            "20,inf",
            f"{2**63},1",
            "",
            "\0\0\0",
            f'20,"{"1" * 140_000}"',
        ]
        for line in wrong:
            columns, notes = LOOKUPS.load(self.write(LOOKUPS, f"table_size,ns\n10,1\n{line}\n30,1\n"))
            self.assertEqual(columns["table_size"], [10, 30], line[:20])
            self.assertEqual(notes, ["lookups.csv: line 3 can't be read and is left out"])
        path = self.write(LOOKUPS, b"table_size,ns\nx\ny\xff\n10,1\n20")
        self.assertEqual(
            LOOKUPS.load(path)[1],
            [
                "lookups.csv: line 2 can't be read and is left out, and 1 after it are left out too",
                "lookups.csv: line 5 was cut off and is left out",
            ],
        )

    def test_unknown_words(self) -> None:
        """An outcome that doesn't exist is damage, not a new kind of outcome."""
        row = BlockRow(1, 1, "a", "text", 1, 1, "closed", 1, 0, 0, 1, 1)
        line = BLOCKS.line(getattr(row, name) for name in BLOCKS.columns)
        columns, notes = BLOCKS.load(self.write(BLOCKS, BLOCKS.header() + line + line.replace(",on,", ",perhaps,")))
        self.assertEqual((columns["block"], len(notes)), ([1], 1))

    def test_something_else(self) -> None:
        """A file with other columns is refused by name, and so is one that isn't there."""
        path = self.write(LOOKUPS, "table_size,seconds\n10,1\n")
        with self.assertRaisesRegex(LocalFileError, r"lookups\.csv: it has no column ns"):
            LOOKUPS.load(path)
        with self.assertRaisesRegex(LocalFileError, r"nowhere/lookups\.csv: No such file"):
            LOOKUPS.load(Path("nowhere/lookups.csv"))


class FactsTests(SynchronousTestCase):
    """``run.json``."""

    def test_round_trip(self) -> None:
        """It is read back as it was written; keys of a later version are ignored."""
        text = '{"title": "Ünïcode", "seed": 3, "margin": 0.1, "missing": [{"block": 4, "why": "n4.n left"}], "new": 1}'
        facts = RunFacts.model_validate_json(text)
        self.assertEqual((facts.seed, facts.margin, facts.missing[0].why), (3, 0.1, "n4.n left"))
        self.assertEqual(RunFacts.model_validate_json(facts.to_json()), facts)


class DocumentTests(SynchronousTestCase):
    """``docs/raw-data.rst``."""

    def test_every_column(self) -> None:
        """Each column of each file stands in the document, in its file's section and in its place."""
        text = (ROOT / "docs" / "raw-data.rst").read_text("utf-8")
        for table in (SAMPLES, LINKS, BLOCKS, LOOKUPS, DAEMONS):
            section = text.split(f"\n``{table.file}``\n")[1].split("\n----")[0]
            rows = [line.split("``")[1] for line in section.splitlines() if line.startswith("``")]
            self.assertEqual([name for name in rows if name in table.columns], table.columns, table.file)

    def test_every_fact(self) -> None:
        """Each key of ``run.json`` stands in the document."""
        text = (ROOT / "docs" / "raw-data.rst").read_text("utf-8")
        for name in RunFacts.model_fields:
            self.assertIn(f"\n``{name}``", text)
