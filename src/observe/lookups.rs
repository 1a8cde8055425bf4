//! Reads the values that targets look up: each once for an account and region, many in a call, by the target's own session.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use crate::aws::denial;
use crate::aws::error::{CallError, Kind};
use crate::aws::others::AuxClients;
use crate::aws::parameters::{NAMES_PER_CALL, Parameter, Parameters};
use crate::aws::stacks::{Export, Stacks};
use crate::fleet::lookup::{Found, Lookup, Store};
use crate::fleet::{Fleet, TargetSpec};
use crate::observe::ObserveError;

/// Accounts and regions asked at once.
const PLACES: usize = 64;
/// Calls at once in one of them.
const CALLS: usize = 4;

/// What was read in one account and region, or why it was not.
pub type Read = BTreeMap<Lookup, Result<Found, ObserveError>>;

/// Reads what the targets, by their indices into [`Fleet::targets`], look up. The answers are by account and region.
pub async fn read(
    fleet: &Fleet,
    indices: &[usize],
    others: &dyn Fn(&TargetSpec) -> AuxClients,
) -> BTreeMap<(String, String), Read> {
    let mut places: BTreeMap<(String, String), (&TargetSpec, BTreeSet<Lookup>)> = BTreeMap::new();
    for target in indices.iter().map(|&index| &fleet.targets[index]) {
        let (_, wanted) = places.entry(locate(target)).or_insert_with(|| (target, BTreeSet::new()));
        wanted.extend(target.desired.open_lookups().cloned());
    }
    let reads = places.into_iter().map(|(place, (target, wanted))| async move {
        let others = others(target);
        (place, in_place(target, wanted, &others).await)
    });
    futures::stream::iter(reads).buffer_unordered(PLACES).collect().await
}

/// Returns the account and region of a target.
pub fn locate(target: &TargetSpec) -> (String, String) {
    (target.account.name.clone(), target.id.region.to_string())
}

async fn in_place(target: &TargetSpec, wanted: BTreeSet<Lookup>, others: &AuxClients) -> Read {
    let mut by_store: BTreeMap<Store, Vec<Lookup>> = BTreeMap::new();
    for lookup in wanted {
        by_store.entry(lookup.store).or_default().push(lookup);
    }
    let mut read = Read::new();
    for (store, lookups) in by_store {
        read.extend(match store {
            Store::Ssm => parameters(target, &lookups, &others.parameters(&target.id.region)).await,
            // They are not in AWS.
            Store::Tfstate => Read::new(),
            Store::Cfn => outputs(target, &lookups, &others.stacks(&target.id.region)).await,
            Store::CfnExport => exports(target, &lookups, &others.stacks(&target.id.region)).await,
        });
    }
    read
}

async fn parameters(target: &TargetSpec, lookups: &[Lookup], client: &Parameters) -> Read {
    let calls = lookups.chunks(NAMES_PER_CALL).map(|chunk| async move {
        let names: Vec<&str> = chunk.iter().map(|lookup| lookup.key.as_str()).collect();
        let answer = client.read(&names).await;
        // One name that is not allowed refuses the call: which one it is, each by itself says.
        if names.len() > 1 && answer.as_ref().is_err_and(|error| error.kind == Kind::Denied) {
            let mut each = Vec::new();
            for (lookup, name) in chunk.iter().zip(&names) {
                each.push((lookup, client.read(std::slice::from_ref(name)).await));
            }
            return each;
        }
        chunk.iter().map(|lookup| (lookup, answer.clone())).collect()
    });
    let answers: Vec<_> = futures::stream::iter(calls).buffer_unordered(CALLS).collect().await;
    let answers = answers.into_iter().flatten().map(|(lookup, answer)| {
        let found = match answer {
            Ok(mut found) => judge(target, lookup, found.remove(&lookup.key)),
            Err(error) => Err(unread(target, &error, "ssm")),
        };
        (lookup.clone(), found)
    });
    answers.collect()
}

fn judge(target: &TargetSpec, lookup: &Lookup, found: Option<Parameter>) -> Result<Found, ObserveError> {
    let name = &lookup.key;
    match found {
        Some(Parameter::Text(value, version)) => Ok(Found::of_text(value, format!("SSM parameter, version {version}"))),
        Some(Parameter::List(items, version)) => Ok(Found::of_list(items, format!("SSM parameter, version {version}"))),
        Some(Parameter::Secure) => Err(finding(
            format!("the SSM parameter {name} is a SecureString, and a secret is not looked up"),
            "name its ARN in `secrets`: ECS reads it when a task starts",
        )),
        None => Err(finding(
            format!("the SSM parameter {name} does not exist in {}", target.id.region),
            "create it there, or correct its name",
        )),
    }
}

/// Reads the outputs of stacks, each stack once.
async fn outputs(target: &TargetSpec, lookups: &[Lookup], client: &Stacks) -> Read {
    let mut stacks: BTreeMap<&str, Vec<(&Lookup, &str)>> = BTreeMap::new();
    for lookup in lookups {
        if let Some((stack, output)) = lookup.key.split_once('.') {
            stacks.entry(stack).or_default().push((lookup, output));
        }
    }
    let calls = stacks.into_iter().map(|(stack, wanted)| async move { (stack, wanted, client.outputs(stack).await) });
    let answers: Vec<_> = futures::stream::iter(calls).buffer_unordered(CALLS).collect().await;
    let mut read = Read::new();
    for (stack, wanted, answer) in answers {
        for (lookup, output) in wanted {
            let found = match &answer {
                Ok(Some(outputs)) => outputs.get(output).map_or_else(
                    || {
                        let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
                        let help =
                            format!("it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
                        Err(finding(format!("the stack {stack} has no output {output}"), &help))
                    },
                    |value| Ok(Found::of_text(value, format!("output of the stack {stack}"))),
                ),
                Ok(None) => Err(finding(
                    format!("the stack {stack} does not exist in {}", target.id.region),
                    "create it there, or correct its name",
                )),
                Err(error) => Err(unread(target, error, "cloudformation")),
            };
            read.insert(lookup.clone(), found);
        }
    }
    read
}

async fn exports(target: &TargetSpec, lookups: &[Lookup], client: &Stacks) -> Read {
    let answer = client.exports().await;
    let found = |lookup: &Lookup| match &answer {
        Ok(exports) => match exports.get(&lookup.key) {
            Some(Export { value, stack }) => Ok(Found::of_text(value, format!("export of the stack {stack}"))),
            None => Err(finding(
                format!("no stack exports {} in {}", lookup.key, target.id.region),
                "export it there, or correct its name",
            )),
        },
        Err(error) => Err(unread(target, error, "cloudformation")),
    };
    lookups.iter().map(|lookup| (lookup.clone(), found(lookup))).collect()
}

/// Says what is wrong with a value that AWS answered for.
pub fn finding(reason: String, help: &str) -> ObserveError {
    ObserveError { reason, help: Some(help.to_owned()), answered: true }
}

/// Says why AWS gave no value.
pub fn unread(target: &TargetSpec, error: &CallError, service: &str) -> ObserveError {
    let help = denial::help(error, service, target);
    let help = (error.kind == Kind::Denied).then_some(help);
    ObserveError { reason: error.to_string(), help, answered: error.kind == Kind::Refused }
}
