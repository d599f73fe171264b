"""`make mutants`: plant each fault of the list in a copy of the tree, and require that its test fails.

The mutants are chosen by hand, because most of the rules only show their faults on real servers: mutmut runs
the tests within one process and cosmic-ray changes the working tree, and neither runs a chosen test for a
chosen change.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants.mutant import LIST, DoesNotApplyError, Mutant, read_mutants

ROOT = Path(__file__).parents[2]
KILLED, SURVIVED, NO_VERDICT = "killed", "SURVIVED", "NO VERDICT"
_LONGEST_SECONDS = 600
_PASSED, _FAILED = 0, 1


def copy_tree(root: Path, copy: Path) -> None:
    """Copy what git would commit, compiled so that a changed file is never run from its old bytecode."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    # Python compares a bytecode file with the time of its source to the second, unless it has its hash.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "."],
        cwd=copy,
        check=True,
    )


def run_tests(tree: Path, tests: Iterable[str]) -> tuple[int | None, str]:
    """Return pytest's exit code, None if it ran for too long, and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", *tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            return None, printed
    return process.returncode, printed


def verdict_on(mutant: Mutant, tree: Path) -> tuple[str, str]:
    """Return the verdict and its explanation; the tree is as it was before."""
    file = tree / mutant.file
    original = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutant.applied_to(original), encoding="utf-8")
        code, printed = run_tests(tree, [mutant.test])
    except DoesNotApplyError as error:
        return NO_VERDICT, str(error)
    finally:
        file.write_text(original, encoding="utf-8")
    if code == _PASSED:
        return SURVIVED, f"{mutant.test} passes"
    # An error in a fixture has the same exit code as a failed test.
    if code == _FAILED and re.search(r"^FAILED ", printed, re.MULTILINE):
        return KILLED, ""
    reason = f"it ran for more than {_LONGEST_SECONDS} s" if code is None else f"pytest's exit code is {code}"
    return NO_VERDICT, f"{reason}\n{printed[-3000:]}"


def evaluate(mutants: Sequence[Mutant], tree: Path) -> int:
    """Print each verdict; return 0 if every mutant is killed."""
    tests = sorted({mutant.test for mutant in mutants})
    print(f"{len(tests)} tests must pass without a fault…", flush=True)
    code, printed = run_tests(tree, tests)
    if code != _PASSED:
        print(f"{printed[-6000:]}\nThey do not, so they show nothing about a fault.")
        return 1
    verdicts: Counter[str] = Counter()
    for number, mutant in enumerate(mutants, 1):
        began = time.monotonic()
        verdict, explanation = verdict_on(mutant, tree)
        verdicts[verdict] += 1
        seconds = time.monotonic() - began
        print(f"[{number:2}/{len(mutants)}] {verdict:10} {seconds:4.0f} s  {mutant.name}", flush=True)
        if explanation:
            print(f"        {mutant.file}: {mutant.why}\n        {explanation}", flush=True)
    print(", ".join(f"{verdicts[verdict]} {verdict.lower()}" for verdict in (KILLED, SURVIVED, NO_VERDICT)))
    return 0 if verdicts[KILLED] == len(mutants) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants (default: all)")
    parser.add_argument("--list", type=Path, default=LIST, help="another list of mutants")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree that is copied")
    arguments = parser.parse_args()
    mutants = read_mutants(arguments.list)
    unknown = set(arguments.names) - {mutant.name for mutant in mutants}
    if unknown:
        parser.error(f"there is no mutant of this name: {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in mutants if not arguments.names or mutant.name in arguments.names]
    with TemporaryDirectory(prefix="worksub-mutants-") as directory:
        copy_tree(arguments.root, Path(directory))
        return evaluate(chosen, Path(directory))


if __name__ == "__main__":
    sys.exit(main())
