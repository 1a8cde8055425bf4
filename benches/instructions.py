#!/usr/bin/env python3
"""Counts the instructions of some commands, and fails where one takes more, or much less, than benches/instructions.json says.

    python3 benches/instructions.py [--roleout target/debug/roleout]    # what .ci/run does
    python3 benches/instructions.py --accept                            # writes what it counts, to be reviewed and committed

Valgrind counts: a busy machine is slower, and counts the same. Two runs differ by less than half a percent, by the seeds of
hash tables and by how often a deployment is polled. The counts are those of the debug build, which `cargo test` makes anyway,
and of its compiler: the file says which, and with another one the counts are shown and nothing fails."""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from fleet import manifest

COUNTS = pathlib.Path(__file__).with_name("instructions.json")

# The reference fleet: sixty targets in twenty accounts.
ACCOUNTS, SERVICES = 20, 3

COMMANDS = {
    "check": ["check"],
    "plan": ["plan", "--sandbox"],
    "deploy": ["deploy", "--sandbox", "--reports-dir", "reports"],
}


def compiler():
    """Returns the version of the compiler and the processor that a count belongs to."""
    said = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return " ".join(re.search(rf"^{key}: (.*)$", said, re.MULTILINE)[1] for key in ("release", "host"))


def counted(roleout, arguments):
    """Runs a command on the reference fleet, and returns how many instructions it took."""
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "deploy.yaml").write_text(manifest(ACCOUNTS, SERVICES))
        ran = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", roleout, *arguments],
            cwd=directory,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
    if ran.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed with {ran.returncode}:\n{ran.stderr[-2000:]}")
    return int(re.search(r"Collected : (\d+)", ran.stderr)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--roleout", default="target/debug/roleout")
    parser.add_argument("--accept", action="store_true", help="write the counts as the new ones")
    arguments = parser.parse_args()
    roleout = str(pathlib.Path(arguments.roleout).resolve())
    counts = {name: counted(roleout, command) for name, command in COMMANDS.items()}
    if arguments.accept:
        recorded = {"compiler": compiler(), "tolerance_percent": 10, "instructions": counts}
        COUNTS.write_text(json.dumps(recorded, indent=2) + "\n")
        print(f"{COUNTS}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")
        return
    recorded = json.loads(COUNTS.read_text())
    tolerance, outside = recorded["tolerance_percent"], []
    for name, count in counts.items():
        before = recorded["instructions"][name]
        percent = (count - before) * 100 / before
        print(f"{name}: {count:,} instructions, recorded {before:,}: {percent:+.1f} %")
        if abs(percent) > tolerance:
            outside.append(f"{name} takes {abs(percent):.1f} % {'more' if percent > 0 else 'fewer'} instructions")
    if recorded["compiler"] != compiler():
        print(f"These counts are of {recorded['compiler']}, and this is {compiler()}: nothing is compared.")
    elif outside:
        sys.exit(
            f"{', '.join(outside)} than benches/instructions.json says; {tolerance} % are allowed.\n"
            "`valgrind --tool=callgrind` and `callgrind_annotate` show where. If the change is meant, accept it with\n"
            "    python3 benches/instructions.py --accept\n"
            "and say in the commit why."
        )


main()
