//! Whatever a plan holds, it comes back from its file as it was, and no byte of the file can change unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::base::document::Document;
use crate::fleet::codedeploy::CodeDeploy;
use crate::fleet::commit::{Release, Tag};
use crate::fleet::tier::Tier;
use crate::fleet::{
    Account, Amount, Desired, Fleet, Hop, Identity, IdentitySource, Launch, OnBusy, OnCancel, OnFailure, Parallelism,
    Per, RoleChain, Roster, RunTask, RunTasks, Scope, TargetId, TargetSpec, Wave,
};
use crate::plan::build::wave_outline;
use crate::plan::description;
use crate::plan::outline::{Action, ChangeOutline, Outline};
use crate::plan::saved::Saved;
use crate::plan::work::{Definition, Plan, PreviousState, Work};

/// Text that JSON must escape, or that looks like the file's own.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        any::<String>(),
        Just("\\\" , \u{1f600}\u{2028}\r\n".to_owned()),
        Just("x\",\"digest\":\"sha256:00\"}".to_owned()),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0_u64..400 * 24 * 3600).prop_map(Duration::from_secs),
        (0_u64..10_u64.pow(13)).prop_map(Duration::from_nanos),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..200).prop_map(|half| json!(f64::from(half) / 2.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn hop() -> impl Strategy<Value = Hop> {
    let tags = btree_map(text(), text(), 0..3);
    let arn =
        prop_oneof![Just("arn:aws:iam::111111111111:role/hub"), Just("arn:aws-cn:iam::011111111111:role/team/a/leaf"),];
    (text(), arn, option::of(text()), tags, option::of(text()), vec(text(), 0..2), option::of(duration())).prop_map(
        |(role, arn, external_id, tags, policy, policy_arns, duration)| Hop {
            role,
            arn: arn.parse().expect("an ARN"),
            external_id: external_id.clone(),
            transitive_tags: tags.keys().take(1).cloned().collect(),
            tags,
            source_identity: external_id,
            policy,
            policy_arns,
            duration,
        },
    )
}

fn definition() -> impl Strategy<Value = Definition> {
    prop_oneof![
        Just(Definition::Keep),
        (text(), any::<bool>()).prop_map(|(arn, force)| Definition::Existing { arn, force }),
        (vec((text(), json_value()), 0..4), any::<u64>(), vec(tag(), 0..3)).prop_map(|(members, newest, tags)| {
            let definition = Value::Object(members.into_iter().collect());
            Definition::Register { definition: Document::write(&definition), newest, tags }
        }),
        text().prop_map(|deployment| Definition::Follow { deployment }),
        text().prop_map(|deployment| Definition::Return { deployment }),
    ]
}

fn tag() -> impl Strategy<Value = Tag> {
    (text(), text()).prop_map(|(key, value)| Tag { key, value })
}

fn work() -> impl Strategy<Value = Work> {
    let deployment = option::of(json_value().prop_filter("null is nothing", |value| !value.is_null()));
    (definition(), option::of(any::<u32>()), deployment, text(), vec(text(), 0..3), run_tasks()).prop_map(
        |(definition, desired_count, deployment, from, deployments, run_tasks)| Work {
            definition,
            desired_count,
            deployment,
            from: from.clone(),
            deployments,
            before: PreviousState {
                task_definition: Some(from.clone()),
                desired_count: 2,
                deployment: Document::default(),
            },
            supersedes: None,
            run_tasks,
            codedeploy: desired_count.map(|_| CodeDeploy {
                application: from.clone(),
                deployment_group: "api".to_owned(),
                config: None,
                appspec: from,
            }),
            chosen_by: desired_count.map(|count| count.to_string()),
            values: Vec::new(),
        },
    )
}

fn run_tasks() -> impl Strategy<Value = RunTasks> {
    let per = prop_oneof![Just(Per::Target), Just(Per::Account), Just(Per::Run)];
    let launch = prop_oneof![
        Just(Launch::Type("EC2".to_owned())),
        text().prop_map(|name| Launch::CapacityProviders(vec![json!({ "capacityProvider": name })])),
    ];
    let task = (text(), per, option::of(vec(text(), 0..3)), duration(), option::of(launch)).prop_map(
        |(name, per, command, timeout, launch)| RunTask {
            environment: BTreeMap::from([("NAME".to_owned(), name.clone())]),
            task_definition: Some(name.clone()),
            container: Some(name.clone()),
            network: Some(json!({ "awsvpcConfiguration": { "subnets": [name] } })),
            name,
            per,
            command,
            timeout,
            launch,
        },
    );
    vec(task, 0..2).prop_map(|before| RunTasks { after: before.clone(), before })
}

fn parallelism() -> impl Strategy<Value = Parallelism> {
    let amount = || prop_oneof![(0_usize..500).prop_map(Amount::Count), (0_u8..=100).prop_map(Amount::Percent)];
    prop_oneof![amount().prop_map(Parallelism::Window), vec(amount(), 1..4).prop_map(Parallelism::Batches)]
}

fn source() -> impl Strategy<Value = IdentitySource> {
    prop_oneof![
        text().prop_map(IdentitySource::TokenEnv),
        text().prop_map(|path| IdentitySource::TokenFile(path.into())),
        Just(IdentitySource::Ambient),
    ]
}

/// A fleet of some accounts with a target each, in two waves, and a plan of it.
fn saved() -> impl Strategy<Value = Saved> {
    let target = (vec(hop(), 0..3), option::of(work()), duration(), text());
    (source(), vec(target, 0..4), parallelism(), option::of(0_usize..9), duration(), any::<bool>(), 0_i64..1 << 40)
        .prop_map(|(source, targets, max_parallel, per_account, bake, flag, at)| {
            let mut fleet = Fleet {
                identity: Identity { source, region: "eu-west-1".into(), session_name: "gl-1".into(), issuer: None },
                allow: None,
                accounts: Vec::new(),
                roster: Roster::default(),
                targets: Vec::new(),
                sources: Vec::new(),
                waves: Vec::new(),
                on_busy: OnBusy::Fail,
                notify: Vec::new(),
                environments: BTreeMap::new(),
                tiers: BTreeMap::new(),
                console: None,
                release: Release::default(),
                open: BTreeSet::new(),
                warnings: Vec::new(),
            };
            let mut plan = Plan { outline: Outline::default(), work: Vec::new() };
            for (number, (hops, work, timeout, word)) in targets.into_iter().enumerate() {
                let account = Arc::new(Account {
                    id: format!("{number:012}").parse().expect("an id"),
                    name: format!("a{number}"),
                    labels: BTreeMap::from([("env".to_owned(), word.clone())]),
                    regions: vec!["eu-west-1".to_owned()],
                    chain: RoleChain { hops },
                });
                fleet.environments.insert(account.name.clone(), word.clone());
                fleet.tiers.insert(word.clone(), if flag { Tier::Other } else { Tier::Staging });
                let id: TargetId = format!("a{number}/eu-west-1/api").try_into().expect("an id");
                let blocked = Action::Blocked { reason: word.clone(), help: None };
                let idle = if flag { Action::Unchanged } else { blocked };
                plan.outline.changes.push(ChangeOutline {
                    target: id.clone(),
                    account_id: account.id.clone(),
                    cluster: word.clone(),
                    service: "api".to_owned(),
                    wave: String::new(),
                    action: work.as_ref().map_or(idle, description::action),
                    from: "api:7".parse().ok(),
                    to: None,
                    summary: vec![word.clone()],
                });
                fleet.accounts.push(Arc::clone(&account));
                let desired = crate::plan::saved::desired(work.as_ref());
                let service = "api".to_owned();
                let alarms = if flag { vec![word.clone()] } else { Vec::new() };
                fleet.targets.push(TargetSpec { id, account, cluster: word, service, desired, timeout, alarms });
                plan.work.push(work);
            }
            let places: Vec<usize> = (0..fleet.targets.len()).collect();
            let (first, second) = places.split_at(places.len() / 2);
            for (name, targets) in [("canary", first), ("all", second)] {
                fleet.waves.push(Wave {
                    name: name.to_owned(),
                    targets: targets.to_vec(),
                    max_parallel: max_parallel.clone(),
                    max_parallel_per_account: per_account,
                    max_failures: Amount::Percent(10),
                    strict: flag,
                    bake,
                    gate: !flag,
                    on_failure: if flag {
                        OnFailure::Stop
                    } else {
                        OnFailure::Rollback { scope: Scope::Run, timeout: bake }
                    },
                    on_cancel: OnCancel::Rollback,
                });
                let wave = fleet.waves.last().expect("just added");
                targets.iter().for_each(|&index| name.clone_into(&mut plan.outline.changes[index].wave));
                let changing = targets.iter().filter(|&&index| plan.outline.changes[index].action.changes()).count();
                plan.outline.waves.push(wave_outline(wave, &fleet, changing));
            }
            let made_at = jiff::Timestamp::from_millisecond(at).expect("a time");
            Saved::new(&fleet, &plan, made_at, "0.1.0")
        })
}

proptest! {
    #[test]
    fn what_was_written_is_read(saved in saved()) {
        let text = saved.to_json(None).expect("JSON");
        prop_assert_eq!(Saved::parse(&text), Ok(saved.clone()));
        let (fleet, plan) = saved.clone().into_parts();
        prop_assert!(fleet.targets.iter().all(|target| Arc::ptr_eq(
            &target.account,
            fleet.accounts.iter().find(|account| account.name == *target.id.account).expect("its account"),
        )));
        prop_assert_eq!(Saved::new(&fleet, &plan, saved.made_at, &saved.made_by), saved);
    }

    #[test]
    fn no_byte_changes_unseen(saved in saved(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = saved.to_json(None).expect("JSON");
        let mut bytes = text.clone().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(Ok(read)) = String::from_utf8(bytes).map(|text| Saved::parse(&text)) {
            prop_assert_eq!(read, saved);
        }
    }

    #[test]
    fn no_part_of_it_is_a_plan(saved in saved(), end in any::<prop::sample::Index>()) {
        let text = saved.to_json(None).expect("JSON");
        let mut end = end.index(text.trim_end().len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        prop_assert!(Saved::parse(&text[..end]).is_err());
    }
}

#[test]
fn what_the_manifest_declared_is_not_kept() {
    let work = Work {
        definition: Definition::Keep,
        desired_count: Some(1),
        deployment: None,
        from: String::new(),
        deployments: Vec::new(),
        before: PreviousState::default(),
        supersedes: None,
        run_tasks: RunTasks::default(),
        codedeploy: None,
        chosen_by: None,
        values: Vec::new(),
    };
    assert_eq!(crate::plan::saved::desired(Some(&work)), Desired::default());
}
