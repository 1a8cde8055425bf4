"""The live view on a real terminal: a pty, and a terminal emulator that others wrote, at many sizes."""

import json
import os
import re
import signal
import time

import pexpect
import pyte
import pytest

import peers

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Terminal:
    """`roleout deploy --sandbox` in a terminal of so many columns and rows, and what that terminal shows."""

    def __init__(self, home, manifest, columns, rows, *arguments, **variables):
        (home / "deploy.yaml").write_text(manifest)
        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.5)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.frames = []
        environment = peers.clean_environment(home) | {"TERM": "xterm-256color"} | variables
        self.child = pexpect.spawn(
            str(peers.BINARY),
            ["deploy", "--sandbox", *arguments],
            cwd=home,
            env=environment,
            dimensions=(rows, columns),
            timeout=None,
        )

    def read(self, seconds):
        """Shows what comes in so many seconds, and keeps each screen that it makes. Returns whether there will be more."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                chunk = self.child.read_nonblocking(65536, timeout=0.05)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return False
            self.bytes += chunk
            self.stream.feed(chunk)
            self.frames.append(self.lines())
        return True

    def finish(self, seconds=60):
        """Shows everything until its end, and returns the exit code."""
        assert not self.read(seconds), f"still running after {seconds} s:\n" + "\n".join(self.lines())
        self.child.close()
        return self.child.exitstatus

    def resize(self, columns, rows):
        self.child.setwinsize(rows, columns)
        self.screen.resize(rows, columns)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def all_lines(self):
        """The lines of its history and its screen."""
        history = ["".join(cell.data for _, cell in sorted(line.items())).rstrip() for line in self.screen.history.top]
        return history + self.lines()


def fleet(accounts, services=1, wave="all", rollout=""):
    lines = ["version: 1", "roles: { leaf: { arn: 'arn:aws:iam::${account.id}:role/leaf' } }", "accounts:"]
    for number in range(accounts):
        lines.append(f"- {{ name: a{number}, id: '{200000000000 + number}', chain: [leaf], regions: [eu-west-1] }}")
    lines.append("services:")
    for number in range(services):
        lines.append(f"- {{ name: s{number}, cluster: main, images: {{ app: 'registry.example.com/s:v2' }} }}")
    lines.append(f"rollout: {{ waves: [ {{ name: '{wave}'{rollout} }} ] }}")
    return "\n".join(lines) + "\n"


def no_remains(terminal):
    """Nothing of the foot is left: no spinner, no bar, no count of what runs."""
    text = "\n".join(terminal.all_lines())
    assert not re.search(f"[{SPINNER}━─]", text), text
    return text


@pytest.mark.parametrize("accounts", [1, 3])
def test_a_few_targets_are_seen_at_a_glance(tmp_path, accounts):
    terminal = Terminal(tmp_path, fleet(accounts), 100, 24)
    assert terminal.finish() == 0
    seen = ["\n".join(frame) for frame in terminal.frames]
    # Which wave, how far, and for how long.
    assert any(re.search(rf"[{SPINNER}]  all 1/1  ─+  0/{accounts}  failures 0/0  .* 00:0\d( of ~\d+s)?", frame) for frame in seen)
    assert any(re.search(r"a0/eu-west-1/s0 +(deploying|completing) +[━─]{8}  \d/2 ", frame) for frame in seen)
    text = no_remains(terminal)
    assert text.count("✔ a0/eu-west-1/s0") == 1
    assert f"{accounts} target" in text and "done (exit code 0)" in text


@pytest.mark.parametrize("targets", [300, 1000])
def test_a_fleet_fits_the_screen(tmp_path, targets):
    terminal = Terminal(tmp_path, fleet(targets // 10, 10), 120, 40)
    assert terminal.finish(240) == 0
    lines = [line for frame in terminal.frames for line in frame]
    assert any(re.search(r"^  a\d+ +\d+ running +[━─]{8}  s0 ", line) for line in lines), "no account has a row"
    assert any(re.search(r"… and \d+ more accounts, \d+ running", line) for line in lines), "nothing was counted"
    assert any(re.search(rf"  \d+/{targets}  failures 0/0 ", line) for line in lines)
    text = no_remains(terminal)
    assert text.count(" succeeded in ") == targets, "each target is kept once"


@pytest.mark.parametrize("columns", [10, 30, 45])
def test_a_narrow_terminal_breaks_no_line_of_the_foot(tmp_path, columns):
    terminal = Terminal(tmp_path, fleet(3), columns, 24)
    assert terminal.finish() == 0
    for frame in terminal.frames:
        feet = [line for line in frame if re.match(f"[{SPINNER}]", line)]
        assert len(feet) <= 1, "\n".join(frame)
    no_remains(terminal)


def test_a_terminal_that_is_resized_keeps_no_remains(tmp_path):
    terminal = Terminal(tmp_path, fleet(4, 3, rollout=", max_parallel: 4"), 120, 30)
    for columns, rows in [(60, 30), (40, 12), (100, 20), (30, 10), (140, 40)]:
        terminal.read(1.0)
        terminal.resize(columns, rows)
    assert terminal.finish() == 0
    screen = "\n".join(terminal.lines())
    assert not re.search(f"[{SPINNER}]", screen), screen
    assert "done (exit code 0)" in screen


def test_no_colour_means_none(tmp_path):
    terminal = Terminal(tmp_path, fleet(2), 100, 24, NO_COLOR="1")
    assert terminal.finish() == 0
    assert not re.search(rb"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.bytes)
    coloured = Terminal(tmp_path, fleet(2), 100, 24)
    assert coloured.finish() == 0
    assert re.search(rb"\x1b\[[0-9;]*3[0-9]m", coloured.bytes)


def test_wide_letters_take_two_columns(tmp_path):
    manifest = fleet(2, wave="東京リージョン").replace("name: s0,", "name: 決済サービス, service: payments,")
    terminal = Terminal(tmp_path, manifest, 80, 24)
    assert terminal.finish() == 0
    # pyte leaves the second column of a wide letter empty, so a column of the screen is an index of the line.
    rows = [line for frame in terminal.frames for line in frame if re.search("a[01]/eu-west-1/決済サービス.*[━─]", line)]
    bars = {re.search("[━─]", line).start() for line in rows}
    assert len(bars) == 1, bars
    assert "✔ a0/eu-west-1/決済サービス  succeeded" in no_remains(terminal)


def test_what_fails_says_so_while_it_runs(tmp_path):
    terminal = Terminal(tmp_path, fleet(40), 100, 12, "--sandbox-fault", "a37/*/s0=crash")
    assert terminal.finish() in (10, 11)
    # With forty targets in twelve rows, the one that fails is among those shown.
    assert any(re.search(r"a37/eu-west-1/s0 .* failing", line) for frame in terminal.frames for line in frame)
    assert "EssentialContainerExited" in no_remains(terminal)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_columns_stay_and_failures_are_pinned(tmp_path, columns):
    manifest = fleet(30, 2, rollout=", max_parallel: 30, max_failures: 5")
    terminal = Terminal(tmp_path, manifest, columns, 24, "--sandbox-fault", "a3/*/s0=crash")
    assert terminal.finish(120) == 13
    budgets, states, failing, pinned = set(), set(), [], []
    for frame in terminal.frames:
        # The foot ends with the line of the whole; what is above it may be a line that was broken.
        if not re.match(f"[{SPINNER}]  all 1/1 ", frame[-1]) or "failures" not in frame[-1]:
            continue
        budgets.add(frame[-1].index("failures"))
        for line in frame:
            row = re.match(r"[!✖↩ ] \S+(/s\d)?  +(deploying|completing|failing|registered|preparing|rolled back|\d+ running) .*\d\d:\d\d$", line)
            if row:
                states.add(row.start(2))
                failing += [line] if row[2] == "failing" else []
                pinned += [line] if row[2] == "rolled back" else []
    assert len(budgets) == 1 and len(states) == 1, (budgets, states)
    assert failing and all("crashed" in line or ":" in line for line in failing)
    assert pinned, "the failure left the screen and was not pinned"
    assert "1 rolled back" in no_remains(terminal)


def test_a_terminal_that_can_do_nothing_gets_lines(tmp_path):
    terminal = Terminal(tmp_path, fleet(2), 100, 24, TERM="dumb")
    assert terminal.finish() == 0
    assert b"\x1b" not in terminal.bytes
    assert "done (exit code 0)" in no_remains(terminal)


def events(home):
    path = home / "journal"
    return [json.loads(line)["event"]["kind"] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_terminal_that_is_stopped_holds_up_no_run(tmp_path):
    """Nobody reads, as after Ctrl-S: the pty is full at once, and the deployments are watched to their ends."""
    terminal = Terminal(tmp_path, fleet(20, 3), 100, 24, "--journal", "journal")
    deadline = time.monotonic() + 60
    while "run_finished" not in events(tmp_path):
        assert time.monotonic() < deadline, events(tmp_path)[-3:]
        time.sleep(0.1)
    # Everything is still there for who goes on reading.
    assert terminal.finish() == 0
    assert no_remains(terminal).count(" succeeded in ") == 60


def test_a_signal_ends_a_run_whose_terminal_is_stopped(tmp_path):
    terminal = Terminal(tmp_path, fleet(20, 3), 100, 24, "--journal", "journal", "--sandbox-fault", "*/*/s0=hang")
    deadline = time.monotonic() + 60
    while events(tmp_path).count("rollout_finished") < 40:
        assert time.monotonic() < deadline, events(tmp_path)[-3:]
        time.sleep(0.1)
    os.kill(terminal.child.pid, signal.SIGINT)
    began = time.monotonic()
    while terminal.child.isalive():
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    assert terminal.child.exitstatus == 130
    assert events(tmp_path)[-1] == "run_finished"


def test_a_terminal_that_is_closed_cancels_the_run_and_leaves_its_reports(tmp_path):
    """The system sends SIGHUP, and nothing can be written to the terminal any more."""
    arguments = ["--journal", "journal", "--reports-dir", "reports", "--sandbox-fault", "*=hang"]
    terminal = Terminal(tmp_path, fleet(3), 100, 24, *arguments)
    deadline = time.monotonic() + 60
    while events(tmp_path).count("deployment_started") < 3:
        assert time.monotonic() < deadline, events(tmp_path)[-3:]
        terminal.read(0.1)
    # pexpect's own way to close it sends signals besides.
    terminal.child.ptyproc.fileobj.close()
    terminal.child.ptyproc.closed = terminal.child.closed = True
    ended, began = (0, 0), time.monotonic()
    while ended[0] == 0:
        assert time.monotonic() - began < 60, events(tmp_path)[-3:]
        time.sleep(0.05)
        ended = os.waitpid(terminal.child.pid, os.WNOHANG)
    assert os.waitstatus_to_exitcode(ended[1]) == 143
    assert events(tmp_path)[-1] == "run_finished"
    assert len(list((tmp_path / "reports" / "log").glob("*/*/*.log"))) == 3
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert (report["verdict"]["cancelled"], report["verdict"]["exit_code"]) == ("SIGHUP", 143)
    assert "SIGHUP" in (tmp_path / "reports" / "report.md").read_text()
