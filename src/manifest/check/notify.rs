//! `notify:`: which webhooks are told how a run goes.

use crate::fleet::webhook::{Occasion, Webhook};
use crate::manifest::Manifest;
use crate::manifest::check::{Checker, given, items};

impl Checker<'_> {
    /// Resolves the webhooks.
    pub fn notify(self, manifest: &Manifest) -> Vec<Webhook> {
        let webhook = |written: &crate::manifest::spanned::Spanned<crate::manifest::Webhook>| {
            let webhook = written.get()?;
            self.need(&webhook.url_env, written.span, "a webhook", "url_env")?;
            let on: Vec<Occasion> = items(&webhook.on).iter().filter_map(|occasion| occasion.get().copied()).collect();
            if let Some(list) = webhook.on.as_ref().filter(|_| items(&webhook.on).is_empty()) {
                self.fault(list.span, "`on` is empty: nothing would ever be posted", "name `halt`, `end` or both");
            }
            Some(Webhook {
                url_env: self.variable_name(webhook.url_env.as_ref()?, "url_env", "DEPLOY_WEBHOOK_URL")?,
                format: given(&webhook.format).copied().unwrap_or_default(),
                on: if on.is_empty() { Occasion::ALL.to_vec() } else { on },
            })
        };
        items(&manifest.notify).iter().filter_map(webhook).collect()
    }
}
