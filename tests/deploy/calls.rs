//! What `--verbose` shows of the calls, and that what failed at AWS carries AWS's request id.

use roleout::view::log::Filter;
use tracing::subscriber::set_default;

use crate::harness::{Ran, Scene, Shared};

/// Deploys, and returns the lines that so many `--verbose` show beside it.
async fn deploy_with(scene: &Scene, verbose: u8) -> (Ran, Vec<String>) {
    let shown = Shared::default();
    let filter = Filter::parse(verbose, None).expect("a filter").expect("something is shown");
    let guard = set_default(filter.subscriber(shown.clone()));
    let ran = scene.deploy().await;
    drop(guard);
    (ran, shown.text().lines().map(str::to_owned).collect())
}

/// Returns the value of a line's field.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("{name} in {line}")) + name.len() + 2;
    line[start..].split(' ').next().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn verbose_shows_one_line_for_each_request() {
    let scene = Scene::of(3, 2, "").fault("a1=throttle:1").fault("a2/*/s0=crash");
    let (ran, lines) = deploy_with(&scene, 1).await;
    let calls = scene.sandbox.calls();
    assert_eq!(lines.len() as u64, calls.total(), "{}\n{:?}", lines.join("\n"), calls.by_operation());
    assert!(calls.throttled > 0, "{}", ran.said);
    for line in &lines {
        assert!(line.contains(" DEBUG roleout::calls: "), "{line}");
        let _: u64 = field(line, "ms").parse().expect(line);
    }
    for (operation, count) in calls.by_operation() {
        let of = |line: &&String| line.split("calls: ").nth(1).is_some_and(|it| it.contains(&format!(" {operation} ")));
        assert_eq!(lines.iter().filter(of).count() as u64, count, "{operation}");
    }
    let throttled: Vec<_> = lines.iter().filter(|line| line.contains("outcome=\"throttled: ")).collect();
    assert_eq!(throttled.len() as u64, calls.throttled);
    assert!(lines.iter().any(|line| field(line, "attempt") == "2"), "a retry is a line of its own");
}
