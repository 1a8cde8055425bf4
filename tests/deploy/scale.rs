//! Whole fleets, hours long, in seconds.

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;

use crate::harness::Scene;

#[tokio::test(start_paused = true)]
async fn a_hundred_accounts_by_three_services_in_waves() {
    let rollout = "rollout:\n  waves:\n    - { name: canary, select: { ring: canary }, bake: 5m }\n    \
                   - { name: rest, max_parallel: [10%, 50%] }\n";
    let scene = Scene::of(100, 3, rollout).quick();
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 300));
    let calls = scene.sandbox.calls();
    assert_eq!((calls.operation("RegisterTaskDefinition"), calls.operation("UpdateService")), (300, 300));
    assert_eq!(calls.throttled, 0, "our own limits keep below those of AWS");
}

#[tokio::test(start_paused = true)]
async fn twenty_accounts_by_three_services_cost_at_most_six_calls_each() {
    let scene = Scene::of(20, 3, "").quick();
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 60));
    let calls = scene.sandbox.calls();
    assert!(calls.total() <= 360, "{} calls: {:?}", calls.total(), calls.by_operation());
}
