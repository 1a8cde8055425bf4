"""Measures how soon a command has something to show, and prints the table of docs/performance.md.

    python3 benches/startup.py [--roleout target/release/roleout] [--runs 20]

A cell is the least of all runs: the CPU time of the command, which other work on the machine changes little; where it says so, the
wall time. That of the first request is from the start of the process to the first byte that a server of its own gets."""

import argparse
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import time

from fleet import manifest
from growth import served

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IiLCJhdWQiOiJhd3MiLCJleHAiOjQwMDAwMDAwMDB9.c2lnbmF0dXJl"
FILES, SERVICES, FAULTS = 8, 1250, 80


def times(command, directory, runs, expected, environment=None):
    """Returns the least CPU time and the least wall time of a command, in milliseconds."""
    cpu, wall = [], []
    for _ in range(runs):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = subprocess.run(command, cwd=directory, env=environment, capture_output=True)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode != expected:
            raise SystemExit(f"{command} ended with {process.returncode}:\n{process.stderr.decode()[-2000:]}")
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(cpu) * 1000, min(wall) * 1000


def cpu(*arguments):
    """Returns the least CPU time of a command, in milliseconds."""
    return times(*arguments)[0]


def first_request(roleout, directory, runs):
    """Returns the least wall time from the start of `plan` to the first byte of its first request, in milliseconds."""
    least = float("inf")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = os.environ | {"AWS_ENDPOINT_URL": address, "TOKEN": TOKEN}
        for _ in range(runs):
            start = time.perf_counter()
            command = [roleout, "plan", "-f", "fleet.yaml"]
            process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            with server.accept()[0] as connection:
                connection.recv(1)
                least = min(least, time.perf_counter() - start)
            process.kill()
            process.wait()
    return least * 1000


def broken(directory):
    """Writes a manifest of 5 MB in eight included files, in which every so many services have a fault, and returns its size."""
    text = manifest(1, 1)
    (directory / "broken.yaml").write_text(text.replace("version: 1\n", 'version: 1\ninclude: ["part-*.yaml"]\n'))
    size, every = 0, FILES * SERVICES // FAULTS
    for part in range(FILES):
        lines = ["services:"]
        for number in range(SERVICES):
            fault = "desired_count: many" if (part * SERVICES + number) % every == 0 else "desired_count: 2"
            variables = ", ".join(f'VARIABLE_{n}: "value {n} of a service"' for n in range(12))
            lines.append(
                f"  - {{ name: s-{part}-{number}, cluster: main, {fault}, "
                f'images: {{ app: "registry.example.com/s:v2" }}, environment: {{ app: {{ {variables} }} }} }}'
            )
        path = directory / f"part-{part}.yaml"
        path.write_text("\n".join(lines) + "\n")
        size += path.stat().st_size
    return size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--roleout", default="target/release/roleout")
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    roleout, runs = str(pathlib.Path(arguments.roleout).resolve()), arguments.runs
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        rows = [("`roleout --help`", cpu([roleout, "--help"], directory, runs, 0))]
        for accounts in (12, 2000):
            (directory / "fleet.yaml").write_text(manifest(accounts, 5))
            time_taken = cpu([roleout, "check", "-f", "fleet.yaml"], directory, runs, 0)
            rows.append((f"`roleout check` of {accounts * 5:,} targets", time_taken))
            if accounts == 12:
                rows.append(("`roleout plan`, to its first request (wall time)", first_request(roleout, directory, runs)))
        size = broken(directory)
        of_cpu, wall = times([roleout, "check", "-f", "broken.yaml"], directory, runs, 3)
        what = f"`roleout check` of {size / 1e6:.1f} MB in {FILES} files with {FAULTS} faults"
        rows += [(what, of_cpu), (f"{what} (wall time)", wall)]
        sandbox, address = served(roleout, directory, "small", 0)
        try:
            environment = os.environ | {"AWS_ENDPOINT_URL": address, "TOKEN": (directory / "token").read_text().strip()}
            plan = [roleout, "plan", "-f", "fleet.yaml", "--out", "plan.json"]
            subprocess.run(plan, cwd=directory, env=environment, capture_output=True, check=True)
        finally:
            sandbox.terminate()
            sandbox.wait()
        size = (directory / "plan.json").stat().st_size
        # Without its token a job reads the plan, believes it, and stops before its first call.
        environment = {name: value for name, value in environment.items() if name != "TOKEN"}
        reading = cpu([roleout, "deploy", "plan.json"], directory, runs, 4, environment)
        rows.append((f"`roleout deploy PLAN` of 10,000 targets ({size / 1e6:.0f} MB), until the plan is believed", reading))
    print("| what | ms |\n|---|---:|")
    for what, milliseconds in rows:
        print(f"| {what} | {milliseconds:.1f} |")


if __name__ == "__main__":
    main()
