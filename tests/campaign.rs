//! The first seeds of the campaign, and that the same seed has the same bytes. `examples/campaign.rs` runs as many as are wanted.

#[path = "campaign/simulation.rs"]
mod simulation;

#[test]
fn what_must_hold_holds_for_every_seed() {
    let failing: Vec<String> = (0..40)
        .filter_map(|seed| {
            let broken = simulation::judge(&simulation::draw::scenario(seed));
            let replay = format!("cargo run --example campaign -- --seeds {seed}..{} --trace", seed + 1);
            (!broken.is_empty()).then(|| format!("{replay}\n  {}", broken.join("\n  ")))
        })
        .collect();
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}

#[test]
fn the_same_seed_has_the_same_bytes() {
    for seed in 0..8 {
        let scenario = simulation::draw::scenario(seed);
        assert_same(&simulation::log(&scenario), &simulation::log(&scenario), seed);
    }
}

/// Says where two logs differ first.
fn assert_same(first: &str, second: &str, seed: u64) {
    let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
    assert!(differs.is_none() && first.len() == second.len(), "seed {seed}: {differs:#?}");
}
