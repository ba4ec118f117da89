"""The commands that the documents show are commands of ``p2p``, and the files that they show are as they should be."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Final

import click
import yaml
from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.main import cli
from p2p.measure.plan import ExperimentPlan

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENTS: Final = ("README.rst", "docs/guide.rst", "docs/cli.rst", "docs/certificates.rst", "CONTRIBUTING.rst")

_LINE: Final = re.compile(
    r"(?:^ +(?:\$ )?|[|;&] |\bdo |\()(?:\S*/bin/)?p2p (?P<words>(?:'[^'\n]*'|\"[^\"\n]*\"|[^|;&>#\n'\"])*)",
    re.MULTILINE,
)
_QUOTED: Final = re.compile(r"``p2p\s+([^`]+)``")
_TEXT: Final = re.compile(r'"([^"\n]*)"')
_PLACEHOLDER: Final = re.compile(r"[A-Z]{2,}|\.\.\.|…")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a document, without ``p2p``: those in blocks, and those within a line."""
    code = re.sub(r"``.*?``", "", text, flags=re.DOTALL)
    for found in _LINE.finditer(code):
        yield from variants(found["words"])
    for quoted in _QUOTED.findall(text):
        yield from variants(quoted.partition(" > ")[0])


def variants(shown: str) -> Iterator[list[str]]:
    """The commands that one line stands for: what is optional is there, and of ``bash|zsh`` each once."""
    words = [word for word in shlex.split(shown) if word != "[OPTIONS]"]
    choices = [word.replace("[", "").replace("]", "").split("|") if "*" not in word else [word] for word in words]
    yield from (list(one) for one in product(*choices))


def parse(words: Sequence[str]) -> None:
    """See that a command is one.

    :raises click.ClickException: if it isn't.
    """
    command: click.Command = cli
    rest = list(words)
    context: click.Context | None = None
    while True:
        context = click.Context(command, parent=context, info_name=command.name or "p2p")
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if not isinstance(command, click.Group):
            break
        if not rest or _PLACEHOLDER.match(rest[0]):
            return
        found = command.get_command(context, rest[0])
        if found is None:
            if not command.invoke_without_command:
                raise click.UsageError(f"no command {rest[0]!r}")
            return
        command, rest = found, rest[1:]
    if rest:
        raise click.UsageError(f"too many words: {rest}")
    if not any(map(_PLACEHOLDER.search, words)):
        _check_values(words)


def _check_values(words: Sequence[str]) -> None:
    """See that the values of a command's arguments and options are possible, where real ones are shown."""
    context = cli.make_context("p2p", list(words))
    command: click.Command = cli
    rest = [*context._protected_args, *context.args]
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        assert found is not None
        try:
            context = found.make_context(rest[0], rest[1:], parent=context)
        except click.MissingParameter:
            return  # a mention of the command
        command, rest = found, [*context._protected_args, *context.args]


class CommandTests(SynchronousTestCase):
    """The commands in the documents."""

    def test_all(self) -> None:
        """Each of them has a name that exists, options that it has, and as many arguments as it takes."""
        for document in DOCUMENTS:
            found = list(commands((ROOT / document).read_text("utf-8")))
            self.assertTrue(found, document)
            for words in found:
                with self.subTest(document=document):
                    try:
                        parse(words)
                    except click.ClickException as error:
                        self.fail(f"{document}: p2p {shlex.join(words)}: {error.format_message()}")

    def test_finds_them(self) -> None:
        """Blocks, pipes, loops and words within a line are looked at, and answers of the software aren't."""
        text = (
            "Say ``p2p\nping m1.m`` and ``p2p offers accept|refuse ID``::\n\n    $ tar c x | p2p send m1.m - --name x\n"
        )
        text += "    p2p: unknown-peer: no\n    daemon  p2p 0.1.0\n    /opt/p2p/bin/p2p lab init lab  # now\n"
        self.assertEqual(
            [
                ["send", "m1.m", "-", "--name", "x"],
                ["lab", "init", "lab"],
                ["ping", "m1.m"],
                ["offers", "accept", "ID"],
                ["offers", "refuse", "ID"],
            ],
            list(commands(text)),
        )

    def test_wrong_ones(self) -> None:
        """A command, an option, an argument or a value that doesn't exist is found."""
        for line in (
            "sned m1.m x",
            "send m1.m x --deatch",
            "lab make lab",
            "peers n m",
            "ping m1.m -c many",
            "get m1.m x --exists perhaps",
            "send M1.m x",
        ):
            with self.subTest(line=line):
                self.assertRaises((click.ClickException, ValueError), parse, shlex.split(line))


def texts(folder: Path) -> Iterator[str]:
    """Every text in the code below a folder, of two words at least, without what is put into it."""
    for path in folder.rglob("*.py"):
        for text in _TEXT.findall(path.read_text("utf-8")):
            parts = (part.strip(" :;,.") for part in re.split(r"\{.*?\}", text))
            yield from (part for part in parts if " " in part and len(part) >= 9)


class TextTests(SynchronousTestCase):
    """What the guide quotes of the software."""

    def test_troubleshooting(self) -> None:
        """Each message in the tables of symptoms has words that the software really says."""
        guide = (ROOT / "docs" / "guide.rst").read_text("utf-8")
        tables = guide[guide.index("Troubleshooting\n===") : guide.index("Maintenance\n===")]
        found = re.findall(r"^   [* ] - ``((?!/opt|systemctl)[^`]+)``", tables, re.MULTILINE)
        quoted = [" ".join(one.split()) for one in found if len(one) > 30]
        self.assertGreater(len(quoted), 15)
        said = set(texts(ROOT / "p2p"))
        self.assertEqual([], [one for one in quoted if not any(text in one for text in said)])


class FileTests(SynchronousTestCase):
    """The files in the guide."""

    def test_plan(self) -> None:
        """The plan that the guide shows can be run, and has as many blocks as its output says."""
        text = (ROOT / "docs" / "guide.rst").read_text("utf-8")
        found = re.search(r"``first\.yaml``::\n\n((?:    .*\n)+)", text)
        assert found is not None
        plan = ExperimentPlan.model_validate(yaml.safe_load(found[1]))
        self.assertEqual(48, len(plan.blocks()))
        self.assertIn("48 of 48 blocks are in first", text)
