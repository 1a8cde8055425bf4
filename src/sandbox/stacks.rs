//! CloudFormation: DescribeStacks and ListExports, in awsQuery and XML. A stack is its outputs and what it exports, and nothing
//! else of it is here.

use std::collections::BTreeMap;

use crate::sandbox::Sandbox;
use crate::sandbox::account::partition;
use crate::sandbox::barrier::Barrier;
use crate::sandbox::session::Principal;
use crate::sandbox::sts::Form;
use crate::sandbox::validation;
use crate::sandbox::wire::{AwsError, CLOUDFORMATION_NAMESPACE, escape};
use crate::sandbox::world::World;

/// The version of its interface.
pub(crate) const VERSION: &str = "2010-05-15";
/// The most exports on a page.
const PAGE: usize = 100;
/// The stack that exports what nobody says another of.
const EXPORTING: &str = "exports";

/// Outputs by account, region and stack.
pub(crate) type Stacks = BTreeMap<(String, String, String), BTreeMap<String, String>>;
/// Exports by account and region: values by their names.
pub(crate) type Exports = BTreeMap<(String, String), BTreeMap<String, String>>;

impl Sandbox {
    /// Gives a stack of CloudFormation an output.
    pub fn put_output(&self, place: (&str, &str), stack: &str, output: &str, value: &str) {
        self.world().put_output(place, stack, output, value);
    }

    /// Takes a stack of CloudFormation away.
    pub fn remove_stack(&self, place: (&str, &str), stack: &str) {
        self.world().stacks.remove(&(place.0.to_owned(), place.1.to_owned(), stack.to_owned()));
    }

    /// Has a stack of CloudFormation export something.
    pub fn put_export(&self, place: (&str, &str), name: &str, value: &str) {
        self.world().put_export(place, name, value);
    }
}

impl World {
    /// Gives a stack an output.
    pub(crate) fn put_output(&mut self, place: (&str, &str), stack: &str, output: &str, value: &str) {
        let key = (place.0.to_owned(), place.1.to_owned(), stack.to_owned());
        self.stacks.entry(key).or_default().insert(output.to_owned(), value.to_owned());
    }

    /// Has a stack export something.
    pub(crate) fn put_export(&mut self, place: (&str, &str), name: &str, value: &str) {
        let key = (place.0.to_owned(), place.1.to_owned());
        self.exports.entry(key).or_default().insert(name.to_owned(), value.to_owned());
    }
}

/// Carries an operation out, if the caller may, and returns its answer as XML.
pub(crate) fn answer(
    world: &World,
    form: &Form,
    caller: &Principal,
    region: &str,
    denied: Option<Barrier>,
) -> Result<String, AwsError> {
    let operation = form.get("Action").map(String::as_str).unwrap_or_default();
    let id = |stack: &str| {
        let (partition, account) = (partition(region), &caller.account);
        format!("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/00000000-0000-0000-0000-000000000000")
    };
    let body = match operation {
        "DescribeStacks" => {
            validation::accept_form("cloudformation", operation, form)?;
            let stack = form.get("StackName").map(String::as_str).unwrap_or_default();
            world.permit(caller, "cloudformation:DescribeStacks", &id(stack), denied)?;
            let key = (caller.account.clone(), region.to_owned(), stack.to_owned());
            let outputs = world
                .stacks
                .get(&key)
                .ok_or_else(|| AwsError::new("ValidationError", format!("Stack with id {stack} does not exist")))?;
            let output = |(key, value): (&String, &String)| {
                let (key, value) = (escape(key), escape(value));
                format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
            };
            let outputs: String = outputs.iter().map(output).collect();
            format!(
                "<Stacks><member><StackName>{}</StackName><StackId>{}</StackId><StackStatus>CREATE_COMPLETE</StackStatus>\
                 <Outputs>{outputs}</Outputs></member></Stacks>",
                escape(stack),
                escape(&id(stack))
            )
        }
        "ListExports" => {
            validation::accept_form("cloudformation", operation, form)?;
            world.permit(caller, "cloudformation:ListExports", "*", denied)?;
            let key = (caller.account.clone(), region.to_owned());
            let from = form.get("NextToken").and_then(|token| token.parse::<usize>().ok()).unwrap_or_default();
            let all = world.exports.get(&key).into_iter().flatten();
            let export = |(name, value): (&String, &String)| {
                let (id, name, value) = (escape(&id(EXPORTING)).to_string(), escape(name), escape(value));
                format!(
                    "<member><ExportingStackId>{id}</ExportingStackId><Name>{name}</Name><Value>{value}</Value></member>"
                )
            };
            let total = all.clone().count();
            let page: String = all.skip(from).take(PAGE).map(export).collect();
            let next = (total > from + PAGE).then(|| format!("<NextToken>{}</NextToken>", from + PAGE));
            format!("<Exports>{page}</Exports>{}", next.unwrap_or_default())
        }
        _ => {
            let text = format!("Could not find operation {operation} for version {VERSION}");
            return Err(AwsError::new("InvalidAction", text));
        }
    };
    Ok(format!(
        "<{operation}Response xmlns=\"{CLOUDFORMATION_NAMESPACE}\"><{operation}Result>{body}</{operation}Result>\
         <ResponseMetadata/></{operation}Response>"
    ))
}
