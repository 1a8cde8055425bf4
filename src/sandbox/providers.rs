//! IAM's OIDC identity providers, as an account lists and describes them.

use crate::sandbox::account::{Account, Provider, parts, provider_arn};
use crate::sandbox::barrier::Barrier;
use crate::sandbox::fault::Fault;
use crate::sandbox::moment::iso;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::session::Principal;
use crate::sandbox::wire::{AwsError, escape};
use crate::sandbox::world::World;

/// Carries ListOpenIDConnectProviders out, and returns its result as XML.
pub(crate) fn list(world: &World, caller: &Principal, denied: Option<Barrier>) -> Result<String, AwsError> {
    let (partition, account) = parts(&caller.arn);
    let resource = provider_arn(partition, account, "*");
    world.permit(caller, "iam:ListOpenIDConnectProviders", &resource, denied)?;
    let mut members = String::new();
    for provider in providers(world, caller) {
        let arn = provider_arn(partition, account, &provider.host);
        members.push_str(&format!("      <member>\n        <Arn>{}</Arn>\n      </member>\n", escape(&arn)));
    }
    Ok(format!("    <OpenIDConnectProviderList>\n{members}    </OpenIDConnectProviderList>\n"))
}

/// Carries GetOpenIDConnectProvider out, and returns its result as XML.
pub(crate) fn get(world: &World, arn: &str, caller: &Principal, denied: Option<Barrier>) -> Result<String, AwsError> {
    world.permit(caller, "iam:GetOpenIDConnectProvider", arn, denied)?;
    let (partition, account) = parts(&caller.arn);
    let found = providers(world, caller).into_iter().find(|one| provider_arn(partition, account, &one.host) == arn);
    let provider = found.ok_or_else(|| {
        let text = format!("OpenIDConnect Provider not found for arn {arn}");
        AwsError::with_status(404, "NoSuchEntity", text)
    })?;
    let member = |id: &String| format!("      <member>{}</member>\n", escape(id));
    let ids: String = provider.client_ids.iter().map(member).collect();
    Ok(format!(
        "    <Url>{}</Url>\n    <ClientIDList>\n{ids}    </ClientIDList>\n    <ThumbprintList/>\n    \
         <CreateDate>{}</CreateDate>\n",
        escape(&provider.host),
        iso(0)
    ))
}

/// Returns the providers of the caller's account, as its faults leave them.
fn providers(world: &World, caller: &Principal) -> Vec<Provider> {
    let refused = |wanted| world.account_fault(&caller.account, |fault| *fault == Fault::Refuses(wanted)).is_some();
    if refused(Refusal::NoProvider) {
        return Vec::new();
    }
    let known = world.accounts.get(&caller.account).map(|account: &Account| account.providers.values().cloned());
    let mut providers: Vec<Provider> = known.into_iter().flatten().collect();
    if refused(Refusal::WrongAudience) {
        providers.iter_mut().for_each(|provider| provider.client_ids = vec!["sts.amazonaws.com".to_owned()]);
    }
    providers
}
