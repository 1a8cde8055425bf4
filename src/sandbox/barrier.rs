//! The policy that refuses a call, and AWS's words for it: the argument of the fault `deny`.

use crate::sandbox::session::Principal;
use crate::sandbox::wire::AwsError;

/// A kind of policy that denies an action, or that no statement of which allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// AWS's name of the kind, with its article.
    kind: (&'static str, &'static str),
    /// Whether it denies the action explicitly.
    explicit: bool,
}

/// Every kind: its name in a fault, AWS's article and AWS's name.
const KINDS: [(&str, &str, &str); 7] = [
    ("scp", "a", "service control policy"),
    ("rcp", "a", "resource control policy"),
    ("boundary", "a", "permissions boundary"),
    ("session", "a", "session policy"),
    ("identity", "an", "identity-based policy"),
    ("resource", "a", "resource-based policy"),
    ("endpoint", "a", "VPC endpoint policy"),
];

impl Barrier {
    /// No identity-based policy allows it: what a missing permission is.
    pub(crate) const UNPERMITTED: Self = Self { kind: ("an", "identity-based policy"), explicit: false };
    /// An identity-based policy denies it.
    pub(crate) const IDENTITY: Self = Self { explicit: true, ..Self::UNPERMITTED };
    /// No session policy allows it.
    pub(crate) const SESSION_SILENT: Self = Self { kind: ("a", "session policy"), explicit: false };
    /// A session policy denies it.
    pub(crate) const SESSION: Self = Self { explicit: true, ..Self::SESSION_SILENT };

    /// Reads `scp`, an explicit deny, or `no-scp`, where no such policy allows the action.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, explicit) = match text.strip_prefix("no-") {
            Some(name) => (name, false),
            None => (text, true),
        };
        let (_, article, kind) = KINDS.into_iter().find(|(known, ..)| *known == name)?;
        Some(Self { kind: (article, kind), explicit })
    }

    /// Returns the names that [`Self::parse`] reads, but for those that begin with `no-`.
    pub(crate) fn names() -> String {
        KINDS.map(|(name, ..)| name).join(", ")
    }

    /// Returns the end of AWS's message about an action.
    pub(crate) fn clause(self, action: &str) -> String {
        let (article, kind) = self.kind;
        match self.explicit {
            true => format!("with an explicit deny in {article} {kind}"),
            false => format!("because no {kind} allows the {action} action"),
        }
    }

    /// Returns AWS's refusal of an action on a resource.
    pub(crate) fn refusal(self, principal: &Principal, action: &str, resource: &str) -> AwsError {
        let (caller, clause) = (&principal.arn, self.clause(action));
        let text = format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {clause}");
        AwsError::new("AccessDeniedException", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_barrier_has_the_words_of_aws() {
        for (text, wanted) in [
            ("scp", "with an explicit deny in a service control policy"),
            ("no-boundary", "because no permissions boundary allows the ecs:X action"),
            ("identity", "with an explicit deny in an identity-based policy"),
            ("no-endpoint", "because no VPC endpoint policy allows the ecs:X action"),
        ] {
            assert_eq!(Barrier::parse(text).expect(text).clause("ecs:X"), wanted, "{text}");
        }
        assert_eq!(Barrier::parse("nobody"), None);
    }
}
