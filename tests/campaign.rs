//! The first seeds of the campaign, and that the same seed has the same bytes. `examples/campaign.rs` runs as many as are wanted.

use std::io::Write;

#[path = "campaign/simulation.rs"]
mod simulation;
#[path = "campaign/windows.rs"]
mod windows;

/// How many small fleets are run.
const SMALL: u64 = 100;
/// Those that found a fault of the tool: docs/proof.md.
const FOUND: [u64; 5] = [541, 2138, 4919, 6388, 8733];

/// Fails with the first scenario of which something does not hold, made small.
fn hold(scenarios: impl Iterator<Item = simulation::scenario::Scenario>, flags: &str) {
    for scenario in scenarios {
        let broken = simulation::judge(&scenario);
        if broken.is_empty() {
            continue;
        }
        let seed = scenario.seed;
        let replay = format!("cargo run --example campaign -- --seeds {seed}..{}{flags} --trace", seed + 1);
        let (small, still) = simulation::shrink::shrink(&scenario, broken.clone());
        panic!("{replay}\n{}\nmade small:\n{}{}", broken.join("\n"), small.describe(), still.join("\n"));
    }
}

#[test]
fn what_must_hold_holds_for_every_seed() {
    hold((0..40).map(simulation::draw::scenario), "");
}

#[test]
fn what_must_hold_holds_for_small_fleets() {
    hold((0..SMALL).chain(FOUND).map(simulation::draw::small), " --small");
}

#[test]
fn the_deliberate_bugs_can_be_built_in() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let patch = root.join("tests/campaign/mutants.patch");
    let check = std::process::Command::new("git").arg("-C").arg(root).args(["apply", "--check"]).arg(patch).output();
    match check {
        Ok(done) => assert!(done.status.success(), "renew it: {}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => drop(writeln!(std::io::stderr(), "not checked: git cannot be run: {error}")),
    }
}

#[test]
fn the_same_seed_has_the_same_bytes() {
    for seed in 0..8 {
        let scenario = simulation::draw::scenario(seed);
        let (first, second) = (simulation::log(&scenario), simulation::log(&scenario));
        let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
        assert!(differs.is_none() && first.len() == second.len(), "seed {seed}: {differs:#?}");
    }
}
