//! The issuer's own endpoints, looked at as AWS would: what is behind "Couldn't retrieve verification key from your
//! identity provider" and "Could not connect to openid configuration of provider".
//!
//! Two documents are asked for, the discovery document and the keys that it names, each over a connection of its own.
//! Everything is looked at from here, and AWS comes from elsewhere: a finding says what was seen, and a session that was
//! had by the same issuer proves it wrong. Nothing of a token is sent.

pub mod address;
pub mod chain;
mod connection;
pub mod document;
pub mod roots;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::doctor::finding::{Finding, Severity};
use crate::issuer::address::{Address, unreachable_from_aws};
pub use crate::issuer::connection::Names;
use crate::issuer::connection::{Answer, Failure};
use crate::issuer::roots::Roots;

/// How long AWS waits for one of the documents.
const LIMIT: Duration = Duration::from_secs(5);

/// The codes of every finding that is made here; docs/troubleshooting-issuer.md has a section for each.
pub const CODES: [&str; 33] = [
    "issuer-not-https",
    "issuer-not-a-url",
    "issuer-port",
    "issuer-unresolved",
    "issuer-private-address",
    "issuer-unreachable",
    "issuer-tls",
    "issuer-slow",
    "answer-broken",
    "answer-redirect",
    "answer-status",
    "answer-not-json",
    "answer-too-long",
    "discovery-issuer",
    "discovery-keys-address",
    "discovery-incomplete",
    "keys-none",
    "keys-too-many",
    "keys-kid-unknown",
    "keys-unfit",
    "certificate-unreadable",
    "certificate-wrong-host",
    "certificate-self-signed",
    "certificate-expired",
    "certificate-not-yet-valid",
    "certificate-expires-soon",
    "chain-out-of-order",
    "chain-duplicate",
    "chain-extra",
    "chain-incomplete",
    "chain-signature",
    "chain-private-ca",
    "chain-invalid",
];

/// What a look goes by.
#[derive(Clone, Debug)]
pub struct Look {
    /// The trusted roots.
    pub roots: Roots,
    /// Where dates come from.
    pub clock: Clock,
    /// How long each document may take, from the look-up of its host to its last byte.
    pub limit: Duration,
    /// Where hosts are.
    pub names: Names,
    /// Whether to connect to addresses that the internet cannot reach: what names them is a document of somebody else's.
    pub allow_private: bool,
    /// Whether other programs here go through a proxy, which this look does not.
    pub proxied: bool,
}

impl Look {
    /// A look by AWS's limits, this machine's roots and those of a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn new(ca_file: Option<&Path>, allow_private: bool, clock: Clock) -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let proxied = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().any(set);
        Ok(Self { roots: Roots::load(ca_file)?, clock, limit: LIMIT, names: Names::Dns, allow_private, proxied })
    }
}

/// Looks at the documents of an issuer, `iss` of a token as it is, for the key `kid` of that token's header.
pub async fn inspect(issuer: &str, kid: Option<&str>, look: &Look) -> Vec<Finding> {
    let mut inspection = Inspection { look, findings: Vec::new(), met: Vec::new() };
    if let Err(finding) = inspection.walk(issuer, kid).await {
        inspection.findings.push(finding);
    }
    inspection.findings
}

struct Inspection<'a> {
    look: &'a Look,
    findings: Vec<Finding>,
    /// The hosts and ports whose addresses and certificates were looked at already.
    met: Vec<(String, u16)>,
}

impl Inspection<'_> {
    async fn walk(&mut self, issuer: &str, kid: Option<&str>) -> Result<(), Finding> {
        let place = Address::of_discovery(issuer)?;
        if place.has_port {
            let found = Finding::fault(
                "issuer-port",
                "the token's issuer names a port, and AWS wants none in the URL of an identity provider",
            )
            .evidence(format!("iss: {issuer}"))
            .fix(
                "serve GitLab, or the two documents alone, on port 443, and leave the port out of the issuer: \
                      external_url, or ci_id_tokens_issuer_url for the documents, in /etc/gitlab/gitlab.rb",
            );
            self.findings.push(found);
        }
        let document = self.fetch(&place).await?;
        let keys = document::discovery(issuer, &document, &mut self.findings)?;
        let set = self.fetch(&keys).await?;
        document::keys(kid, &set, &mut self.findings);
        Ok(())
    }

    /// Fetches one document as JSON.
    async fn fetch(&mut self, place: &Address) -> Result<Value, Finding> {
        let deadline = Instant::now() + self.look.limit;
        let look = self.look;
        let new = !self.met.contains(&(place.host.clone(), place.port));
        self.met.push((place.host.clone(), place.port));
        let failed = |failure| self::failed(place, failure, look);
        let addresses = connection::resolve(place, &look.names, deadline).await.map_err(failed)?;
        let public = |address: &IpAddr| unreachable_from_aws(*address).is_none();
        if !look.allow_private && !addresses.iter().any(public) {
            return Err(not_connected(place, &addresses));
        }
        if new {
            self.findings.extend(private(place, &addresses));
        }
        let open: Vec<IpAddr> = addresses.into_iter().filter(|it| look.allow_private || public(it)).collect();
        let connection = connection::connect(place, &open, &look.names, deadline).await.map_err(failed)?;
        if new {
            let now = look.clock.timestamp().as_second();
            self.findings.extend(chain::check(&place.host, &connection.served, &look.roots, now));
        }
        let answer = connection.get(place, deadline).await.map_err(failed)?;
        read(place, &answer)
    }
}

/// Says that a host was not connected to, since all of its addresses are of inner networks.
fn not_connected(place: &Address, addresses: &[IpAddr]) -> Finding {
    let what = || format!("{} has no address that AWS can reach", place.host);
    private(place, addresses)
        .unwrap_or_else(|| Finding::fault("issuer-private-address", what()))
        .evidence(format!(
            "no connection was made for {}, since a token, a document or the manifest names it",
            place.url
        ))
        .fix("to look at it all the same, where you know the host: --allow-private")
}

/// Says that AWS cannot reach a host, by its addresses.
fn private(place: &Address, addresses: &[IpAddr]) -> Option<Finding> {
    let inner: Vec<(IpAddr, &str)> =
        addresses.iter().filter_map(|address| Some((*address, unreachable_from_aws(*address)?))).collect();
    let (first, kind) = inner.first()?;
    let what = format!("{} resolves to {first}, {kind}, where AWS cannot reach it", place.host);
    let found = if inner.len() == addresses.len() {
        Finding::fault("issuer-private-address", what)
    } else {
        Finding::note("issuer-private-address", format!("{what}, among others"))
    };
    let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    Some(
        found
            .evidence(format!("as seen from here: {}", list.join(", ")))
            .evidence("the internet's DNS may say otherwise; ask it from elsewhere")
            .fix("let the internet reach /.well-known/openid-configuration and /oauth/discovery/keys, and nothing else")
            .fix(
                "or leave GitLab inside and publish copies of the two documents, for example in an S3 bucket: set \
                 gitlab_rails['ci_id_tokens_issuer_url'] in /etc/gitlab/gitlab.rb to the https:// address of the \
                 copies, which becomes iss, and make the IAM identity provider for that address",
            ),
    )
}

/// Says why there is no answer.
fn failed(place: &Address, failure: Failure, look: &Look) -> Finding {
    let (host, url) = (&place.host, &place.url);
    let public = "AWS must reach it from the internet: check DNS, the firewall and any list of allowed addresses";
    let found = match failure {
        Failure::Unresolved(error) => {
            Finding::fault("issuer-unresolved", format!("{host} has no address")).evidence(error).fix(public)
        }
        Failure::Unconnected(refused) => {
            let what = format!("{host} takes no connection on port {}", place.port);
            Finding { evidence: refused, ..Finding::fault("issuer-unreachable", what) }.fix(public)
        }
        Failure::Tls(error) => {
            let what = format!("there is no TLS connection with {host}");
            return Finding::fault("issuer-tls", what)
                .evidence(error)
                .fix(format!("see what `openssl s_client -connect {host}:{} -servername {host}` says", place.port))
                .fix("GitLab must speak TLS 1.2 or 1.3 there, and ask for no certificate of the client's");
        }
        Failure::Broken(error) => {
            return Finding::fault("answer-broken", format!("{url} gives no HTTP answer"))
                .evidence(error)
                .fix("what listens there must be GitLab's web server; see its own log");
        }
        Failure::TooLong => {
            return Finding::fault(
                "answer-too-long",
                format!("{url} gives more than 1 MiB, which is no such document"),
            )
            .fix("it must be a small JSON document; GitLab's own has about 2 KB");
        }
        Failure::TooSlow(during) => {
            let what = format!("{url} took longer than {}, and AWS waits no longer", seconds(look.limit));
            return Finding::fault("issuer-slow", what).evidence(format!("the time was up while {during}")).fix(
                "find what makes GitLab slow there, or put a cache in front of the two documents: they hardly change",
            );
        }
    };
    if !look.proxied {
        return found;
    }
    // AWS does not go through the proxy of this network; that this machine cannot do without it proves nothing.
    let unsure = Finding { severity: Severity::Note, ..found };
    unsure.evidence("HTTPS_PROXY is set, and this look goes without it, as AWS does: from here it may be impossible")
}

fn seconds(limit: Duration) -> String {
    humantime::format_duration(limit).to_string()
}

/// Reads an answer as JSON.
fn read(place: &Address, answer: &Answer) -> Result<Value, Finding> {
    let url = &place.url;
    match answer.status {
        200 => {}
        301..=399 => {
            let what = format!("{url} redirects, and AWS does not follow");
            let to = answer.location.as_deref().unwrap_or("nowhere");
            return Err(Finding::fault("answer-redirect", what)
                .evidence(format!("HTTP {} to {to}", answer.status))
                .fix("it must answer itself: take it out of single sign-on, and of redirects to another host or to www")
                .fix("if GitLab has moved, external_url must be its new address, for that is what iss says"));
        }
        status => {
            let found = Finding::fault("answer-status", format!("{url} answers with HTTP {status}"));
            return Err(match status {
                401 | 403 => found
                    .fix("it must answer everybody: take it out of single sign-on and of lists of allowed addresses"),
                404 => found.fix("GitLab serves it below external_url; a copy must have exactly this path"),
                429 => found
                    .fix("AWS asks for it at each exchange: raise GitLab's or the proxy's rate limit for this path"),
                _ => found.fix("see GitLab's own log of that request"),
            });
        }
    }
    serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_object).ok_or_else(|| {
        let kind = answer.content_type.as_deref().unwrap_or("(none)");
        Finding::fault("answer-not-json", format!("{url} gives something else than JSON"))
            .evidence(format!("content-type: {kind}"))
            .fix("a page of HTML there is often a sign-in or maintenance page of what is in front of GitLab")
    })
}
