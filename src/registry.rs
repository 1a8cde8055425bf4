//! Container registries other than the private ones of ECR, by the API that they have in common (OCI's distribution
//! specification): GitLab's, Docker's, AWS's public one, GitHub's, Harbor and others.
//!
//! Only reads. Nothing is pulled but the description of an image, and what it says is held against its digest.

pub mod challenge;
pub mod keychain;

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::base::secrets;
use crate::fleet::image_ref::{ImageRef, LATEST};
use crate::references::content::{Content, MEDIA_TYPES, digest_of};
use crate::registry::challenge::Challenge;
use crate::registry::keychain::{DOCKER_HUB, Keychain};
use crate::web::{Answer, Method, Request, Web, WebError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest description or configuration of an image that is read, in bytes: registries take no longer one.
const LONGEST: usize = 4 << 20;

/// Registries, as a job may read them.
#[derive(Clone, Debug)]
pub struct Registries {
    web: Web,
    keys: Keychain,
}

/// What a request for a token gets: some servers have one name for it, some the other.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// An image's place in a registry.
struct Place<'a> {
    host: &'a str,
    repository: String,
    reference: &'a str,
}

impl Registries {
    /// Makes a client with what a job has.
    pub fn new(web: Web, keys: Keychain) -> Self {
        Self { web, keys }
    }

    /// Returns what a tag names now; nothing where there is no such image.
    ///
    /// # Errors
    /// Why that is not known, as a lower-case fragment.
    pub async fn resolve(&self, image: &str) -> Result<Option<Content>, String> {
        let place = Place::read(image);
        let url = place.url(&format!("manifests/{}", place.reference));
        let accept = MEDIA_TYPES.join(", ");
        let (answer, digest, key) = self.get(&place, &url, &accept).await?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            status => return Err(refusal(&place, status)),
        }
        let own = digest_of(&answer.body);
        if digest.is_some_and(|digest| digest.starts_with("sha256:") && digest != own) {
            return Err(format!("{} sent another description than its digest is of", place.host));
        }
        let mut content = Content::read(&own, &String::from_utf8_lossy(&answer.body));
        if let Some(configuration) = &content.configuration
            && let Some(configuration) = self.configuration(&place, configuration, key.as_ref()).await
        {
            content.configure(&configuration);
        }
        Ok(Some(content))
    }

    /// Asks as the registry wants to be asked. Returns the answer, the digest that it names, and what let us in.
    async fn get(
        &self,
        place: &Place<'_>,
        url: &str,
        accept: &str,
    ) -> Result<(Answer, Option<String>, Option<SecretString>), String> {
        let mut key = None;
        loop {
            let secret = key.as_ref().map(|key| ("authorization", key));
            let asked = Request { method: Method::Get, url, secret, body: None, longest: LONGEST };
            let (answer, mut headers) =
                self.web.fetch(asked, accept, PATIENCE).await.map_err(|e| unreached(place, &e))?;
            if answer.status != 401 || key.is_some() {
                return Ok((answer, headers.remove("docker-content-digest"), key));
            }
            let challenge = headers.get("www-authenticate").and_then(|header| Challenge::read(header));
            key = Some(self.answer(place, challenge).await?);
        }
    }

    /// Returns the value of `Authorization` that a registry asks for.
    async fn answer(&self, place: &Place<'_>, challenge: Option<Challenge>) -> Result<SecretString, String> {
        let own = self.keys.find(place.host);
        let unknown = || refusal(place, 401);
        let (realm, service, scope) = match challenge {
            Some(Challenge::Bearer { realm, service, scope }) => (realm, service, scope),
            Some(Challenge::Basic) => return own.cloned().ok_or_else(unknown),
            None => return Err(unknown()),
        };
        // A registry elsewhere has no business on this machine.
        if is_local(&realm) && !is_local(&place.url("")) {
            return Err(format!("{} sends for a token to this machine", place.host));
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", place.repository));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(service.iter().map(|service| ("service", service))).append_pair("scope", &scope);
        let joint = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{joint}{}", query.finish());
        let secret = own.map(|key| ("authorization", key));
        let asked = Request { method: Method::Get, url: &url, secret, body: None, longest: LONGEST };
        let answer = self.web.send(asked, PATIENCE).await.map_err(|error| unreached(place, &error))?;
        if !answer.is_success() {
            return Err(refusal(place, answer.status));
        }
        let token = answer.read::<Token>().and_then(|token| token.token.or(token.access_token));
        let token = token.ok_or_else(|| format!("{} gave no token", place.host))?;
        secrets::hold(&token);
        Ok(SecretString::from(format!("Bearer {token}")))
    }

    /// Returns the configuration of an image; what cannot be read is not known, and stops nothing.
    async fn configuration(&self, place: &Place<'_>, digest: &str, key: Option<&SecretString>) -> Option<Vec<u8>> {
        let url = place.url(&format!("blobs/{digest}"));
        let secret = key.map(|key| ("authorization", key));
        let asked = Request { method: Method::Get, url: &url, secret, body: None, longest: LONGEST };
        let (mut answer, headers) = self.web.fetch(asked, "*/*", PATIENCE).await.ok()?;
        if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            // Where a registry keeps its data nobody is asked for a password.
            let url = headers.get("location").filter(|url| url.starts_with("https://") || is_local(&place.url("")))?;
            secrets::hold(url);
            let asked = Request { method: Method::Get, url, secret: None, body: None, longest: LONGEST };
            answer = self.web.send(asked, PATIENCE).await.ok()?;
        }
        answer.is_success().then_some(answer.body)
    }
}

impl<'a> Place<'a> {
    fn read(image: &'a str) -> Self {
        let ImageRef { registry, repository, tag, digest, .. } = ImageRef::parse(image);
        let host = match registry {
            None | Some("docker.io" | "index.docker.io") => DOCKER_HUB,
            Some(host) => host,
        };
        let is_official = host == DOCKER_HUB && !repository.contains('/');
        let repository = if is_official { format!("library/{repository}") } else { repository.to_owned() };
        Self { host, repository, reference: digest.or(tag).unwrap_or(LATEST) }
    }

    fn url(&self, rest: &str) -> String {
        let host = self.host;
        let local = format!("http://{host}");
        let scheme = if is_local(&local) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}/{rest}", self.repository)
    }
}

/// Whether a URL leads to this machine, whose registries speak plain HTTP.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or(authority, |(host, _)| host);
    crate::aws::settings::is_loopback(host)
}

fn refusal(place: &Place<'_>, status: u16) -> String {
    let Place { host, repository, .. } = place;
    match status {
        401 | 403 => format!("{host} does not let the job read {repository} (HTTP {status})"),
        429 => format!("{host} is asked too often (HTTP 429)"),
        status => format!("{host} answered HTTP {status}"),
    }
}

fn unreached(place: &Place<'_>, error: &WebError) -> String {
    format!("{}: {error}", place.host)
}

#[cfg(test)]
mod tests;
