//! `plan` on the sandbox: what it reads, what it shows and how it exits.

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::cancel::Signal;
use roleout::plan::preview::{Kind, Preview};
use roleout::run::plan::{PlanOptions, run};
use roleout::view::options::Options;
use roleout::view::{Form, View};
use serde_json::json;

use crate::harness::{Scene, Shared, manifest};

/// What a plan came to.
struct Planned {
    exit: Result<Exit, Error>,
    preview: Preview,
    /// Virtual seconds.
    seconds: u64,
}

impl Planned {
    fn code(&self) -> Exit {
        self.exit.as_ref().map_or_else(|error| error.exit, |exit| *exit)
    }

    fn action(&self, target: &str) -> Kind {
        let found = self.preview.targets.iter().find(|it| it.target == target);
        found.unwrap_or_else(|| panic!("no target {target}")).action
    }

    fn reason(&self, target: &str) -> &str {
        let group = self.preview.groups.iter().find(|group| group.targets.iter().any(|it| it == target));
        group.and_then(|group| group.reason.as_deref()).unwrap_or_else(|| panic!("{target} is not blocked"))
    }
}

async fn plan(scene: &Scene) -> Planned {
    let (out, err) = (Shared::default(), Shared::default());
    let view = View::new(Options::default(), Box::new(out.clone()), Box::new(err));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let choice = PlanOptions { form: Form::Json, detailed_exitcode: true, ..PlanOptions::default() };
    let began = tokio::time::Instant::now();
    let exit = run(scene.fleet.clone(), &reach, &choice, view, scene.cancel.clone()).await;
    let preview = serde_json::from_str(&out.text()).expect("the plan is shown");
    assert_eq!(scene.sandbox.calls().writes, Vec::new(), "a plan only reads");
    Planned { exit, preview, seconds: began.elapsed().as_secs() }
}

const READ: [&str; 2] = ["ecs:DescribeServices", "ecs:DescribeTaskDefinition"];

#[tokio::test(start_paused = true)]
async fn a_role_that_may_only_describe_is_enough() {
    let scene = Scene::of(3, 2, "");
    for number in 0..3 {
        let arn = format!("arn:aws:iam::20000000000{number}:role/leaf");
        let actions = READ.iter().map(ToString::to_string).collect();
        assert!(scene.sandbox.change_role(&arn, |role| role.actions = Some(actions)), "{number}");
    }
    let planned = plan(&scene).await;
    assert_eq!((planned.code(), planned.preview.totals.register), (Exit::Pending, 6));
}

#[tokio::test(start_paused = true)]
async fn one_unreachable_account_does_not_hide_the_others() {
    let scene = Scene::of(5, 2, "").fault("a4=wrong-account");
    assert!(
        scene.sandbox.change_role("arn:aws:iam::200000000001:role/leaf", |role| role.trust["Statement"] = json!([]))
    );
    let only_definitions = vec![READ[1].to_owned()];
    scene.sandbox.change_role("arn:aws:iam::200000000002:role/leaf", |role| role.actions = Some(only_definitions));
    let planned = plan(&scene).await;
    assert_eq!(planned.code(), Exit::Preflight);
    assert_eq!((planned.preview.totals.register, planned.preview.totals.blocked), (4, 6));
    assert!(planned.reason("a1/eu-west-1/s0").contains("hop 2 (leaf, "), "{}", planned.reason("a1/eu-west-1/s0"));
    assert!(planned.reason("a2/eu-west-1/s1").contains("ecs:DescribeServices"));
    assert!(planned.reason("a4/eu-west-1/s0").contains("and not in 200000000004"));
}

#[tokio::test(start_paused = true)]
async fn refused_accounts_that_differ_only_in_their_own_are_told_once() {
    let scene = Scene::of(6, 1, "");
    for number in 1..6 {
        let arn = format!("arn:aws:iam::20000000000{number}:role/leaf");
        scene.sandbox.change_role(&arn, |role| role.trust["Statement"] = json!([]));
    }
    let planned = plan(&scene).await;
    let blocked: Vec<_> = planned.preview.groups.iter().filter(|group| group.action == Kind::Blocked).collect();
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert_eq!(blocked[0].targets.len(), 5);
    assert!(blocked[0].reason.as_deref().is_some_and(|reason| reason.contains("arn:aws:iam::${account.id}:role/leaf")));
}

#[tokio::test(start_paused = true)]
async fn blocked_targets_are_five_and_a_deployed_fleet_is_nothing_to_do() {
    let scene = Scene::of(2, 2, "").quick();
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let scene = Scene { sandbox: scene.sandbox.clone(), ..scene };
    let (before, _) = (scene.sandbox.calls().writes.len(), scene.sandbox.forget_calls());
    assert!(before > 0);
    let planned = plan(&scene).await;
    assert_eq!((planned.code(), planned.preview.totals.unchanged), (Exit::Done, 4));
    assert_eq!(planned.preview.groups, vec![]);
    // Each account one DescribeServices, and each service's only revision once.
    let calls = scene.sandbox.calls();
    assert_eq!((calls.operation("DescribeServices"), calls.operation("DescribeTaskDefinition")), (2, 4));

    let delete = json!({"cluster": "main", "service": "s1", "force": true});
    scene.sandbox.call_as_operator("a1", "eu-west-1", "DeleteService", &delete).expect("deleted");
    let planned = plan(&scene).await;
    assert_eq!(planned.code(), Exit::Blocked);
    assert_eq!(planned.action("a0/eu-west-1/s1"), Kind::Unchanged);
    assert_eq!(planned.action("a1/eu-west-1/s1"), Kind::Blocked);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_deploy_shows_the_same_as_plan() {
    let mut scene = Scene::of(3, 2, "");
    scene.choice.dry_run = true;
    let shown = async |dry_run: bool| {
        let out = Shared::default();
        let view = View::new(Options::default(), Box::new(out.clone()), Box::new(std::io::sink()));
        let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
        let cancel = scene.cancel.clone();
        let exit = if dry_run {
            crate::runs::deploy(scene.fleet.clone(), &reach, scene.choice.clone(), scene.start.clone(), view, cancel)
                .await
        } else {
            run(scene.fleet.clone(), &reach, &PlanOptions::default(), view, cancel).await
        };
        assert_eq!(exit, Ok(Exit::Done));
        out.text()
    };
    assert_eq!(shown(true).await, shown(false).await);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_plan_says_so_and_an_unknown_wave_is_a_usage_error() {
    let scene = Scene::of(1, 1, "");
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let view = || View::new(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
    let choice = PlanOptions { from: Some("nowhere".into()), ..PlanOptions::default() };
    let error =
        run(scene.fleet.clone(), &reach, &choice, view(), scene.cancel.clone()).await.expect_err("no such wave");
    assert_eq!(error.exit, Exit::Usage);
    scene.cancel.cancel(Signal::Interrupt);
    let error = run(scene.fleet.clone(), &reach, &PlanOptions::default(), view(), scene.cancel.clone())
        .await
        .expect_err("cancelled");
    assert_eq!(error.exit, Exit::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_held_against_the_id_token() {
    for (timeout, fits) in [("40m", true), ("70m", false)] {
        let scene = Scene::of(2, 1, &format!("rollout: {{ timeout: {timeout} }}\n"));
        let planned = plan(&scene).await;
        let budget = planned.preview.time_estimate.expect("known");
        assert_eq!(budget.fits, fits, "{timeout}: {budget:?}");
        assert!(budget.limits.iter().any(|limit| (3500..=3600).contains(&limit.seconds)), "{timeout}: {budget:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_accounts_by_ten_services_take_no_more_reads_than_batches_force() {
    let scene = Scene::new(&manifest(200, 10, ""));
    let planned = plan(&scene).await;
    assert_eq!((planned.code(), planned.preview.totals.register), (Exit::Pending, 2_000));
    // Each service has its own image, and every account has the same ten diffs.
    assert_eq!(planned.preview.groups.len(), 10);
    assert!(planned.preview.groups.iter().all(|group| group.targets.len() == 200));
    let calls = scene.sandbox.calls();
    assert_eq!(calls.operation("AssumeRoleWithWebIdentity"), 1);
    assert_eq!((calls.operation("DescribeServices"), calls.operation("DescribeTaskDefinition")), (200, 2_000));
    assert_eq!(calls.throttled, 0, "our own limits keep below those of AWS");
    assert!(planned.seconds < 120, "{} s", planned.seconds);
}
