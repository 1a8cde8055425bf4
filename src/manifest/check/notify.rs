//! `notify:`: which webhooks are told how a run goes.

use crate::fleet::webhook::{Format, Occasion, Webhook};
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
                self.fault(list.span, "`on` is empty: nothing would ever be posted", "name `start`, `halt` or `end`");
            }
            let format = given(&webhook.format).copied().unwrap_or_default();
            let is_alert = format == Format::Gitlab;
            if let Some(start) = items(&webhook.on).iter().find(|on| is_alert && on.get() == Some(&Occasion::Start)) {
                self.fault(start.span, "a start is no alert", "take `start` out, or use another format for it");
            }
            match &webhook.key_env {
                None if is_alert => {
                    let help = "add `key_env:`, the name of the variable that holds the endpoint's authorization key";
                    self.fault(self.head(written.span), "a webhook of `format: gitlab` has no `key_env`", help);
                }
                Some(key) if !is_alert => {
                    self.fault(
                        key.span,
                        "`key_env` is for `format: gitlab` alone",
                        "remove it, or add `format: gitlab`",
                    );
                }
                _ => {}
            }
            let key = webhook.key_env.as_ref().filter(|_| is_alert);
            let key_env = key.and_then(|name| self.variable_name(name, "key_env", "ALERT_KEY"));
            Some(Webhook {
                url_env: self.variable_name(webhook.url_env.as_ref()?, "url_env", "DEPLOY_WEBHOOK_URL")?,
                format,
                key_env,
                on: if on.is_empty() { Occasion::USUAL.to_vec() } else { on },
            })
        };
        items(&manifest.notify).iter().filter_map(webhook).collect()
    }
}
