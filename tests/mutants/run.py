#!/usr/bin/env python3
"""Breaks the code on purpose, one variant of `mutants.toml` after the other, and sees that the tests named there fail.

    tests/mutants/run.py --check          the list fits the code: every text occurs exactly once, every test exists (no build)
    tests/mutants/run.py                  every variant against the tests that need no SDK crate
    tests/mutants/run.py --all            against all its tests
    tests/mutants/run.py --only simulate  against its tests of that suite
    tests/mutants/run.py ... NAME         only variants whose name contains NAME

The code is copied to a scratch folder and broken there. Builds go to $CARGO_TARGET_DIR, else to target/mutants/build.

Caught means that the broken code compiles and that the test ran and failed. One that does not compile, that is still running after
ten minutes, or whose test was not run (or fails on the sound code) is an error of the list. Exit 1 if a variant survives, 2 on errors.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIST = Path(__file__).resolve().with_name("mutants.toml")
BUILD_SECONDS = 3600
TEST_SECONDS = 600
UNIT = {"core": "msk-pipeline-core", "aws": "msk-pipeline-aws"}


class Wrong(Exception):
    """The list, not the code, is at fault."""


def suite(test):
    return test.split()[0]


def command(test):
    """What cargo is told for a test, and what the test binary is told."""
    of, _, name = test.partition(" ")
    which = ["-p", UNIT[of], "--lib"] if of == "core" else ["--workspace", "--test", of]
    if of == "aws":
        which = ["--workspace", "--lib"]
    return ["cargo", "test", "-q", *which], ["--exact", name] if name else []


def broken(mutant, root):
    """The files of a variant with their broken texts."""
    texts = {}
    for edit in mutant["edit"]:
        path = root / edit["file"]
        text = texts.get(path) or path.read_text()
        times = text.count(edit["find"])
        if times != 1:
            raise Wrong(f"{mutant['name']}: {edit['file']} has {times} times {edit['find'].strip()!r}")
        texts[path] = text.replace(edit["find"], edit["replace"])
    return texts


def check(mutants):
    """What is wrong with the list, without building anything."""
    names = [m["name"] for m in mutants]
    problems = [f"{name}: twice" for name in set(names) if names.count(name) > 1]
    sources = tracked()
    rust = "\n".join((ROOT / f).read_text() for f in sources if f.endswith(".rs"))
    for mutant in mutants:
        try:
            broken(mutant, ROOT)
        except (Wrong, OSError) as error:
            problems.append(str(error))
        if not mutant["tests"]:
            problems.append(f"{mutant['name']}: no test")
        for test in mutant["tests"]:
            of, _, name = test.partition(" ")
            function = name.rsplit("::", 1)[-1]
            if of not in UNIT and not any(f.endswith(f"tests/{of}.rs") for f in sources):
                problems.append(f"{mutant['name']}: no test suite {of}")
            if name and not re.search(rf"fn {re.escape(function)}\(", rust):
                problems.append(f"{mutant['name']}: no test {name}")
    return problems


def tracked():
    out = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    return [f for f in out.stdout.decode().split("\0") if f and (ROOT / f).is_file()]


def refresh(scratch):
    """Makes the copy equal to the code. Files that are equal keep their times, so that cargo builds no more than it has to."""
    files = set(tracked())
    for old in [p for p in scratch.rglob("*") if p.is_file()]:
        if str(old.relative_to(scratch)) not in files:
            old.unlink()
    for file in files:
        source, copy = ROOT / file, scratch / file
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def run(words, scratch, seconds, target):
    """Exit code and output; `None` for a code if it took too long."""
    env = {**os.environ, "CARGO_TARGET_DIR": str(target), "CARGO_TERM_COLOR": "never", "RUSTFLAGS": os.environ.get("RUSTFLAGS", "")}
    if not env["RUSTFLAGS"]:
        del env["RUSTFLAGS"]
    process = subprocess.Popen(
        words, cwd=scratch, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        out, _ = process.communicate(timeout=seconds)
        return process.returncode, out.decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0].decode(errors="replace")


def attempt(test, scratch, target):
    """`passed`, or `failed` with the first line of why."""
    words, rest = command(test)
    code, out = run([*words, "--no-run"], scratch, BUILD_SECONDS, target)
    if code != 0:
        raise Wrong(f"{test}: does not compile\n{out[-3000:]}")
    code, out = run([*words, "--", *rest], scratch, TEST_SECONDS, target)
    if code is None:
        raise Wrong(f"{test}: still running after {TEST_SECONDS} s")
    if not re.search(r"^running [1-9]", out, re.MULTILINE):
        raise Wrong(f"{test}: was not run\n{out[-2000:]}")
    if code == 0:
        return "passed", ""
    if not re.search(r"^test result: FAILED", out, re.MULTILINE):
        raise Wrong(f"{test}: ended without a result\n{out[-3000:]}")
    why = re.search(r"panicked at .*\n(.*)", out)
    return "failed", why.group(1)[:160] if why else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", metavar="SUITE")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    mutants = tomllib.loads(LIST.read_text())["mutant"]
    problems = check(mutants)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 2
    if arguments.check:
        print(f"{len(mutants)} broken variants fit the code")
        return 0

    def wanted(test):
        return suite(test) == arguments.only if arguments.only else arguments.all or suite(test) == "core"

    chosen = [m for m in mutants if not arguments.names or any(n in m["name"] for n in arguments.names)]
    pairs = [(m, t) for m in chosen for t in m["tests"] if wanted(t)]
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target/mutants/build").resolve()
    scratch = target.parent / f"{target.name}-code"
    scratch.mkdir(parents=True, exist_ok=True)
    refresh(scratch)
    errors, survivors = [], []
    for test in sorted({t for _, t in pairs}):
        try:
            result, why = attempt(test, scratch, target)
            if result != "passed":
                errors.append(f"{test} fails on the sound code: {why}")
        except Wrong as error:
            errors.append(str(error))
    if errors:
        print("\n".join(errors), file=sys.stderr)
        return 2
    print("| broken variant | test | result | seconds |\n| --- | --- | --- | --- |", flush=True)
    for mutant, test in pairs:
        began = time.monotonic()
        for path, text in broken(mutant, scratch).items():
            path.write_text(text)
        try:
            result, why = attempt(test, scratch, target)
            told = f"caught: {why}" if result == "failed" else "**survives**"
            if result == "passed":
                survivors.append(mutant["name"])
        except Wrong as error:
            errors.append(f"{mutant['name']}: {error}")
            told = "error"
        finally:
            refresh(scratch)
        told = told.replace("|", "\\|")
        print(f"| {mutant['name']} | `{test}` | {told} | {time.monotonic() - began:.0f} |", flush=True)
    print("\n".join(errors), file=sys.stderr)
    print(f"{len(pairs)} tried, {len(survivors)} survived, {len(errors)} errors")
    return 2 if errors else int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
