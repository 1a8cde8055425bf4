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
      staging/eu-west-1/api  deploying       ━━━━━───  3/4      api:13        00:41
    ⠼  canary 1/2  ────────────────────────  0/3  failures 0/0                00:42
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
      wave canary            baking          4m 45s more
    ⠦  canary 1/2  ━━━━━━━━────────────────  1/3  failures 0/0     01:00 of ~6m 40s
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
    ↩ staging/eu-west-1/api  rolling back      ━━━━━───  3/4      api:12                          01:04
    ⠦  canary 1/2  ────────────────────────  0/3  failures 0/0  1 running, 2 waiting              01:05
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
    assert_snapshot!(row(&mut watched), @"! staging/eu-west-1/api  failing           ━━──────  0/4      2 crashed                                           00:03");
    let told = run.events.len();
    run.at(5_000, says("was unable to place a task. Reason: \u{1b}[2Jno idea."));
    run.at(6_000, says("has stopped 1 running tasks: (task 8)."));
    run.events[told..].iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(7_000));
    assert_snapshot!(row(&mut watched), @r"! staging/eu-west-1/api  failing           ━━──────  0/4      2 crashed: tasks cannot be placed: \u{1b}[2Jno id…  00:06");
    let mut narrow = Watched::new(live(80, 10));
    run.events.iter().for_each(|event| narrow.view.event(event));
    narrow.view.tick(time(7_000));
    assert_snapshot!(row(&mut narrow), @r"! staging/eu-west-1/api  failing         tasks cannot be placed: \u{1b}…  00:06");
    // Another deployment has its own.
    let told = run.events.len();
    run.rolls_back(8_000, CANARY, None).tasks(9_000, CANARY, 2, 0);
    run.events[told..].iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(10_000));
    let row = row(&mut watched);
    assert!(row.starts_with("↩ staging/eu-west-1/api  rolling back ") && row.contains("  2/4 "), "{row}");
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
    assert_snapshot!(last(halt), @"⠴ halted  0/3  failures 0/0       00:42");
    assert_snapshot!(last(Event::RunCancelled { signal: "SIGINT".into() }), @"⠴ cancelled  0/3  failures 0/0    00:42");
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
    assert!(watched.out.text().contains("\n~ new revision"));
}

#[test]
fn two_hundred_targets_are_no_wall_of_rows() {
    let (mut run, names) = crowd(200);
    let mut watched = Watched::new(live(140, 40));
    run.events.iter().for_each(|event| watched.view.event(event));
    watched.view.tick(time(19_000));
    let screen = watched.look();
    let foot: Vec<_> = screen.lines().skip(2).collect();
    assert_eq!(foot.len(), 12 + 12 + 1, "of what is alike twelve rows are enough");
    assert!(foot[..12].iter().all(|row| row.contains("failing")), "those in trouble come first");
    assert!(foot[12].contains("1 running"), "{}", foot[12]);
    assert_eq!(foot[23], "  … and 177 more accounts, 177 running");
    let last = foot[24];
    assert!(last.contains("  all 1/1  ") && last.contains("0/200  failures 0/0  "), "{last}");
    assert!(last.contains("  200 running  "), "{last}");

    ending(&mut run, &names).iter().for_each(|event| watched.view.event(event));
    let terminal = watched.finish();
    assert_eq!((terminal.broken, terminal.above), (0, 0));
    let text = terminal.text();
    for name in &names {
        let kept =
            text.lines().filter(|line| line.starts_with(['✔', '✖']) && line.contains(&format!(" {name} "))).count();
        assert_eq!(kept, 1, "{name}");
    }
    assert!(!text.contains("─") && !text.contains("more accounts"), "no row is left behind");
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
    // Nine targets in trouble, twelve rows for the others, and the line of the whole.
    assert_eq!(watched.look().lines().count(), 2 + 9 + 12 + 1);
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
    assert!(!text.contains("─") && !text.contains("more running"), "{text}");
    for name in &names {
        assert!(text.lines().any(|line| line.starts_with(['✔', '✖']) && line.contains(&format!(" {name} "))), "{name}");
    }
}

const WORDS: [&str; 7] = ["deploying", "completing", "failing", "registered", "preparing", "failed", "running"];

/// A fleet of so many targets with four services an account. Three times at least forty of them are deployed at once; some
/// fail, of two causes.
fn fleet(number: usize) -> (Run, Vec<String>) {
    let services = ["web", "gateway", "worker", "결제-처리기"];
    let names: Vec<_> =
        (0..number).map(|index| format!("media-prod{}/eu-west-1/{}", index / 4, services[index % 4])).collect();
    let mut plan = outline(names.iter().map(|name| change(name, "main", Action::Register)).collect());
    plan.waves[0].max_failures = 120;
    let mut run = Run::of(plan);
    run.wave(0, "main");
    let mut ms = 0;
    for (place, names) in names.chunks(40.max(number / 16)).take(3).enumerate() {
        for name in names {
            run.deploys(ms, name);
        }
        for (index, name) in names.iter().enumerate() {
            run.tasks(ms + 400, name, (index % 3) as u32, 0).tasks(ms + 800, name, 4, 0);
        }
        // The second chunk has failures in every account, the others have one.
        let fails: Vec<&String> = names.iter().skip(1).step_by(if place == 1 { 3 } else { 40 }).collect();
        for name in &fails {
            let text = "(service web) was unable to place a task. Reason: image not found: web:v2".into();
            run.at(ms + 1_200, Event::ServiceMessage { target: id(name), text }).tasks(ms + 1_200, name, 1, 2);
        }
        for (index, name) in names.iter().enumerate() {
            let why = if index == 1 { "app exits with 1: no database" } else { "image not found: web:v2" };
            match fails.contains(&name) {
                true => run.ends(ms + 1_600, name, Outcome::Failed, Some(reason(why))),
                false => run.ends(ms + 2_000, name, Outcome::Succeeded, None),
            };
        }
        ms += 2_000;
    }
    run.wave_ends(ms, "main", 3, true).finished(ms);
    (run, names)
}

/// The column in which a word begins that stands in a column of its own.
fn column_of(line: &str, word: &str) -> Option<usize> {
    line.match_indices(word).map(|(at, _)| &line[..at]).find(|before| before.ends_with("  ")).map(text::width)
}

/// Where the columns of a screen are: of what goes on, and of the failure budget.
fn columns_of(screen: &[String], columns: usize) -> (Vec<usize>, Vec<usize>) {
    let has_time = |line: &str| line.rsplit("  ").next().is_some_and(|time| time.len() == 5 && time.contains(':'));
    let is_row =
        |line: &&String| line.starts_with(['!', '✖', '↩', ' ']) && text::width(line) == columns - 1 && has_time(line);
    let states = screen.iter().filter(is_row).filter_map(|line| {
        WORDS.iter().find_map(|word| match *word {
            // Of several: how many stands before it.
            "running" => {
                line.split_once(" running  ").map(|(before, _)| text::width(before.trim_end_matches(char::is_numeric)))
            }
            word => column_of(line, word),
        })
    });
    (states.collect(), screen.iter().filter_map(|line| column_of(line, "failures ")).collect())
}

#[test]
fn columns_stay_where_they_are_for_a_whole_run_at_every_size() {
    for columns in [60, 80, 120] {
        for number in [3, 60, 300, 3000] {
            let (run, names) = fleet(number);
            let mut watched = Watched::new(live(columns, 24));
            watched.view.expect(Some(10));
            let (mut states, mut budgets, mut rows) = (Vec::new(), Vec::new(), 0);
            // The lines that are kept may be broken, the foot may not: it is as wide as the terminal at most.
            for event in &run.events {
                watched.view.event(event);
                let drawn = watched.err.take();
                if !drawn.is_empty() {
                    watched.terminal.feed(&drawn);
                    let screen = watched.terminal.screen();
                    let (here, budget) = columns_of(&screen, columns);
                    rows += here.len();
                    states.extend(here);
                    budgets.extend(budget);
                    assert!(
                        screen.len() <= 24 && screen.iter().all(|line| text::width(line) <= columns),
                        "{screen:#?}"
                    );
                    assert_eq!(watched.terminal.above, 0);
                }
            }
            states.sort_unstable();
            states.dedup();
            budgets.sort_unstable();
            budgets.dedup();
            assert!(rows >= 10, "{columns} {number}: {rows} rows were seen");
            assert_eq!((states.len(), budgets.len()), (1, 1), "{columns} {number}: {states:?} {budgets:?}");
            let end = watched.finish().text();
            assert!(!end.contains(['━', '─', '⠋', '⠙', '⠹', '⠸']), "nothing of the foot is left: {end}");
            for name in [&names[0], &names[2]] {
                let told = end.lines().filter(|line| line.contains(&format!("{name} "))).count();
                assert_eq!(told, 1, "{columns} {number}: {name}: the summary does not repeat what was drawn");
            }
        }
    }
}

/// What the screen shows when everything until then has happened.
fn screen_at(run: &Run, ms: i64, options: Options) -> Vec<String> {
    let mut watched = Watched::new(options);
    run.events.iter().take_while(|event| event.at <= time(ms)).for_each(|event| watched.view.event(event));
    watched.view.tick(time(ms + 100));
    watched.look();
    watched.terminal.screen()
}

#[test]
fn a_failing_row_has_its_word_and_its_reason_on_a_narrow_terminal() {
    for columns in [60, 80, 120] {
        for number in [3, 60, 300] {
            let (run, _) = fleet(number);
            let screen = screen_at(&run, 1_200, live(columns, 24));
            let row = screen.iter().find(|line| line.starts_with("! ") && line.contains("  failing "));
            let row = row.unwrap_or_else(|| panic!("{columns} {number}: {screen:#?}"));
            assert!(row.contains("tasks cannot be"), "{columns} {number}: {row}");
        }
    }
}

#[test]
fn the_accounts_of_a_big_fleet_have_a_row_each_and_failures_are_pinned() {
    let (run, _) = fleet(300);
    let screen = screen_at(&run, 4_800, live(80, 24));
    assert_snapshot!(screen.join("\n"), @"
    ✖ media-prod17/eu-west-1/결제-처리기  failed after 1.6s, runs api:12: image not
    found: web:v2
    ✔ media-prod18/eu-west-1/web          succeeded in 2s, runs api:13
    ✔ media-prod18/eu-west-1/gateway      succeeded in 2s, runs api:13
    ✖ media-prod18/eu-west-1/worker       failed after 1.6s, runs api:12: image not
    found: web:v2
    ✔ media-prod18/eu-west-1/결제-처리기  succeeded in 2s, runs api:13
    ✔ media-prod19/eu-west-1/web          succeeded in 2s, runs api:13
    ✖ media-prod19/eu-west-1/gateway      failed after 1.6s, runs api:12: image not
    found: web:v2
    ✔ media-prod19/eu-west-1/worker       succeeded in 2s, runs api:13
    ✔ media-prod19/eu-west-1/결제-처리기  succeeded in 2s, runs api:13
    ✖ 2 targets                 failed          app exits with 1: no databa…  00:01
      media-prod20              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod21              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod22              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod23              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod24              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod25              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod26              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod27              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod28              4 running       ━━━━━━──  web 4/4  gateway …  00:00
      media-prod29              4 running       ━━━━━━──  web 4/4  gateway …  00:00
    ⠼  main 1/1  ━━━━━━──────────────────   80/300  failures 14/120           00:04
    ");
    let screen = screen_at(&run, 5_200, live(60, 12));
    assert_snapshot!(screen.join("\n"), @"
    le to place a task. Reason: image not found: web:v2
    ✖ 2 targets         failed          app exits with …  00:01
    ✖ 12 targets        failed          image not found…  00:01
    ! media-p…/gateway  failing         tasks cannot be…  00:01
      media-prod20      3 running       web 4/4  worker…  00:01
      media-prod21      4 running       web 4/4  gatewa…  00:01
      media-prod22      4 running       web 4/4  gatewa…  00:01
      media-prod23      4 running       web 4/4  gatewa…  00:01
      media-prod24      4 running       web 4/4  gatewa…  00:01
      media-prod25      4 running       web 4/4  gatewa…  00:01
      … and 4 more accounts, 16 running
    ⠴  main 1/1  ━━────────   80/300  failures 14/120     00:05
    ");
    let screen = screen_at(&run, 5_200, live(120, 16));
    assert_snapshot!(screen.join("\n"), @"
    ✔ media-prod19/eu-west-1/worker       succeeded in 2s, runs api:13
    ✔ media-prod19/eu-west-1/결제-처리기  succeeded in 2s, runs api:13
    ! media-prod20/eu-west-1/gateway      (service web) was unable to place a task. Reason: image not found: web:v2
    ✖ 2 targets                           failed            app exits with 1: no database                             00:01
    ! media-prod20/eu-west-1/gateway      failing           ━━━─────  1/4      2 crashed: tasks cannot be placed: i…  00:01
      media-prod20                        3 running         ━━━━━━──  web 4/4  worker 4/4  결제-처리기 4/4            00:01
      media-prod21                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod22                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod23                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod24                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod25                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod26                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod27                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod28                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
      media-prod29                        4 running         ━━━━━━──  web 4/4  gateway 4/4  worker 4/4  결제-처리기…  00:01
    ⠴  main 1/1  ━━━━━━──────────────────   80/300  failures 14/120   40 running, 180 waiting                         00:05
    ");
}

#[test]
fn the_end_of_a_run_counts_each_wave_and_has_the_failures_last() {
    let (run, _) = fleet(80);
    let mut watched = Watched::new(live(80, 24));
    run.events.iter().for_each(|event| watched.view.event(event));
    let text = watched.finish().text();
    let summary = text.split_once("\n\n").expect("a gap before the summary").1;
    assert_snapshot!(summary, @"
    wave main: 66 succeeded, 14 failed

    ✖ failed, the same in 2 targets:
        media-prod0/eu-west-1/gateway, media-prod10/eu-west-1/gateway
        app exits with 1: no database

    ✖ failed, the same in 12 targets:
        media-prod11/eu-west-1/web, media-prod11/eu-west-1/결제-처리기,
        media-prod12/eu-west-1/worker, media-prod13/eu-west-1/gateway,
        media-prod14/eu-west-1/web, media-prod14/eu-west-1/결제-처리기,
        media-prod15/eu-west-1/worker, media-prod16/eu-west-1/gateway,
        media-prod17/eu-west-1/web, media-prod17/eu-west-1/결제-처리기,
        media-prod18/eu-west-1/worker, media-prod19/eu-west-1/gateway
        image not found: web:v2

    80 targets: 66 succeeded, 14 failed, in 4s
    ! done, with failures within tolerance (exit code 13)
    next: roleout deploy --only 'media-prod0/eu-west-1/gateway media-prod10/eu-west-
    1/gateway media-prod11/eu-west-1/web media-prod11/eu-west-1/결제-처리기 media-pr
    od12/eu-west-1/worker media-prod13/eu-west-1/gateway media-prod14/eu-west-1/web
    media-prod14/eu-west-1/결제-처리기 media-prod15/eu-west-1/worker media-prod16/eu
    -west-1/gateway media-prod17/eu-west-1/web media-prod17/eu-west-1/결제-처리기 me
    dia-prod18/eu-west-1/worker media-prod19/eu-west-1/gateway'  # deploys 14 target
    s, once the cause is fixed
    ");
}

#[test]
fn the_time_says_what_is_expected_and_how_far_it_is_over() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY);
    let mut watched = Watched::new(live(80, 24));
    watched.view.expect(Some(10));
    run.events.iter().for_each(|event| watched.view.event(event));
    let mut last = |seconds: i64| {
        watched.view.tick(time(1_000 * seconds));
        watched.look().lines().last().expect("a line").to_owned()
    };
    let lines = [3, 10, 11, 100].map(|seconds| last(seconds)[..].to_owned());
    assert!(lines.iter().all(|line| text::width(line) == 79), "{lines:?}");
    let times = lines.map(|line| line.rsplit("  ").next().unwrap_or_default().to_owned());
    assert_eq!(times, ["00:03 of ~10s", "00:10 of ~10s", "00:11, 1s over", "01:40, 1m 30s over"]);
}

#[test]
fn a_bar_is_full_only_when_a_rollout_has_ended() {
    let mut run = Run::of(small());
    run.wave(0, "canary").deploys(900, CANARY);
    let mut bar = |running: u32| {
        run.tasks(2_000, CANARY, running, 0);
        let screen = screen_at(&run, 3_000, live(100, 10)).join("\n");
        screen
            .chars()
            .skip_while(|char| !"━─".contains(*char))
            .take_while(|char| "━─".contains(*char))
            .collect::<String>()
    };
    assert_eq!([0, 2, 4].map(&mut bar), ["━━──────", "━━━━────", "━━━━━━──"]);
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
