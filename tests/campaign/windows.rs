//! Properties of windows and batches: no more targets at once than they allow, and no fewer.

use proptest::prelude::*;
use proptest::sample::select;

use crate::simulation::draw;
use crate::simulation::facts::Facts;
use crate::simulation::invariants::check;
use crate::simulation::run::simulate;
use crate::simulation::scenario::{Account, Scenario, Service, Wave};

/// A fleet in which nothing goes wrong, in one wave.
fn calm(accounts: usize, services: usize, keys: Vec<String>) -> Scenario {
    let account = |number| Account { number, regions: vec!["eu-west-1"], chain: 2, ring: 0 };
    let service = |number| Service { number, cluster: "main", keys: Vec::new(), new_keys: Vec::new() };
    Scenario {
        accounts: (0..accounts).map(account).collect(),
        services: (0..services).map(service).collect(),
        waves: vec![Wave { ring: None, keys }],
        ..draw::nothing(0)
    }
}

/// Returns how many of so many targets may be in flight at once at most.
fn most(parallel: &str, total: usize) -> usize {
    let size = |text: &str| match text.trim().strip_suffix('%') {
        Some(percent) => (total * percent.parse::<usize>().expect("a number") / 100).max(1),
        None => text.trim().parse().expect("a number"),
    };
    let Some(batches) = parallel.strip_prefix('[') else { return size(parallel).min(total) };
    let sizes: Vec<usize> = batches.trim_end_matches(']').split(',').map(size).collect();
    let (mut left, mut most) = (total, 0);
    for number in 0.. {
        let batch = sizes[number.min(sizes.len() - 1)].min(left);
        (left, most) = (left - batch, most.max(batch));
        if left == 0 {
            break;
        }
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_many_targets_are_in_flight_at_once_as_may_be(
        accounts in 1..5_usize,
        services in 1..4_usize,
        parallel in select(&["1", "2", "3", "40%", "50%", "100%", "[1, 2]", "[1, 50%]", "[25%]", "[3, 1]"][..]),
        failures in 0..3_usize,
        strict: bool,
        per_account in prop::option::of(1..3_usize),
    ) {
        let mut keys = vec![format!("max_parallel: {parallel}"), format!("max_failures: {failures}"), format!("strict: {strict}")];
        keys.extend(per_account.map(|most| format!("max_parallel_per_account: {most}")));
        let scenario = calm(accounts, services, keys);
        let history = simulate(&scenario);
        prop_assert_eq!(check(&scenario, &history), Vec::<String>::new());
        let facts = Facts::new(&scenario, &history, &history.runs[0]);
        let spans: Vec<(u64, u64)> = facts.targets.iter().filter_map(|target| target.span(facts.ran.ended)).collect();
        prop_assert_eq!(spans.len(), accounts * services);
        let at_once = |begun: u64| spans.iter().filter(|(from, to)| *from <= begun && begun < *to).count();
        let seen = spans.iter().map(|(begun, _)| at_once(*begun)).max().unwrap_or_default();
        let mut allowed = most(parallel, spans.len());
        if strict {
            allowed = allowed.min(failures + 1);
        }
        if let Some(per_account) = per_account {
            allowed = allowed.min(accounts * per_account.min(services));
        }
        prop_assert_eq!(seen, allowed);
    }
}
