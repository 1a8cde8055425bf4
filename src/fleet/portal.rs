//! The access portal of IAM Identity Center, through which people of a company reach the console of each account.
//!
//! A link of the console has no account in it, and opens in whichever one the browser is signed in to. A link of the portal
//! has: this is the form that the portal's own "Create shortcut" makes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::AccountId;

/// An access portal, and the role that its links take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Portal {
    /// Its address, such as `https://example.awsapps.com/start`, without a slash at its end.
    pub address: String,
    /// The permission set that a link takes; where there is none, people choose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Portal {
    /// Returns the address that leads to a page of the console in an account.
    pub fn link(&self, account: &AccountId, page: &str) -> String {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let role = self.role.as_deref().map(|role| format!("&role_name={}", encoded(role))).unwrap_or_default();
        let page = encoded(page);
        format!("{}/#/console?account_id={}{role}&destination={page}", self.address, account.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_account_and_the_role_and_where_it_leads() {
        let account = "222222222222".parse().expect("an id");
        let portal = Portal { address: "https://example.awsapps.com/start".into(), role: Some("ReadOnly".into()) };
        let page = "https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/web/services/api/logs?region=eu-west-1";
        assert_eq!(
            portal.link(&account, page),
            "https://example.awsapps.com/start/#/console?account_id=222222222222&role_name=ReadOnly&destination=https%3A%2F%2F\
             eu-west-1.console.aws.amazon.com%2Fecs%2Fv2%2Fclusters%2Fweb%2Fservices%2Fapi%2Flogs%3Fregion%3Deu-west-1"
        );
        assert!(!Portal { role: None, ..portal }.link(&account, page).contains("role_name"));
    }
}
