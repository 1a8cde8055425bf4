//! The services that are asked in awsQuery and only read, IAM, Elastic Load Balancing and CloudFormation: the way of a request to them.

use crate::sandbox::fault::{Fault, Rule};
use crate::sandbox::moment::Moment;
use crate::sandbox::session::{Refusal, verify};
use crate::sandbox::signature::Claimed;
use crate::sandbox::wire::{Answer, CLOUDFORMATION_NAMESPACE, ELB_NAMESPACE, Fate, IAM_NAMESPACE, Request, XML};
use crate::sandbox::world::{Mishap, World};
use crate::sandbox::{elb, iam, stacks, sts};

/// One of these services.
#[derive(Clone, Copy)]
pub(super) enum Queried {
    Iam,
    Elb,
    CloudFormation,
}

impl World {
    /// A call that only reads. IAM is the same in every region, so it has the faults of an account whatever their region.
    pub(super) fn read(
        &mut self,
        api: Queried,
        request: &Request,
        claimed: Option<&Claimed>,
        form: &sts::Form,
        now: Moment,
    ) -> Fate {
        let operation = form.get("Action").cloned().unwrap_or_default();
        let session = claimed.and_then(|claimed| self.sessions.get(&claimed.access_key));
        let account = session.map(|session| session.principal.account.clone()).unwrap_or_default();
        let place = claimed.map(|claimed| claimed.region.clone()).unwrap_or_default();
        let (prefix, namespace, counted) = match api {
            Queried::Iam => ("iam", IAM_NAMESPACE, "global"),
            Queried::Elb => ("elasticloadbalancing", ELB_NAMESPACE, place.as_str()),
            Queried::CloudFormation => ("cloudformation", CLOUDFORMATION_NAMESPACE, place.as_str()),
        };
        self.calls.record(&account, counted, &operation);
        let services = match api {
            Queried::Iam | Queried::CloudFormation => Vec::new(),
            Queried::Elb => elb::services(self.region(&account, &place), form),
        };
        let services = self.with_aliases(&account, &place, services);
        let action = format!("{prefix}:{operation}");
        let names = self.account_names(&account);
        let here = |rule: &&Rule| match api {
            Queried::Iam => rule.covers_account(&names),
            Queried::Elb | Queried::CloudFormation => rule.covers(&names, &place),
        };
        let rules = self.rules.iter().filter(|rule| !rule.sts && rule.covers_service(&services)).filter(here);
        let faults: Vec<Fault> = rules.map(|rule| rule.fault.clone()).collect();
        let name = format!("{account}/{counted}/{operation}/{}", self.calls.count(&account, counted, &operation));
        match self.mishap(&faults, &name, false, "ServiceUnavailable") {
            Some(Mishap::Unanswered(fate)) => return fate,
            Some(Mishap::Refused(error)) => return Fate::Answered(error.xml_of(namespace, self.request_id())),
            None => {}
        }
        let denied = faults.iter().find_map(|fault| fault.denies(&action));
        let session = claimed.and_then(|claimed| self.sessions.get(&claimed.access_key));
        let off = !matches!(api, Queried::Iam) && self.is_off(&account, &place);
        let caller = verify(session, request, claimed, now);
        let caller = caller.and_then(|caller| if off { Err(Refusal::Unknown) } else { Ok(caller) });
        let caller = caller.map_err(Refusal::sts);
        let answer = caller.and_then(|caller| match api {
            Queried::Iam => iam::answer(self, form, &caller, denied),
            Queried::Elb => elb::answer(self, form, &caller, &place, now, denied),
            Queried::CloudFormation => stacks::answer(self, form, &caller, &place, denied),
        });
        let answer = match answer {
            Ok(body) => Answer::new(200, XML, self.request_id(), body.into_bytes()),
            Err(error) => error.xml_of(namespace, self.request_id()),
        };
        self.send(answer, &faults, (&name, now), None)
    }
}
