"""Deploys the same fleet by roleout and by what one may use in its place, and prints the table of docs/performance.md.

    python3 -m venv tools && tools/bin/pip install awscli ecs-deploy
    PATH=tools/bin:$PATH python3 benches/side_by_side.py [--accounts 4] [--services 3] [--at-once 12]

Each has a `roleout sandbox` of its own, as a process of its own, which is reached over HTTP, with 40 ms for each call. roleout
deploys the fleet by one process. The others deploy one service by one process or by a few, so a shell runs so many services at
once. A tool that is not in the PATH is left out. A plan by roleout shows whether all services run the new image.

CPU is the user and system time of all processes of a tool. Memory is the largest resident size of all that ran at once, as looked
at ten times a second, so what they share is counted for each."""

import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from fleet import manifest
from growth import asked, served

# What the snippets in GitLab's and AWS's documentation do: read, register, update, wait.
AWS_CLI = r"""
kept='taskDefinition.{family: family, networkMode: networkMode, cpu: cpu, memory: memory, containerDefinitions: containerDefinitions,
  executionRoleArn: executionRoleArn, taskRoleArn: taskRoleArn, requiresCompatibilities: requiresCompatibilities}'
deploy() {
    export AWS_PROFILE=$1
    live=$(aws ecs describe-services --cluster main --services "$2" --query 'services[0].taskDefinition' --output text)
    aws ecs describe-task-definition --task-definition "$live" --query "$kept" --output json |
        python3 -c 'import json, sys
new = {key: value for key, value in json.load(sys.stdin).items() if value is not None}
new["containerDefinitions"][0]["image"] = sys.argv[1]
print(json.dumps(new))' "$3" > "$1-$2.json"
    new=$(aws ecs register-task-definition --cli-input-json "file://$1-$2.json" \
        --query taskDefinition.taskDefinitionArn --output text)
    aws ecs update-service --cluster main --service "$2" --task-definition "$new" > "$1-$2.log"
    aws ecs wait services-stable --cluster main --services "$2"
}
"""

ECS_DEPLOY = """
deploy() { ecs deploy main "$2" --profile "$1" --region eu-west-1 --image app "$3" --timeout 600; }
"""


def profiles(directory, accounts):
    """Writes the profiles of the AWS tools: the hub by the token, and each account by the hub."""
    lines = ["[profile hub]", f"web_identity_token_file = {directory / 'token'}"]
    lines += ["role_arn = arn:aws:iam::111111111111:role/hub", "role_session_name = gl-1-2-3", "region = eu-west-1"]
    for number in range(accounts):
        lines += [f"[profile a{number}]", "source_profile = hub", "external_id = team", "region = eu-west-1"]
        lines += [f"role_arn = arn:aws:iam::{200000000000 + number}:role/leaf", "role_session_name = gl-1-2-3"]
    (directory / "config").write_text("\n".join(lines) + "\n")


def resident(session):
    """Returns the megabytes that all processes of a session have in memory."""
    total = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(") ")[2].split()[3]) == session:
                total += int((process / "statm").read_text().split()[1])
        except OSError:
            continue  # it has ended
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(command, directory, environment, address):
    """Runs a command, and returns its seconds, CPU seconds, megabytes and calls."""
    calls, start, before = asked(address), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(directory / "output", "w") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        most = 0
        while process.poll() is None:
            most = max(most, resident(process.pid))
            time.sleep(0.1)
    took, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed with {process.returncode}:\n{(directory / 'output').read_text()[-2000:]}")
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return took, cpu, most, asked(address) - calls


def one_by_one(function, arguments):
    """Returns the command that deploys each service by a shell function, so many at once."""
    names = [(account, service) for account in range(arguments.accounts) for service in range(arguments.services)]
    words = "\\n".join(f"a{account} s{service} registry.example.com/s{service}:v2" for account, service in names)
    script = f"set -euo pipefail\n{function}\ndeploy $1 $2 $3"
    return ["bash", "-c", f"printf '{words}\\n' | xargs -P {arguments.at_once} -L 1 bash -c \"$0\" deploy", script]


def row(name, command, roleout, arguments):
    """Deploys a fleet of its own, and prints a line of the table."""
    with tempfile.TemporaryDirectory() as path:
        directory = pathlib.Path(path)
        (directory / "fleet.yaml").write_text(manifest(arguments.accounts, arguments.services))
        profiles(directory, arguments.accounts)
        sandbox, address = served(roleout, directory, "small", arguments.latency)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": path,
            "TOKEN": (directory / "token").read_text().strip(),
            "AWS_ENDPOINT_URL": address,
            "AWS_CONFIG_FILE": str(directory / "config"),
            "AWS_PAGER": "",
        }
        try:
            wall, cpu, memory, calls = measured(command, directory, environment, address)
            planned = [roleout, "plan", "-f", "fleet.yaml", "--detailed-exitcode"]
            left = subprocess.run(planned, cwd=path, env=environment, capture_output=True, text=True)
            if left.returncode != 0:
                sys.exit(f"{name} left something to deploy:\n{left.stdout}{left.stderr}")
        finally:
            sandbox.terminate()
            sandbox.wait()
    print(f"| {name} | {wall:.1f} | {cpu:.2f} | {memory:.0f} | {calls:,} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--roleout", default="target/release/roleout")
    parser.add_argument("--accounts", type=int, default=4)
    parser.add_argument("--services", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=12, help="services that the shell deploys at once")
    parser.add_argument("--latency", type=int, default=40, help="milliseconds of each call")
    arguments = parser.parse_args()
    roleout = str(pathlib.Path(arguments.roleout).resolve())
    targets = arguments.accounts * arguments.services
    print(f"| {targets} targets | wall s | CPU s | MB | calls |\n|---|---:|---:|---:|---:|", flush=True)
    row("roleout deploy", [roleout, "deploy", "-f", "fleet.yaml"], roleout, arguments)
    for name, program, function in [("aws CLI", "aws", AWS_CLI), ("ecs-deploy", "ecs", ECS_DEPLOY)]:
        if shutil.which(program):
            row(f"{name}, {arguments.at_once} at once", one_by_one(function, arguments), roleout, arguments)


main()
