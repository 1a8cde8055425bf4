use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::manifest::load::load_str;

/// Accounts with so many regions each, and two services; the account `a0` is a wave of its own.
fn fleet(regions: &[usize], rollout: &str) -> Fleet {
    let mut text = String::from(
        "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n  \
         hub: { arn: \"arn:aws:iam::${account.id}:role/hub\" }\naccounts:\n",
    );
    for (number, count) in regions.iter().enumerate() {
        let names: Vec<String> = (1..=*count).map(|region| format!("eu-west-{region}")).collect();
        text.push_str(&format!(
            "  - {{ name: a{number}, id: \"{:012}\", chain: [hub], regions: [{}] }}\n",
            222_222_222_220_u64 + number as u64,
            names.join(", ")
        ));
    }
    text.push_str("services:\n  - { name: api, cluster: c, images: { app: r } }\n");
    text.push_str("  - { name: web, cluster: c, before: [ { run_task: migrate, container: app, command: [up], per: target } ] }\n");
    text.push_str(rollout);
    load_str("deploy.yaml", Path::new("."), &text, &|_| None).unwrap_or_else(|e| panic!("{}", e.render(false, 99)))
}

const WAVES: &str = "rollout:\n  waves:\n    - { name: canary, select: { account: a0 } }\n    - { name: rest, max_parallel: 50%, max_failures: 10% }\n";

fn shard(text: &str) -> Shard {
    text.parse().expect("a shard")
}

#[test]
fn a_shard_is_a_number_of_so_many() {
    assert_eq!((shard("2/8").to_string(), shard("1/1").of), ("2/8".to_owned(), 1));
    for text in ["", "2", "0/3", "4/3", "a/b", "-1/2", "1/0"] {
        let error = text.parse::<Shard>().expect_err(text);
        assert_eq!(error, format!("`{text}` is not one of several jobs: NUMBER/JOBS, such as 2/8"));
    }
}

#[test]
fn an_account_stays_together_and_the_large_ones_are_spread() {
    let fleet = fleet(&[1, 5, 1, 1, 4, 1, 1], WAVES);
    let parts = fleet.parts(1, 3).expect("parts");
    let names = |part: &Part| -> BTreeSet<String> {
        part.targets.iter().map(|&index| fleet.targets[index].id.account.to_string()).collect()
    };
    let all: Vec<String> = parts.iter().map(|part| names(part).into_iter().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(all, ["a1", "a4", "a2 a3 a5 a6"]);
    let sizes: Vec<_> = parts.iter().map(|part| (part.targets.len(), part.accounts, part.window)).collect();
    assert_eq!(sizes, [(10, 1, 5), (8, 1, 4), (8, 4, 4)], "13 of the 26 run at once");
}

#[test]
fn a_job_has_its_share_of_the_window_and_the_whole_budget() {
    let mut fleet = fleet(&[1, 5, 1, 1, 4, 1, 1], WAVES);
    fleet.notify.push(crate::fleet::webhook::Webhook {
        url_env: "URL".to_owned(),
        format: crate::fleet::webhook::Format::Json,
        key_env: None,
        on: crate::fleet::webhook::Occasion::USUAL.to_vec(),
    });
    let second = fleet.clone().select(&[], &["rest".to_owned()]).expect("a wave").shard(shard("2/3")).expect("a part");
    assert_eq!(second.waves[1].max_parallel, Parallelism::Window(Amount::Count(4)));
    assert_eq!(second.waves[1].max_failures, Amount::Count(2));
    assert_eq!(second.accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["a4"]);
    assert_eq!(second.targets.len(), 8);
    assert!(second.notify.is_empty());
    fleet.waves[1].gate = true;
    let first = fleet.clone().select(&[], &["canary".to_owned()]).expect("a wave").shard(shard("1/1")).expect("a part");
    assert_eq!((first.targets.len(), first.waves[1].gate), (2, false));
    let only = fleet.clone().shard(shard("1/1")).expect("all of it");
    assert_eq!((only.waves, only.targets.len()), (fleet.waves.clone(), 28));
    let empty = fleet.select(&[], &["canary".to_owned()]).expect("a wave").shard(shard("2/2")).expect_err("nothing");
    assert_eq!(empty.to_string(), "nothing is left for the job 2/2: there are fewer accounts than jobs");
}

#[test]
fn what_holds_for_a_whole_wave_is_the_work_of_one_job() {
    for (rollout, reason) in [
        (
            "max_parallel: [1, 50%]",
            "its `max_parallel` is a list, and the next batch waits for the whole of the last one",
        ),
        ("strict: true", "it is `strict`, and counts all that is under way"),
        (
            "on_failure: rollback, rollback_scope: wave",
            "its `rollback_scope` is `wave`, and targets that succeeded are rolled back with those that failed",
        ),
    ] {
        let fleet = fleet(&[1, 1, 1], &format!("rollout:\n  waves:\n    - {{ name: all, {rollout} }}\n"));
        assert_eq!(fleet.indivisible_because(0).as_deref(), Some(reason), "{rollout}");
        let refused = fleet.clone().shard(shard("1/2")).expect_err("one job");
        assert_eq!(refused.to_string(), format!("several jobs cannot share the wave `all`: {reason}"));
        assert_eq!(fleet.clone().shard(shard("1/1")).expect("one job").waves, fleet.waves);
    }
    let mut once = fleet(&[1, 1, 1], "");
    for target in &mut once.targets {
        target.desired.run_tasks.before.iter_mut().for_each(|task| task.per = Per::Run);
    }
    let reason = "the task `migrate` of `web` is run once for all of its targets (`per: run`)";
    assert_eq!(once.indivisible_because(0).as_deref(), Some(reason));
    let narrow = fleet(&[1, 1, 1], "rollout: { max_parallel: 1 }\n").shard(shard("1/2")).expect_err("one at a time");
    assert_eq!(narrow.to_string(), "the wave `all` lets 1 of its targets run at once, so 2 jobs cannot share it");
}

#[test]
fn a_fingerprint_is_that_of_the_targets_and_the_rules() {
    let one = fleet(&[1, 2], WAVES);
    let mut other = one.clone();
    other.targets[0].desired.images.insert("app".to_owned(), "another".to_owned());
    other.release.allow_older = true;
    assert_eq!(one.fingerprint(), other.fingerprint());
    assert_eq!(one.fingerprint().len(), 16);
    assert_eq!(one.matches(&one.fingerprint()), Ok(()));
    other.waves[1].max_failures = Amount::Count(3);
    let error = other.matches(&one.fingerprint()).expect_err("another rule");
    assert!(error.to_string().starts_with("the manifest means another fleet than the pipeline was made of"), "{error}");
    assert_ne!(one.fingerprint(), fleet(&[2, 1], WAVES).fingerprint());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_are_a_partition_that_is_balanced_and_stable(
        regions in prop::collection::vec(1usize..6, 1..40),
        most in 1usize..12,
        percent in 30u8..=100,
    ) {
        let fleet = fleet(&regions, &format!("rollout: {{ max_parallel: {percent}% }}\n"));
        let Ok(parts) = fleet.parts(0, most) else {
            prop_assert!(fleet.window(0) < most.min(regions.len()));
            return Ok(());
        };
        prop_assert_eq!(&parts, &fleet.parts(0, most).expect("again"));
        let mut all: Vec<usize> = parts.iter().flat_map(|part| part.targets.iter().copied()).collect();
        all.sort_unstable();
        prop_assert_eq!(&all, &fleet.waves[0].targets);
        let account = |index: &usize| fleet.targets[*index].account.id.clone();
        let owners: usize = parts.iter().map(|part| part.targets.iter().map(account).collect::<BTreeSet<_>>().len()).sum();
        prop_assert_eq!(owners, regions.len(), "an account is in one part");
        prop_assert_eq!(parts.len(), most.min(regions.len()));
        let sizes: Vec<usize> = parts.iter().map(|part| part.targets.len()).collect();
        let largest = regions.iter().max().expect("an account") * 2;
        let (least, fullest) = (sizes.iter().min().expect("a part"), sizes.iter().max().expect("a part"));
        prop_assert!(fullest - least <= largest, "no part has more than one account more: {:?}", sizes);
        let windows: usize = parts.iter().map(|part| part.window).sum();
        prop_assert!(windows <= fleet.window(0).max(parts.len()));
        prop_assert_eq!(windows, fleet.window(0), "none of it is lost");
        for part in &parts {
            prop_assert!(part.window >= 1 && part.window <= part.targets.len());
        }
        // And each job finds the same by its number alone.
        for (place, part) in parts.iter().enumerate() {
            let own = fleet.clone().shard(Shard { number: place + 1, of: most }).expect("a part");
            let ids: Vec<String> = own.targets.iter().map(|target| target.id.to_string()).collect();
            let wanted: Vec<String> = part.targets.iter().map(|&index| fleet.targets[index].id.to_string()).collect();
            prop_assert_eq!(ids, wanted);
        }
    }
}
