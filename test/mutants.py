"""Says what the tests don't check: ``make mutants MODULES=p2p/link/mux.py``, or ``python -m test.mutants`` with paths.

A mutant is a module with one small fault: a comparison that is off by one, a condition turned round, a call left out.
The tests of the module kill a mutant if one of them fails. A mutant that survives shows what isn't tested, or code that
isn't needed, or it is equivalent: nobody can tell it from the original. Those of the last kind are listed, each with
its reason, in ``test/mutants-explained.txt``; any other survivor makes the exit code 1.

The faults are Cosmic Ray's, and :class:`RemoveCall`. Mutants live in copies of the tree, one for each process; nothing
is written to the tree itself. A process for each mutant would spend its time with imports of Twisted, so each is forked
from one that has imported everything but ``p2p`` and ``test``.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final, NoReturn

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator, operator_names
from hypothesis import Phase, settings
from parso.python.tree import Keyword
from twisted.scripts import trial

__all__ = ["Explained", "Mutant", "RemoveCall", "main", "modules", "mutants", "read_explained", "sampled", "tests_of"]

ROOT: Final = Path(__file__).resolve().parents[1]
EXPLAINED: Final = ROOT / "test" / "mutants-explained.txt"
LIMITS: Final = ROOT / "docs" / "limits.rst"

ELSEWHERE: Final = {
    "p2p/link/events.py": ["test.link.test_mux"],
    "p2p/router/core.py": ["test.router.test_protocol", "test.router.test_limits"],
    "p2p/router/protocol.py": ["test.router.test_limits"],
    "p2p/transfer/arriving.py": ["test.transfer.test_receiver_memory"],
    "p2p/transfer/final_names.py": ["test.transfer.test_receiver_memory"],
    "p2p/transfer/receiving_service.py": ["test.transfer.test_send_session"],
    "p2p/transfer/session_requests.py": ["test.transfer.test_send_session"],
    "p2p/transfer/sharing_service.py": ["test.transfer.test_get_session"],
    "p2p/transfer/work_folder.py": ["test.transfer.test_receiver_memory"],
}
"""Further tests of modules, besides those that bear their name: where what they do shows only together with others."""

OPERATORS: Final = (
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_*",
    "ReplaceUnaryOperator_USub_UAdd",
    "ZeroIterationForLoop",
    # Of a dozen operators that could stand in for another, one or two: the others die of the same tests.
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_FloorDiv",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Mul",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceBinaryOperator_LShift_RShift",
    "ReplaceBinaryOperator_RShift_LShift",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceBinaryOperator_BitXor_BitAnd",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
)

SEED: Final = 1
"""The same sample each time."""
PATIENCE: Final = 5
"""A mutant is given so many times the seconds that the tests take without a fault, and as many seconds more."""
MEMORY_BYTES: Final = 4 << 30
"""What a mutant that never ends may take until its time is over."""
BASELINE_S: Final = 600.0
"""The longest that the tests of one module may take without a fault."""

_NOT_COPIED: Final = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "_trial_temp*", ".*_cache", "_build", ".coverage*"
)


class RemoveCall(Operator):  # type: ignore[misc] # Cosmic Ray has no types
    """Leave a statement out that is nothing but a call; not those that log."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Where in a syntax tree it applies, as Cosmic Ray asks: pairs of (line, column)."""
        if node.type != "simple_stmt" or (statement := node.children[0]).type not in ("atom_expr", "power"):
            return
        last = statement.children[-1]
        called = statement.get_code().partition("(")[0]
        if last.type == "trailer" and last.children[0].value == "(" and "log." not in called:
            yield (statement.start_pos, statement.end_pos)

    def mutate(self, node: Any, index: int) -> Any:
        """The statement without its call."""
        first = node.children[0].get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, first.prefix)
        return node

    @classmethod
    def examples(cls) -> Iterable[Any]:
        """What it does, as Cosmic Ray asks."""
        return (Example("f()\n", "pass\n"), Example("await a.f(1)\n", "pass\n"))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one fault.

    :ivar line: where in the module the fault is, from 1.
    :ivar old: the lines that it changes, in one, with single spaces.
    :ivar new: what they have become.
    :ivar text: the whole module.
    """

    module: str
    operator: str
    line: int
    old: str
    new: str
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}\n- {self.old}\n+ {self.new}\n"


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a mutant of these lines may survive; without ``new``, any mutant of them."""

    module: str
    old: str
    new: str
    reason: str

    def about(self, mutant: Mutant) -> bool:
        """Whether it explains that mutant."""
        return (self.module, self.old) == (mutant.module, mutant.old) and self.new in ("", mutant.new)


def modules(names: Iterable[str], root: Path = ROOT) -> list[str]:
    """The paths of modules that some paths of modules, of folders or of lists of modules (``.txt``) stand for.

    :raises ValueError: if there is nothing at a path.
    """
    found: dict[str, None] = {}
    for name in names:
        path = root / name
        if path.suffix == ".txt" and path.is_file():
            lines = path.read_text("utf-8").splitlines()
            found |= dict.fromkeys(line for line in lines if line and not line.startswith("#"))
        elif path.suffix == ".py" and path.is_file():
            found[path.relative_to(root).as_posix()] = None
        elif path.is_dir():
            paths = sorted(one.relative_to(root) for one in path.rglob("*.py") if one.name != "__init__.py")
            found |= dict.fromkeys(one.as_posix() for one in paths)
        else:
            raise ValueError(f"there is no module and no folder {name}")
    return list(found)


def tests_of(module: str, root: Path = ROOT) -> list[str]:
    """The test modules of a module: ``test.link.test_mux`` and ``test.link.test_mux_model`` for ``p2p/link/mux.py``.

    A test module whose name fits several modules belongs to the one with the longest name.
    """
    path = root / module
    folder = root.joinpath("test", *Path(module).parts[1:-1])
    others = [one.stem for one in path.parent.glob(f"{path.stem}_*.py")]
    found = []
    for one in sorted({*folder.glob(f"test_{path.stem}.py"), *folder.glob(f"test_{path.stem}_*.py")}):
        about = one.stem.removeprefix("test_")
        if not any(about == other or about.startswith(f"{other}_") for other in others):
            found.append(".".join(one.relative_to(root).with_suffix("").parts))
    return found + [name for name in ELSEWHERE.get(module, []) if name not in found]


def mutants(module: str, text: str) -> list[Mutant]:
    """All mutants of a module, in the order of their lines.

    Left alone is what only declares: annotations, whether a method is abstract and a dataclass frozen or with slots,
    and the limits that ``docs/limits.rst`` states, since ``test/test_limits_document.py`` compares them.
    """
    declared = list(_declarations(module, text))
    tree = get_ast(text)
    found: list[tuple[tuple[int, int], Mutant]] = []
    for name, operator in _operators():
        positions = [start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(positions):
            if any(first <= start < last for first, last in declared):
                continue
            mutated = mutate_code(text, operator, occurrence)
            if mutated is not None and mutated != text:
                found.append((start, Mutant(module, name, start[0], *_difference(text, mutated), mutated)))
    return [mutant for _, mutant in sorted(found, key=lambda one: (one[0], one[1].operator))]


def _operators() -> Iterator[tuple[str, Any]]:
    for name in operator_names():
        short = name.removeprefix("core/")
        if any(fnmatch(short, pattern) for pattern in OPERATORS):
            yield short, get_operator(name)()
    yield RemoveCall.__name__, RemoveCall()


def _declarations(module: str, text: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    stated = set(re.findall(r"``([\w.]+)``", LIMITS.read_text("utf-8")))
    dotted = module.removesuffix(".py").replace("/", ".")
    for node in ast.walk(ast.parse(text)):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.ClassDef):
            calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
            found += [word.value for call in calls for word in call.keywords if word.arg in ("frozen", "slots")]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found += [one for one in node.decorator_list if getattr(one, "id", "") == "abstractmethod"]
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(one, ast.Name) and f"{dotted}.{one.id}" in stated for one in targets):
                found.append(node.value)
        for one in found:
            if isinstance(one, ast.expr) and one.end_lineno is not None and one.end_col_offset is not None:
                yield (one.lineno, max(one.col_offset - 1, 0)), (one.end_lineno, one.end_col_offset)


def _difference(old: str, new: str) -> tuple[str, str]:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0))[2:]
    return _joined(lines, "-"), _joined(lines, "+")


def _joined(lines: Sequence[str], sign: str) -> str:
    return " ".join(word for line in lines if line.startswith(sign) for word in line[1:].split())


def sampled(found: Sequence[Mutant], most: int | None) -> list[Mutant]:
    """Of some mutants at most so many, in order: always the same ones; None means all."""
    if most is None or most >= len(found):
        return list(found)
    chosen = random.Random(SEED).sample(range(len(found)), most)
    return [found[place] for place in sorted(chosen)]


def read_explained(text: str) -> list[Explained]:
    """What ``test/mutants-explained.txt`` says: the path of a module, then ``- old``, ``+ new`` and indented reasons.

    :raises ValueError: if a line isn't like that.
    """
    found: list[Explained] = []
    module = old = new = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("- "):
            old, new = line[2:], ""
        elif line.startswith("+ "):
            new = line[2:]
        elif line.startswith("  ") and module and old:
            if found and (found[-1].module, found[-1].old, found[-1].new) == (module, old, new):
                found[-1] = Explained(module, old, new, f"{found[-1].reason} {line.strip()}")
            else:
                found.append(Explained(module, old, new, line.strip()))
        elif line.endswith(".py"):
            module, old, new = line, "", ""
        else:
            raise ValueError(f"line {number} is no module, '- line', '+ line' or reason: {line}")
    return found


def _ours(name: str) -> bool:
    """Whether a module comes from the tree, or knows where the tree is."""
    return f"{name}.".startswith(("p2p.", "test.", "twisted.plugins."))


def _run_trial(root: Path, tests: Sequence[str], temporary: str, log: Path, imported: Path | None) -> NoReturn:
    """In a forked process: run tests of the tree at ``root`` and exit; say what was imported for the next ones."""
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.chdir(root)
        for name in [one for one in sys.modules if _ours(one)]:
            del sys.modules[name]
        sys.path = [str(root), *(one for one in sys.path if one not in ("", str(ROOT)))]
        os.environ["PYTHONPATH"] = str(root)
        # What tests remove when Python exits is removed for them.
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        sys.dont_write_bytecode = imported is None
        # One example that fails is enough; none has to be made small. test/__init__.py builds on these settings.
        settings.register_profile("mutants", derandomize=True, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")
        sys.argv = ["trial", "--exitfirst", "--temp-directory", f"{temporary}/trial", *tests]
        try:
            trial.run()
        except SystemExit as ended:
            code = int(bool(ended.code))
        if imported is not None:
            imported.write_text("\n".join(one for one in sys.modules if not _ours(one)), "utf-8")
    finally:
        sys.stdout.flush()
        os._exit(code)


def run_tests(root: Path, tests: Sequence[str], limit_s: float, imported: Path | None = None) -> int | None:
    """Run the tests of a copy of the tree in a process of their own; its output is in ``root`` with ``.log``.

    :returns: the exit code, None if it took longer than ``limit_s`` and was ended.
    """
    log = root.with_suffix(".log")
    with TemporaryDirectory(dir=root.parent, ignore_cleanup_errors=True) as temporary:
        process = multiprocessing.get_context("fork").Process(
            target=_run_trial, args=(root, tests, temporary, log, imported)
        )
        process.start()
        process.join(limit_s)
        code = process.exitcode
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    return code


def _run_share(root: Path, tests: Sequence[str], limit_s: float, share: Sequence[Mutant]) -> list[int | None]:
    """Try mutants one after another in one copy of the tree."""
    codes: list[int | None] = []
    for mutant in share:
        path = root / mutant.module
        original = path.read_bytes()
        path.write_text(mutant.text, "utf-8")
        try:
            codes.append(run_tests(root, tests, limit_s))
        finally:
            path.write_bytes(original)
    return codes


class Bench:
    """Copies of the tree, in which mutants are tried."""

    def __init__(self, folder: Path, processes: int, explained: Sequence[Explained], say: IO[str]) -> None:
        self._roots = [folder / str(number) for number in range(processes)]
        self._imported = folder / "imported"
        self._explained = explained
        self._say = say
        for root in self._roots:
            shutil.copytree(ROOT, root, ignore=_NOT_COPIED)

    def try_module(self, module: str, tests: Sequence[str], most: int | None) -> bool:
        """Try the mutants of one module and print what became of them; whether all survivors are explained."""
        began = time.monotonic()
        # Here the compiled modules of p2p and test are kept, except that of the module itself.
        for root in self._roots:
            code = run_tests(root, tests, BASELINE_S, self._imported)
            if code != 0:
                problem = "take too long" if code is None else "fail"
                self._say.write(f"{module}: its tests {problem} without any fault: {' '.join(tests)}\n")
                self._say.write(root.with_suffix(".log").read_text("utf-8", errors="replace"))
                return False
            for compiled in (root / module).parent.glob(f"__pycache__/{Path(module).stem}.*.pyc"):
                compiled.unlink()
        baseline_s = (time.monotonic() - began) / len(self._roots)
        for name in self._imported.read_text("utf-8").split("\n"):
            # A reactor must not be shared by forked processes, so each makes its own.
            if name != "twisted.internet.reactor" and name not in sys.modules:
                with suppress(Exception):
                    import_module(name)
        # From the copy: the tree may have changed since it was made.
        found = mutants(module, (self._roots[0] / module).read_text("utf-8"))
        chosen = sampled(found, most)
        codes = self._codes(chosen, tests, PATIENCE * (baseline_s + 1))
        survivors = [mutant for mutant, code in zip(chosen, codes, strict=True) if code == 0]
        unexplained = [one for one in survivors if not any(other.about(one) for other in self._explained)]
        self._say.write(
            f"{module}: {len(chosen)} mutants{'' if len(chosen) == len(found) else f' (a sample of {len(found)})'}, "
            f"{len(chosen) - len(survivors)} killed ({codes.count(None)} by time-out), {len(survivors)} survived "
            f"({len(survivors) - len(unexplained)} explained); {time.monotonic() - began:.0f} s\n"
        )
        self._say.writelines(map(str, unexplained))
        self._say.flush()
        return not unexplained

    def _codes(self, chosen: Sequence[Mutant], tests: Sequence[str], limit_s: float) -> list[int | None]:
        shares = len(self._roots)
        codes: list[int | None] = [None] * len(chosen)
        with ProcessPoolExecutor(shares, multiprocessing.get_context("fork")) as pool:
            running = [
                pool.submit(_run_share, root, tests, limit_s, chosen[number::shares])
                for number, root in enumerate(self._roots)
            ]
            for number, share in enumerate(running):
                codes[number::shares] = share.result()
        return codes


def main(arguments: Sequence[str] | None = None, say: IO[str] = sys.stdout) -> int:
    """Run the command line and return the exit code: 0 if every survivor is explained."""
    parser = argparse.ArgumentParser(prog="python -m test.mutants", description="Say what the tests don't check.")
    parser.add_argument("modules", nargs="+", help="paths of modules or folders, or of lists: test/pure_modules.txt")
    parser.add_argument("--sample", type=int, help="try at most so many mutants of a module, always the same ones")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="if left out: one a core")
    options = parser.parse_args(arguments)
    try:
        paths = modules(options.modules)
    except ValueError as error:
        parser.error(str(error))
    # What computes in threads by itself would have them at the time of a fork.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        return int(not _all_fine(paths, options.sample, max(options.processes, 1), say))
    except KeyboardInterrupt:
        say.write("The run was broken off.\n")
        return 130


def _all_fine(paths: Sequence[str], most: int | None, processes: int, say: IO[str]) -> bool:
    fine = True
    with TemporaryDirectory(prefix="p2p-mutants-") as folder:
        bench = Bench(Path(folder), processes, read_explained(EXPLAINED.read_text("utf-8")), say)
        for module in paths:
            tests = tests_of(module)
            if tests:
                fine &= bench.try_module(module, tests, most)
            else:
                say.write(
                    f"{module}: no tests bear its name; write some, or name others in ELSEWHERE of test/mutants.py\n"
                )
                fine = False
    return fine


def _stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
