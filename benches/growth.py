"""Measures how plan, deploy, status and rollback grow with the number of targets, and prints the table of docs/performance.md.

    python3 benches/growth.py [--roleout target/release/roleout] [--targets 10,100,1000,10000] [--sizes small,aws]

Each size has its own `roleout sandbox`, as a process of its own, which is reached over HTTP. All targets are in flight at once.
Memory is the largest resident size, and CPU the user and system time, of the command alone."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from fleet import manifest

REGIONS = ("eu-west-1", "us-east-1")
SERVICES = 5
ALL_AT_ONCE = "{ waves: [{ name: all, max_parallel: 100% }] }"


def served(roleout, directory, size, latency):
    """Starts a sandbox of the manifest, and returns its process and its address."""
    command = [roleout, "sandbox", "-f", "fleet.yaml", "--listen", "127.0.0.1:0", "--token-file", "token"]
    command += ["--sandbox-fault", f"*=latency:{latency}"] if latency else []
    command += ["--aws-sized"] if size == "aws" else []
    sandbox = subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True)
    for line in sandbox.stderr:
        if found := re.search(r"listens on (http://[0-9.:]+)", line):
            address = found[1]
        if (directory / "token").exists() and "session by" in line:
            return sandbox, address
    sys.exit("the sandbox did not start")


def asked(address):
    """Returns how many calls the sandbox was asked so far."""
    with urllib.request.urlopen(f"{address}/sandbox/calls") as answer:
        return sum(json.load(answer).values())


def measured(roleout, directory, address, arguments):
    """Runs a command, and returns its seconds, CPU seconds, megabytes and calls."""
    environment = os.environ | {"AWS_ENDPOINT_URL": address, "TOKEN": (directory / "token").read_text().strip()}
    calls, start = asked(address), time.monotonic()
    with open(directory / "output", "w") as output:
        process = subprocess.Popen(
            [roleout, *arguments, "-f", "fleet.yaml"], cwd=directory, env=environment, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{arguments[0]} failed with {process.returncode}:\n{(directory / 'output').read_text()[-2000:]}")
    megabytes = used.ru_maxrss / 1024
    return time.monotonic() - start, used.ru_utime + used.ru_stime, megabytes, asked(address) - calls


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--roleout", default="target/release/roleout")
    parser.add_argument("--targets", default="10,100,1000,10000")
    parser.add_argument("--sizes", default="small,aws")
    parser.add_argument("--latency", type=int, default=40, help="milliseconds of each call")
    arguments = parser.parse_args()
    roleout = str(pathlib.Path(arguments.roleout).resolve())
    commands = {
        "plan": ["plan"],
        "deploy": ["deploy", "--reports-dir", "reports"],
        "status": ["status"],
        "rollback": ["rollback", "--all"],
    }
    print("| answers | targets |", " | ".join(f"{name}: s, CPU s, MB, calls" for name in commands), "|")
    print("|---|---:|" + "---:|" * len(commands))
    for size in arguments.sizes.split(","):
        for targets in map(int, arguments.targets.split(",")):
            accounts = max(1, targets // (SERVICES * len(REGIONS)))
            with tempfile.TemporaryDirectory() as name:
                directory = pathlib.Path(name)
                (directory / "fleet.yaml").write_text(manifest(accounts, SERVICES, ALL_AT_ONCE, REGIONS))
                sandbox, address = served(roleout, directory, size, arguments.latency)
                try:
                    cells = []
                    for command in commands.values():
                        wall, cpu, memory, calls = measured(roleout, directory, address, command)
                        cells.append(f"{wall:.1f}, {cpu:.2f}, {memory:.0f}, {calls:,}")
                finally:
                    sandbox.terminate()
                    sandbox.wait()
            print(f"| {size} | {targets:,} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
