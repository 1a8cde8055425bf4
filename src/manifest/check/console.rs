//! `console:`: the access portal of which links to the console are made.

use crate::fleet::Portal;
use crate::manifest::Manifest;
use crate::manifest::check::{Checker, given};

impl Checker<'_> {
    /// Resolves the access portal.
    pub fn console(self, manifest: &Manifest) -> Option<Portal> {
        let written = manifest.console.as_ref()?;
        let console = written.get()?;
        let address = self.need(&console.portal, written.span, "`console`", "portal")?;
        // As it is copied out of a browser.
        let address = address.split('#').next().unwrap_or_default().trim_end_matches('/');
        let place = console.portal.as_ref().map_or(written.span, |portal| portal.span);
        if !is_address(address) {
            let message = format!("`{address}` is not the address of an access portal");
            self.fault(place, message, "copy it from IAM Identity Center: https://example.awsapps.com/start");
            return None;
        }
        let role = given(&console.role).cloned();
        if let (Some(name), Some(written)) = (&role, &console.role)
            && !is_permission_set(name)
        {
            let help = "write the name of a permission set, as the access portal shows it, and no ARN";
            self.fault(written.span, format!("`{name}` is not the name of a permission set"), help);
        }
        Some(Portal { address: address.to_owned(), role })
    }
}

fn is_address(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "-._~/:".contains(char);
    text.strip_prefix("https://").is_some_and(|rest| rest.contains('.') && rest.chars().all(allowed))
}

/// Whether it has the form of a permission set's name: 1 to 32 of `[\w+=,.@-]`.
fn is_permission_set(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.chars().all(|char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char))
}
