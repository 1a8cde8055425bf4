//! An UpdateService whose answer is lost: what became of it is read from all that ECS shows, and it is sent once.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;
use roleout::sandbox::Fault;

use crate::harness::{Ran, Scene, manifest};

const ONE: &str = "a0/eu-west-1/s0";

/// One target that ECS rolls back.
fn scene(rollout: &str) -> Scene {
    let keys = "    cluster: main\n    deployment: { circuit_breaker: { enable: true, rollback: true } }\n";
    Scene::new(&manifest(1, 1, rollout).replace("    cluster: main\n", keys)).quick().fault("*=crash")
}

/// Deploys. The answer to UpdateService is lost, and then nothing is answered for so many milliseconds; `fault` stays.
async fn lost(scene: &Scene, millis: u64, fault: Option<Fault>) -> Ran {
    let sandbox = scene.sandbox.clone();
    sandbox.fault("*", Fault::Lost(100)).expect("a fault");
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        while sandbox.calls().operation("UpdateService") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sandbox.clear_faults();
        sandbox.fault("*", Fault::Unavailable(100)).expect("a fault");
        tokio::time::sleep(Duration::from_millis(millis)).await;
        sandbox.clear_faults();
        if let Some(fault) = fault {
            sandbox.fault("*", fault).expect("a fault");
        }
    });
    ran
}

#[tokio::test(start_paused = true)]
async fn an_update_with_a_lost_answer_that_ecs_rolls_back_is_not_sent_again() {
    for (fault, first) in [(None, 100), (Some(Fault::NoServiceDeployments), 350)] {
        let mut seen = Vec::new();
        for millis in (first..20_000).step_by(500) {
            let scene = scene("rollout: { timeout: 10m }\n");
            let ran = lost(&scene, millis, fault.clone()).await;
            let came_to = (ran.code(), ran.outcome(ONE));
            assert_eq!(came_to, (Exit::RolledBack, Some(Outcome::RolledBack)), "{fault:?}, {millis}: {}", ran.said);
            assert_eq!(scene.sandbox.calls().operation("UpdateService"), 1, "{fault:?}, {millis}: {}", ran.said);
            assert!(ran.seconds < 60, "{fault:?}, {millis}: {} s", ran.seconds);
            seen.push(ran.seconds);
        }
        assert!(seen.iter().max() > seen.iter().min(), "{fault:?}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_finds_what_ecs_has_rolled_back_while_nobody_could_look() {
    for fault in [None, Some(Fault::NoServiceDeployments)] {
        let scene = scene("rollout: { timeout: 5s, on_failure: rollback, rollback_timeout: 5m }\n");
        let ran = lost(&scene, 60_000, fault.clone()).await;
        let came_to = (ran.code(), ran.outcome(ONE));
        assert_eq!(came_to, (Exit::RolledBack, Some(Outcome::RolledBack)), "{fault:?}: {}", ran.said);
        assert_eq!(scene.sandbox.calls().operation("UpdateService"), 1, "{fault:?}: {}", ran.said);
        assert!(ran.reason(ONE).contains("whether it took effect could not be read"), "{fault:?}: {}", ran.reason(ONE));
    }
}
