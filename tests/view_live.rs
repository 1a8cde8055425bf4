//! What people see on a terminal while a run goes on.

#[path = "view/fixture.rs"]
mod fixture;
#[path = "view/terminal.rs"]
mod terminal;

use std::sync::atomic::{AtomicUsize, Ordering};

use fixture::{Run, Shared, change, id, outline, reason, small, time, view};
use insta::assert_snapshot;
use proptest::prelude::*;
use roleout::base::text;
use roleout::event::{Event, Stamped};
use roleout::fleet::Outcome;
use roleout::plan::outline::Action;
use roleout::view::View;
use roleout::view::options::Options;
use terminal::Terminal;

const CANARY: &str = "staging/eu-west-1/api";

fn live(columns: usize, rows: usize) -> Options {
    Options { live: true, width: columns, height: rows, ..Options::default() }
}

/// A view and the terminal that it draws on.
struct Watched {
    view: View,
    err: Shared,
    out: Shared,
    terminal: Terminal,
}

impl Watched {
    fn new(options: Options) -> Self {
        let terminal = Terminal::new(options.width, options.height);
        let (view, out, err) = view(options);
        Self { view, err, out, terminal }
    }

    fn look(&mut self) -> String {
        self.terminal.feed(&self.err.take());
        self.terminal.text()
    }

    fn finish(mut self) -> Terminal {
        self.view.finish();
        self.terminal.feed(&self.err.take());
        self.terminal
    }
}

/// Many targets that all start at once; every third fails, every fifth has a wide name.
fn crowd(number: usize) -> (Run, Vec<String>) {
    let names: Vec<_> = (0..number)
        .map(|index| match index % 5 {
            0 => format!("결제-서비스-{index}/ap-northeast-2/주문-처리기"),
            _ => format!("prod-{index}/eu-west-1/{}", ["api", "a-service-with-a-long-name"][index % 2]),
        })
        .collect();
    let mut run = Run::of(outline(names.iter().map(|name| change(name, "all", Action::Register)).collect()));
    run.wave(0, "all");
    for (index, name) in names.iter().enumerate() {
        run.deploys(10 * index as i64, name);
    }
    for (index, name) in names.iter().enumerate() {
        run.tasks(5_000 + 10 * index as i64, name, (index % 5) as u32, u32::from(index % 3 == 0));
    }
    (run, names)
}

fn ending(run: &mut Run, names: &[String]) -> Vec<Stamped> {
    let from = run.events.len();
    for (index, name) in names.iter().enumerate() {
        let ms = 20_000 + 10 * index as i64;
        match index % 3 {
            0 => run.ends(ms, name, Outcome::Failed, Some(reason("tasks failed to start"))),
            _ => run.ends(ms, name, Outcome::Succeeded, None),
        };
    }
    run.finished(60_000);
    run.events.split_off(from)
}

#[test]
fn rows_of_active_targets_stand_below_what_is_finished() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).tasks(2_000, CANARY, 3, 0);
    let mut watched = Watched::new(live(80, 24));
    watched.view.phase("walking 6 role chains");
    assert_snapshot!(watched.look(), @"
    ⠋ walking 6 role chains
    ");
    (0..30).for_each(|step| watched.view.tick(time(step * 100)));
    assert_snapshot!(watched.look(), @"
    ⠋ walking 6 role chains 00:02
    ");
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(42_000));
    assert_snapshot!(watched.look(), @"
    · run-1: 3 to deploy, 1 unchanged, 1 blocked
    · wave canary (1 of 2): 1 target, all at once; tolerates no failure
    canary  staging/eu-west-1/api  ██████░░  3/4  api:13  deploying   00:41
    ⠼ 00:42  1 done, 1 running, 2 waiting  wave canary (1 of 2)
    ");

    let told = run.events.len();
    run.ends(45_000, CANARY, Outcome::Succeeded, None);
    run.at(45_000, Event::BakeStarted { wave: "canary".into(), seconds: 300 });
    run.events[told..].iter().for_each(|event| watched.view.event(event));
    watched.view.expect(Some(400));
    watched.view.tick(time(60_000));
    assert_snapshot!(watched.look(), @"
    · run-1: 3 to deploy, 1 unchanged, 1 blocked
    · wave canary (1 of 2): 1 target, all at once; tolerates no failure
    ✔ staging/eu-west-1/api  succeeded in 44s, runs api:13
    · wave canary: bakes for 5m
    ⠦ 01:00 of ~6m 40s  2 done, bakes 4m 45s more, 2 waiting  wave canary (1 of 2)
    ");
}

#[test]
fn a_target_on_its_way_back_says_so_and_where_to() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).tasks(2_000, CANARY, 0, 2).rolls_back(60_000, CANARY, None);
    run.tasks(61_000, CANARY, 3, 0);
    let mut watched = Watched::new(live(100, 10));
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(65_000));
    assert_snapshot!(watched.look(), @"
    · run-1: 3 to deploy, 1 unchanged, 1 blocked
    · wave canary (1 of 2): 1 target, all at once; tolerates no failure
    ↩ staging/eu-west-1/api  rolls back to api:12: ECS is asked to roll its deployment back
    canary  staging/eu-west-1/api  ██████░░  3/4  api:12  rolling back  01:04
    ⠦ 01:05  1 done, 1 running, 2 waiting  wave canary (1 of 2)
    ");
}

#[test]
fn a_target_that_fails_says_why_where_there_is_room() {
    let says = |text: &str| Event::ServiceMessage { target: id(CANARY), text: format!("(service api) {text}") };
    let mut run = Run::of(small());
    run.wave(0, "canary")
        .deploys(900, CANARY)
        .at(2_000, says("has stopped 1 running tasks: (task 7)."))
        .tasks(2_000, CANARY, 0, 2);
    let mut watched = Watched::new(live(120, 10));
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(4_000));
    let row = |watched: &mut Watched| watched.look().lines().rev().nth(1).expect("a row").to_owned();
    assert_snapshot!(row(&mut watched), @"canary  staging/eu-west-1/api  ░░░░░░░░  0/4 -2  api:13  failing     00:03  has stopped 1 running tasks: (task 7).");
    let told = run.events.len();
    run.at(5_000, says("was unable to place a task. Reason: \u{1b}[2Jno idea."));
    run.at(6_000, says("has stopped 1 running tasks: (task 8)."));
    run.events[told..].iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(7_000));
    assert_snapshot!(row(&mut watched), @r"canary  staging/eu-west-1/api  ░░░░░░░░  0/4 -2  api:13  failing     00:06  tasks cannot be placed: \u{1b}[2Jno idea");
    let mut narrow = Watched::new(live(80, 10));
    run.events.iter().for_each(|event| narrow.view.event(event));
    narrow.view.tick(time(7_000));
    assert_snapshot!(row(&mut narrow), @"canary  staging/eu-west-1/api  ░░░░░░░░  0/4 -2  api:13  failing     00:06");
    // Another deployment has its own.
    let told = run.events.len();
    run.rolls_back(8_000, CANARY, None).tasks(9_000, CANARY, 2, 0);
    run.events[told..].iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(10_000));
    assert!(row(&mut watched).ends_with("2/4  api:12  rolling back  00:09"), "{}", row(&mut watched));
}

#[test]
fn that_a_run_is_halted_or_cancelled_is_not_what_a_narrow_terminal_cuts() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).tasks(2_000, CANARY, 0, 2);
    let halt = Event::RunHalted { wave: "canary".into(), cause: id(CANARY), failed: 1, max_failures: 0 };
    let mut last = |event| {
        run.at(3_000, event);
        let mut watched = Watched::new(live(40, 10));
        run.events.iter().for_each(|event| watched.view.event(event));
        watched.view.tick(time(42_000));
        watched.look().lines().last().expect("a line").to_owned()
    };
    assert_snapshot!(last(halt), @"⠴ 00:42 halted  1 done, 1 running, 2 w…");
    assert_snapshot!(last(Event::RunCancelled { signal: "SIGINT".into() }), @"⠴ 00:42 cancelled  1 done, 1 running, …");
}

#[test]
fn counts_of_what_is_not_seen_any_more_have_an_age() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY).tasks(2_000, CANARY, 1, 0);
    run.at(3_000, Event::SessionLost { account: "staging".into(), reason: "the token is over".into() });
    let mut last = |seconds: i64| {
        let mut watched = Watched::new(live(60, 10));
        run.events.iter().for_each(|event| watched.view.event(event));
        run.tasks(40_000, CANARY, 2, 0);
        watched.view.tick(time(1_000 * seconds));
        watched.look().lines().last().expect("a line").to_owned()
    };
    assert!(last(33).contains(" last seen 30s ago "), "it is thirty seconds old");
    assert!(!last(42).contains("last seen"), "it is seen again");
}

#[test]
fn the_plan_and_notes_do_not_run_into_the_rows() {
    let mut watched = Watched::new(live(80, 24));
    watched.view.phase("reading 3 targets");
    watched.view.warning("wave late has no targets");
    watched.view.note("first\nsecond");
    watched.view.plan(&small());
    assert!(watched.err.text().ends_with("\r\n"), "stdout begins on a line of its own");
    watched.view.tick(time(0));
    assert_snapshot!(watched.look(), @"
    warning: wave late has no targets
    note: first second
    ⠙ reading 3 targets
    ");
    assert!(watched.out.text().starts_with("~ new revision"));
}

#[test]
fn two_hundred_rows_do_not_fit_forty() {
    let (mut run, names) = crowd(200);
    let mut watched = Watched::new(live(140, 40));
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(19_000));
    let screen = watched.look();
    let foot: Vec<_> = screen.lines().skip(2).collect();
    assert_eq!(foot.len(), 39, "one row is left for a prompt");
    assert!(foot[..37].iter().all(|row| row.contains("failing")), "those in trouble come first");
    assert_eq!(foot[37], "… and 163 more running");
    assert!(foot[38].contains("0 done, 200 running  wave all (1 of 1)"), "{}", foot[38]);

    ending(&mut run, &names).iter().for_each(|event| watched.view.event(event));
    let terminal = watched.finish();
    assert_eq!((terminal.broken, terminal.above), (0, 0));
    let text = terminal.text();
    for name in &names {
        let kept =
            text.lines().filter(|line| line.starts_with(['✔', '✖']) && line.contains(&format!(" {name} "))).count();
        assert_eq!(kept, 1, "{name}");
    }
    assert!(!text.contains("░") && !text.contains("more running"), "no row is left behind");
}

#[test]
fn a_frame_is_drawn_at_most_ten_times_a_second() {
    let (run, _) = crowd(1000);
    let mut watched = Watched::new(live(100, 40));
    let mut frames = 0;
    for event in &run.events {
        watched.view.event(event);
        frames += usize::from(!watched.err.take().is_empty());
    }
    // 1000 targets start within ten seconds, and then their counts change within ten others.
    assert!(frames <= 202, "{frames}");
}

#[test]
fn a_view_that_is_dropped_leaves_a_clean_line() {
    let mut watched = Watched::new(live(80, 24));
    watched.view.phase("walking 6 role chains");
    watched.view.warning("the token ends in 4m");
    watched.view.tick(time(100));
    drop(watched.view);
    watched.terminal.feed(&watched.err.take());
    watched.terminal.feed("error: no");
    assert_eq!(watched.terminal.text(), "warning: the token ends in 4m\nerror: no");
}

static COLUMNS: AtomicUsize = AtomicUsize::new(100);

#[test]
fn a_terminal_that_gets_narrower_is_erased_by_its_new_rows() {
    let (run, _) = crowd(3);
    let size = || Some((COLUMNS.load(Ordering::Relaxed), 30));
    let mut watched = Watched::new(Options { size, ..live(100, 30) });
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(9_000));
    let before = watched.look();
    let rows: usize = before.lines().skip(2).map(|line| text::width(line).div_ceil(40)).sum();
    COLUMNS.store(40, Ordering::Relaxed);
    watched.view.tick(time(10_000));
    let frame = watched.err.take();
    assert_eq!(frame.matches("\r\u{1b}[2K\u{1b}[1A").count(), rows - 1, "{frame:?}");
    let lines = frame.rsplit("\u{1b}[3A").next().expect("erased before it is drawn");
    assert!(lines.split("\r\n").all(|line| text::width(line) < 40), "{lines:?}");
}

static ROWS: AtomicUsize = AtomicUsize::new(30);

#[test]
fn a_terminal_that_was_shorter_for_a_while_keeps_no_rows_of_before() {
    let (mut run, names) = crowd(26);
    let size = || Some((100, ROWS.load(Ordering::Relaxed)));
    let mut watched = Watched::new(Options { size, ..live(100, 30) });
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(9_000));
    assert_eq!(watched.look().lines().count(), 2 + 27);
    let resize = |watched: &mut Watched, rows: usize, ms: i64| {
        ROWS.store(rows, Ordering::Relaxed);
        watched.terminal.resize(rows);
        watched.view.tick(time(ms));
        watched.look()
    };
    for (rows, ms) in [(20, 9_200), (6, 9_400)] {
        resize(&mut watched, rows, ms);
    }
    // More is written meanwhile than the terminal has rows.
    let ends = ending(&mut run, &names);
    ends.iter().take(8).for_each(|event| watched.view.event(event));
    for (rows, ms) in [(5, 21_000), (12, 21_200), (13, 21_400), (40, 21_600)] {
        resize(&mut watched, rows, ms);
    }
    let screen = watched.look();
    assert_eq!(screen.lines().count(), 2 + 8 + 18 + 1, "{screen}");
    let kept: Vec<_> = screen.lines().filter(|line| line.starts_with(['·', '✔', '✖'])).collect();
    assert_eq!(kept.len(), 2 + 8, "{screen}");
    ends.iter().skip(8).for_each(|event| watched.view.event(event));
    let text = watched.finish().text();
    assert!(!text.contains("░") && !text.contains("more running"), "{text}");
    for name in &names {
        assert!(text.lines().any(|line| line.starts_with(['✔', '✖']) && line.contains(&format!(" {name} "))), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_row_is_wider_than_the_terminal(columns in prop::sample::select(vec![20usize, 40, 60, 80, 120, 200]), rows in 1usize..50, number in 1usize..70) {
        let (run, _) = crowd(number);
        let mut watched = Watched::new(live(columns, rows));
        watched.view.phase("walking a great many role chains, more than fit a narrow terminal");
        watched.view.tick(time(-5_000));
        // The lines that are kept above the rows may be broken, the rows may not.
        run.events.iter().take(2).for_each(|event| watched.view.event(event));
        watched.view.tick(time(200));
        watched.look();
        let broken = watched.terminal.broken;
        for event in run.events.iter().skip(2) {
            watched.view.event(event);
        }
        watched.view.tick(time(4_000_000));
        watched.look();
        prop_assert_eq!(watched.terminal.broken, broken);
        prop_assert_eq!(watched.terminal.above, 0);
    }
}
