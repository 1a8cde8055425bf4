//! A certificate chain as a server sent it, held to what AWS asks of an identity provider's. Pure.
//!
//! AWS is stricter than browsers: it wants the host's certificate first, each one followed by the one that signed it,
//! and nothing besides. So the chain is first looked at in the order in which it was sent, and then verified as any
//! client would.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{RootCertStore, crypto};
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::base::text::hex;
use crate::doctor::finding::{Finding, Severity};
use crate::issuer::roots::Roots;

/// A certificate that ends within this is told of beforehand.
const SOON: i64 = 7 * 24 * 3600;

/// Checks the certificates that `host` sent, in their order; `now` is in seconds since 1970.
pub fn check(host: &str, served: &[CertificateDer<'static>], roots: &Roots, now: i64) -> Vec<Finding> {
    let mut certificates = Vec::new();
    for (index, der) in served.iter().enumerate() {
        match X509Certificate::from_der(der) {
            Ok((_, parsed)) => certificates.push(Certificate { place: index + 1, der, parsed }),
            Err(error) => {
                let what = format!("certificate {} of {host}'s chain cannot be read", index + 1);
                return vec![Finding::fault("certificate-unreadable", what).evidence(error.to_string()).fix(
                    "see `openssl x509 -noout -text` of each certificate of nginx['ssl_certificate'], and replace it",
                )];
            }
        }
    }
    let chain = Chain { host, certificates, roots, now };
    let mut findings = chain.findings();
    if findings.iter().all(|finding| finding.severity == Severity::Note) {
        findings.extend(chain.refusal());
    }
    findings
}

/// Returns the SHA-1 fingerprint of a certificate as IAM writes it: 40 hexadecimal digits.
pub fn thumbprint(der: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref())
}

/// One certificate of a chain.
struct Certificate<'a> {
    /// Its place in what was sent, from 1.
    place: usize,
    der: &'a CertificateDer<'static>,
    parsed: X509Certificate<'a>,
}

impl Certificate<'_> {
    /// Its name for people: the common name, or the whole subject, or the first host.
    fn name(&self) -> String {
        let common = self.parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let whole = self.parsed.subject().to_string();
        match common {
            Some(name) => name.to_owned(),
            None if whole.is_empty() => self.hosts().into_iter().next().unwrap_or_else(|| "(no name)".to_owned()),
            None => whole,
        }
    }

    fn issuer(&self) -> String {
        let common = self.parsed.issuer().iter_common_name().next().and_then(|name| name.as_str().ok());
        common.map_or_else(|| self.parsed.issuer().to_string(), str::to_owned)
    }

    /// The hosts that it is for.
    fn hosts(&self) -> Vec<String> {
        let Ok(Some(names)) = self.parsed.subject_alternative_name() else { return Vec::new() };
        let name = |name: &GeneralName| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|it| core::net::Ipv4Addr::from(it).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|it| core::net::Ipv6Addr::from(it).to_string()),
            },
            _ => None,
        };
        names.value.general_names.iter().filter_map(name).collect()
    }

    fn is_for(&self, host: &ServerName<'_>) -> bool {
        ParsedCertificate::try_from(self.der).is_ok_and(|parsed| verify_server_name(&parsed, host).is_ok())
    }

    fn is_self_issued(&self) -> bool {
        self.parsed.subject().as_raw() == self.parsed.issuer().as_raw()
    }

    /// Whether the other's key made this one's signature. A signature of a kind that cannot be verified here counts.
    fn is_signed_by(&self, other: &X509Certificate<'_>) -> bool {
        self.parsed.issuer().as_raw() == other.subject().as_raw()
            && match self.parsed.verify_signature(Some(other.public_key())) {
                Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
                Err(_) => false,
            }
    }

    /// Where its issuer's certificate can be had, by its own word.
    fn issuer_url(&self) -> Option<String> {
        let mut access = self.parsed.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => Some(access),
            _ => None,
        });
        let descriptions = access.next()?.accessdescs.iter();
        let mut urls = descriptions.filter_map(|it| match &it.access_location {
            GeneralName::URI(url) if it.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2" => Some(*url),
            _ => None,
        });
        urls.next().map(str::to_owned)
    }

    fn line(&self) -> String {
        format!("{}. {}, issued by {}", self.place, self.name(), self.issuer())
    }
}

/// A chain as it was sent.
struct Chain<'a> {
    host: &'a str,
    certificates: Vec<Certificate<'a>>,
    roots: &'a Roots,
    now: i64,
}

/// Where a path ends.
enum End {
    /// In the host's own certificate, which signed itself.
    Itself,
    /// In a root that AWS is taken to know, or just before one.
    Public,
    /// In an authority of its own.
    Private,
    /// In nothing: what signed the last one is neither sent nor trusted.
    Nothing,
}

impl Chain<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let rest = self.without_duplicates(&mut findings);
        let Some(leaf) = self.leaf(&rest, &mut findings) else { return findings };
        let (path, forged) = self.path(leaf, &rest);
        let end = self.judge_end(&path);
        let last = path.last().copied().unwrap_or(leaf);
        match (&end, forged) {
            (End::Itself, _) => findings.push(self.self_signed(leaf)),
            (End::Nothing, Some(impostor)) => findings.push(self.wrongly_signed(last, impostor)),
            (End::Nothing, None) => findings.extend(self.incomplete(last, &path, &rest)),
            (End::Private, _) => findings.push(self.private(last)),
            (End::Public, _) => {}
        }
        let strangers: Vec<&Certificate<'_>> =
            rest.iter().copied().filter(|one| !path.iter().any(|of| of.place == one.place)).collect();
        if !strangers.is_empty() && !matches!(end, End::Nothing) {
            findings.push(self.extra(&strangers, &path));
        }
        let told = findings.iter().any(|finding| finding.code == "chain-out-of-order");
        if !told && !path.is_sorted_by_key(|one| one.place) {
            findings.push(self.disordered("the certificates are not in order", &path));
        }
        for one in &path {
            findings.extend(self.dates(one));
        }
        findings
    }

    fn without_duplicates(&self, findings: &mut Vec<Finding>) -> Vec<&Certificate<'_>> {
        let mut kept: Vec<&Certificate<'_>> = Vec::new();
        let mut twice = Vec::new();
        for one in &self.certificates {
            match kept.iter().find(|before| before.der == one.der) {
                Some(before) => twice.push(format!("{} is also certificate {}", one.line(), before.place)),
                None => kept.push(one),
            }
        }
        if !twice.is_empty() {
            let what = format!("{} sends a certificate of its chain more than once", self.host);
            let found = Finding { evidence: twice, ..Finding::fault("chain-duplicate", what) };
            findings.push(found.fix(self.file()).fix("remove the certificates that are there already"));
        }
        kept
    }

    /// Returns the host's own certificate, wherever it is.
    fn leaf<'a>(&self, rest: &[&'a Certificate<'a>], findings: &mut Vec<Finding>) -> Option<&'a Certificate<'a>> {
        let first = *rest.first()?;
        let host = ServerName::try_from(self.host.to_owned()).ok()?;
        if first.is_for(&host) {
            return Some(first);
        }
        if let Some(later) = rest.iter().copied().find(|one| one.is_for(&host)) {
            let (path, _) = self.path(later, rest);
            findings.push(self.disordered("the chain does not begin with the host's own certificate", &path));
            return Some(later);
        }
        let hosts = first.hosts();
        let names = if hosts.is_empty() { "no host (it has no subjectAltName)".into() } else { hosts.join(", ") };
        let what = format!("the certificate is not for {}", self.host);
        let found = Finding::fault("certificate-wrong-host", what)
            .evidence(format!("{} is for {names}", first.name()))
            .fix(format!("install a certificate whose subjectAltName has {}", self.host))
            .fix("a load balancer that serves several hosts must have this one's certificate for its name (SNI)");
        findings.push(found);
        Some(first)
    }

    /// Follows signatures upwards from a certificate. Also returns one that has the right name and another key, where the
    /// path ends for want of the right one.
    fn path<'a>(
        &self,
        leaf: &'a Certificate<'a>,
        rest: &[&'a Certificate<'a>],
    ) -> (Vec<&'a Certificate<'a>>, Option<&'a Certificate<'a>>) {
        let mut path = vec![leaf];
        loop {
            let current = path[path.len() - 1];
            if current.is_self_issued() {
                return (path, None);
            }
            let named = |one: &&&Certificate<'_>| {
                one.parsed.subject().as_raw() == current.parsed.issuer().as_raw()
                    && !path.iter().any(|of| of.place == one.place)
            };
            let candidates: Vec<_> = rest.iter().filter(named).copied().collect();
            match candidates.iter().find(|one| current.is_signed_by(&one.parsed)) {
                Some(next) => path.push(next),
                None => return (path, candidates.first().copied()),
            }
        }
    }

    fn judge_end(&self, path: &[&Certificate<'_>]) -> End {
        let Some(last) = path.last() else { return End::Nothing };
        let knows = |roots: &[CertificateDer<'static>]| {
            roots.iter().filter_map(|root| X509Certificate::from_der(root).ok()).any(|(_, root)| {
                let same = last.parsed.subject().as_raw() == root.subject().as_raw()
                    && last.parsed.public_key().raw == root.public_key().raw;
                same || last.is_signed_by(&root)
            })
        };
        match () {
            () if knows(&self.roots.public) => End::Public,
            () if last.is_self_issued() && path.len() == 1 => End::Itself,
            () if last.is_self_issued() || knows(&self.roots.private) => End::Private,
            () => End::Nothing,
        }
    }

    fn self_signed(&self, leaf: &Certificate<'_>) -> Finding {
        Finding::fault("certificate-self-signed", format!("the certificate of {} signed itself", self.host))
            .evidence(leaf.line())
            .evidence(format!("its SHA-1 thumbprint: {}", thumbprint(leaf.der)))
            .fix("install one of an authority that AWS trusts, such as Let's Encrypt")
            .fix(
                "AWS knows a private authority by the thumbprint in the IAM identity provider alone: sign the host's \
                 certificate with such an authority, and put the authority's thumbprint there",
            )
    }

    fn private(&self, last: &Certificate<'_>) -> Finding {
        let known = !self.roots.private.is_empty() && self.refusal_by_private().is_none();
        let authority = if last.is_self_issued() { last.name() } else { last.issuer() };
        let what = format!("the chain of {} ends in an authority of its own: {authority}", self.host);
        let found = Finding::note("chain-private-ca", what);
        let found = if known {
            found.evidence("it is valid by the file of --ca-file")
        } else {
            found.evidence("no trusted root of this machine has signed it")
        };
        let found = if last.parsed.is_ca() {
            found
        } else {
            found.fix(format!("send the certificate of {authority} too: the host's own changes at each renewal"))
        };
        found
            .evidence(format!("the SHA-1 thumbprint of the last certificate sent: {}", thumbprint(last.der)))
            .fix("AWS trusts it by that thumbprint alone; put it into the identity provider of every account that has one:")
            .fix(format!(
                "aws iam update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn \
                 arn:aws:iam::ACCOUNT:oidc-provider/{} --thumbprint-list {}",
                self.host,
                thumbprint(last.der)
            ))
    }

    fn wrongly_signed(&self, signed: &Certificate<'_>, impostor: &Certificate<'_>) -> Finding {
        let what = format!("{} was not signed by the {} that is sent with it", signed.name(), impostor.name());
        self.with_lines(Finding::fault("chain-signature", what))
            .evidence(format!("certificate {} has that name and another key", impostor.place))
            .fix(
                "an authority that changed its key has two certificates of one name: take the one that signed this one",
            )
            .fix(self.file())
    }

    fn incomplete(
        &self,
        last: &Certificate<'_>,
        path: &[&Certificate<'_>],
        rest: &[&Certificate<'_>],
    ) -> Option<Finding> {
        if self.roots.public.is_empty() && path.len() == rest.len() {
            // Nothing tells an authority that AWS knows from one that is missing.
            return None;
        }
        let what = format!("the chain of {} is incomplete: {} is not in it", self.host, last.issuer());
        let found = self
            .with_lines(Finding::fault("chain-incomplete", what))
            .evidence(format!("{}, which signed {}, is no trusted root of this machine", last.issuer(), last.name()))
            .fix(self.file())
            .fix(format!("add the certificate of {} after that of {}", last.issuer(), last.name()));
        let found = match last.issuer_url() {
            Some(url) => found.fix(format!("it can be had from {url}")),
            None => found,
        };
        Some(found.fix(
            "if that is a private authority, send its certificate too, and look with --ca-file FILE: AWS takes it only by \
             the thumbprint in the IAM identity provider",
        ))
    }

    fn extra(&self, strangers: &[&Certificate<'_>], path: &[&Certificate<'_>]) -> Finding {
        let what = format!("the chain of {} has certificates that do not belong to it", self.host);
        let mut found = Finding::fault("chain-extra", what);
        for one in strangers {
            found = found.evidence(format!("{}: no part of the way from the host's to its authority", one.line()));
        }
        found.fix(self.file()).fix(in_order(path))
    }

    fn disordered(&self, what: &str, path: &[&Certificate<'_>]) -> Finding {
        self.with_lines(Finding::fault("chain-out-of-order", format!("{}: {what}", self.host)))
            .fix(self.file())
            .fix(in_order(path))
    }

    fn dates(&self, one: &Certificate<'_>) -> Option<Finding> {
        let (begins, ends) =
            (one.parsed.validity().not_before.timestamp(), one.parsed.validity().not_after.timestamp());
        let date = |seconds| Timestamp::from_second(seconds).map_or_else(|_| "-".to_owned(), |it| it.to_string());
        let renewed = "renew it; GitLab's own Let's Encrypt certificates are renewed by `gitlab-ctl renew-le-certs`";
        let whose = format!("certificate {} of {}'s chain, {},", one.place, self.host, one.name());
        match () {
            () if self.now >= ends => {
                let what = format!("{whose} has expired");
                Some(
                    Finding::fault("certificate-expired", what)
                        .evidence(format!("notAfter {}", date(ends)))
                        .fix(renewed),
                )
            }
            () if self.now < begins => {
                let what = format!("{whose} is not valid yet");
                let found = Finding::fault("certificate-not-yet-valid", what);
                Some(found.evidence(format!("notBefore {}", date(begins))).fix(
                    "check the clocks of this machine and of \
                     whoever issued it; otherwise wait, or install the one before",
                ))
            }
            () if self.now + SOON >= ends => {
                let what = format!("{whose} expires soon");
                let found = Finding::note("certificate-expires-soon", what);
                Some(found.evidence(format!("notAfter {}", date(ends))).fix(renewed))
            }
            () => None,
        }
    }

    /// Verifies the chain as any client does, a root of its own being trusted. What this finds, and nothing before did,
    /// is told in the verifier's words.
    fn refusal(&self) -> Option<Finding> {
        if self.roots.public.is_empty() && self.roots.private.is_empty() {
            return None;
        }
        let own = self.certificates.iter().filter(|one| one.is_self_issued()).map(|one| one.der);
        let roots = self.roots.public.iter().chain(&self.roots.private).chain(own);
        let words = self.verify(roots)?;
        let what = format!("the certificate chain of {} is not valid", self.host);
        let found = self.with_lines(Finding::fault("chain-invalid", what)).evidence(words);
        Some(found.fix(
            "issue the certificate again: an authority must be one (basicConstraints), the host's certificate must \
                        be for servers (extendedKeyUsage), and its name within what the authorities may sign",
        ))
    }

    fn refusal_by_private(&self) -> Option<String> {
        self.verify(self.roots.private.iter())
    }

    fn verify<'a>(&self, roots: impl Iterator<Item = &'a CertificateDer<'static>>) -> Option<String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.cloned());
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = match WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build() {
            Ok(verifier) => verifier,
            Err(error) => return Some(error.to_string()),
        };
        let host = ServerName::try_from(self.host.to_owned()).ok()?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.now.unsigned_abs()));
        let (first, others) = self.certificates.split_first()?;
        let others: Vec<CertificateDer<'_>> = others.iter().map(|one| one.der.clone()).collect();
        verifier.verify_server_cert(first.der, &others, &host, &[], now).err().map(|error| error.to_string())
    }

    fn with_lines(&self, finding: Finding) -> Finding {
        self.certificates.iter().fold(finding, |finding, one| finding.evidence(one.line()))
    }

    fn file(&self) -> String {
        format!(
            "correct the file of nginx['ssl_certificate'] (/etc/gitlab/ssl/{}.crt), or what is in front of GitLab, and \
             reload it with `gitlab-ctl hup nginx`",
            self.host
        )
    }
}

/// Says the right order of a path.
fn in_order(path: &[&Certificate<'_>]) -> String {
    let names: Vec<String> = path.iter().map(|one| one.name()).collect();
    format!("it must hold, in this order and nothing besides: {}", names.join("; "))
}
