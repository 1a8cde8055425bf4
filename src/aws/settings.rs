//! What variables and the profile set of the SDK: retries, endpoints, FIPS and dual-stack. They are read and checked here,
//! before the SDK reads them: it panics on some values, and drops others without a word.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use aws_config::profile::{self, ProfileSet};
use aws_smithy_types::retry::{RetryConfig, RetryMode};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use http::Uri;

use crate::aws::service;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::secrets;

/// The services that are called, by the ids that the SDK has for them.
const SERVICES: [&str; 13] = [
    "STS",
    "ECS",
    service::CLOUDWATCH.id,
    service::LOGS.id,
    service::CLOUDFORMATION.id,
    service::CODEDEPLOY.id,
    service::ELB.id,
    service::ECR.id,
    service::IAM.id,
    service::ORGANIZATIONS.id,
    service::S3.id,
    service::SECRETS.id,
    service::SSM.id,
];

const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
const ENDPOINT_KEY: &str = "endpoint_url";

/// The settings as they are written.
#[derive(Debug)]
pub struct Settings {
    env: Env,
    chosen: Option<String>,
    profiles: ProfileSet,
}

/// One value, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    origin: String,
    value: String,
}

/// An endpoint that calls are sent to instead of AWS's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The variable or the key of a profile that says so.
    pub origin: String,
    /// Its host and port, without what may be a password.
    pub host: String,
    /// Whether what is sent can be read on its way.
    pub plain: bool,
    url: String,
}

/// The configured endpoint of each service that has one. The SDK asks it in place of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<&'static str, Endpoint>);

impl Endpoints {
    /// Returns each endpoint once.
    pub fn list(&self) -> Vec<&Endpoint> {
        let mut list: Vec<&Endpoint> = Vec::new();
        for endpoint in SERVICES.iter().filter_map(|service| self.0.get(service)) {
            if !list.contains(&endpoint) {
                list.push(endpoint);
            }
        }
        list
    }

    /// Refuses endpoints to which a token would travel in clear text.
    pub fn refuse_plain(&self) -> Result<(), Error> {
        let Some(endpoint) = self.list().into_iter().find(|endpoint| endpoint.plain) else { return Ok(()) };
        let Endpoint { origin, host, .. } = endpoint;
        let message = format!("{origin} sends calls to {host} over plain http: the network can read the ID token");
        Err(Error::new(Exit::Usage, message).help(
            "write https://, or allow it with --allow-http (ROLEOUT_ALLOW_HTTP=true) where the network is your own",
        ))
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let endpoint = self.0.get(key.service_id()).filter(|_| key.profile() == ENDPOINT_KEY);
        endpoint.map(|endpoint| endpoint.url.clone())
    }
}

impl Settings {
    /// Reads the profiles of `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`; `profile` is chosen, or `AWS_PROFILE`.
    pub async fn load(env: Env, fs: &Fs, profile: Option<&str>) -> Result<Self, Error> {
        let unset = env.get("AWS_PROFILE").is_ok_and(|name| name.is_empty());
        let chosen = profile.map(str::to_owned).or_else(|| unset.then(|| "default".to_owned()));
        let profiles =
            profile::load(fs, &env, &Default::default(), chosen.clone().map(Into::into)).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                Error::new(Exit::Usage, format!("the profiles of AWS cannot be read: {error}{cause}")).help(
                    "correct the file that AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE names, or that of ~/.aws",
                )
            })?;
        Ok(Self { env, chosen, profiles })
    }

    /// Returns the profile that the SDK is to read, where it does not find that by itself.
    pub fn chosen(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// Returns how calls are repeated: `attempts` times, unless a setting says otherwise.
    pub fn retry(&self, attempts: u32) -> Result<RetryConfig, Error> {
        let attempts = match self.find("AWS_MAX_ATTEMPTS", "max_attempts") {
            None => attempts,
            Some(setting) => match setting.value.parse::<NonZeroU32>() {
                Ok(number) => number.get(),
                Err(_) => return Err(setting.refuse("a number of attempts, such as 6: the first one counts")),
            },
        };
        let mode = match self.find("AWS_RETRY_MODE", "retry_mode") {
            None => RetryMode::Standard,
            // The default of older SDKs, which the Rust SDK does not know.
            Some(setting) if setting.value.trim().eq_ignore_ascii_case("legacy") => RetryMode::Standard,
            Some(setting) => {
                RetryMode::from_str(&setting.value).map_err(|_| setting.refuse("`standard` or `adaptive`"))?
            }
        };
        Ok(RetryConfig::standard().with_max_attempts(attempts).with_retry_mode(mode))
    }

    /// Returns whether FIPS endpoints are asked for.
    pub fn fips(&self) -> Result<bool, Error> {
        self.flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")
    }

    /// Returns whether dual-stack endpoints are asked for.
    pub fn dual_stack(&self) -> Result<bool, Error> {
        self.flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")
    }

    /// Returns the endpoint of each service. `of_service` looks a service's `endpoint_url` up in the profile and in the
    /// `services` that it names.
    pub fn endpoints(&self, of_service: &dyn Fn(&str) -> Option<String>) -> Result<Endpoints, Error> {
        let mut endpoints = BTreeMap::new();
        if self.flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")? {
            return Ok(Endpoints(endpoints));
        }
        for service in SERVICES {
            let own = self.variable(&variable_of(service)).or_else(|| self.variable(ENDPOINT_URL));
            let of_profile = || {
                let setting = |value: String| Setting { origin: self.key(ENDPOINT_KEY), value };
                let written = of_service(service).filter(|value| !value.is_empty()).map(setting);
                written.or_else(|| self.of_profile(ENDPOINT_KEY))
            };
            if let Some(setting) = own.or_else(of_profile) {
                endpoints.insert(service, setting.endpoint()?);
            }
        }
        Ok(Endpoints(endpoints))
    }

    /// Refuses an empty endpoint where the SDK calls STS for its own credentials: there it reads the setting by itself.
    pub fn refuse_empty_endpoint(&self) -> Result<(), Error> {
        let has = |name: &str| self.variable(name).is_some();
        let keys = has("AWS_ACCESS_KEY_ID") && has("AWS_SECRET_ACCESS_KEY");
        let assumes = has("AWS_WEB_IDENTITY_TOKEN_FILE") || self.of_profile("role_arn").is_some();
        if keys || !assumes {
            return Ok(());
        }
        let variables = [variable_of("STS"), ENDPOINT_URL.to_owned()];
        let Some((name, value)) = variables.iter().find_map(|name| Some((name, self.env.get(name).ok()?))) else {
            return Ok(());
        };
        if !value.is_empty() {
            return Ok(());
        }
        let message =
            format!("{name} is empty, and the credentials of the AWS SDK need STS, which it cannot call then");
        Err(Error::new(Exit::Usage, message).help(format!("unset {name}, or give it the URL of the region's STS")))
    }

    fn flag(&self, variable: &str, key: &str) -> Result<bool, Error> {
        match self.find(variable, key) {
            None => Ok(false),
            Some(setting) if setting.value.eq_ignore_ascii_case("true") => Ok(true),
            Some(setting) if setting.value.eq_ignore_ascii_case("false") => Ok(false),
            Some(setting) => Err(setting.refuse("`true` or `false`")),
        }
    }

    /// Looks a setting up. A GitLab job cannot unset a group's variable but empty it, so an empty one is none.
    fn find(&self, variable: &str, key: &str) -> Option<Setting> {
        self.variable(variable).or_else(|| self.of_profile(key))
    }

    fn variable(&self, name: &str) -> Option<Setting> {
        let value = self.env.get(name).ok().filter(|value| !value.is_empty())?;
        Some(Setting { origin: name.to_owned(), value })
    }

    fn of_profile(&self, key: &str) -> Option<Setting> {
        let value = self.profiles.get(key).filter(|value| !value.is_empty())?;
        Some(Setting { origin: self.key(key), value: value.to_owned() })
    }

    fn key(&self, key: &str) -> String {
        format!("{key} of the profile `{}`", self.profiles.selected_profile())
    }
}

impl Setting {
    fn refuse(&self, right: &str) -> Error {
        let Self { origin, value } = self;
        Error::new(Exit::Usage, format!("{origin} is {value:?}, and not {right}"))
            .help(format!("correct {origin}, or leave it empty"))
    }

    /// Reads a URL. It is not repeated in an error, since it may hold a password.
    fn endpoint(self) -> Result<Endpoint, Error> {
        let Self { origin, value: url } = self;
        let wrong = |why: &str| {
            Error::new(Exit::Usage, format!("{origin} is not a URL: {why}, as in http://localhost:4566"))
                .help(format!("correct {origin}, or leave it empty to call AWS"))
        };
        let start = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let plain = start("http://");
        if !plain && !start("https://") {
            return Err(wrong("it needs a scheme"));
        }
        let odd = |sign: char| sign.is_whitespace() || sign.is_control() || "\"'<>\\^`{|}".contains(sign);
        if url.contains(odd) {
            return Err(wrong("it has a space, a line break or a quotation mark; write it without them"));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("it needs a scheme, a host and perhaps a port"))?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("it needs a host"))?.as_str();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        // The SDK logs endpoints as they are.
        [user].into_iter().chain(user.split(':').skip(1)).for_each(secrets::hold);
        if uri.host() != Some(host) && uri.port_u16().is_none() {
            return Err(wrong("its port is no number up to 65535"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(wrong("it ends with a query or a fragment; it is a scheme, a host and perhaps a path"));
        }
        let plain = plain && !uri.host().is_some_and(is_loopback);
        Ok(Endpoint { host: host.to_owned(), plain, origin, url })
    }
}

/// Returns whether a host is this machine.
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the variable of one service's endpoint.
fn variable_of(service: &str) -> String {
    format!("{ENDPOINT_URL}_{}", service.to_ascii_uppercase().replace(' ', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn settings(variables: &[(&str, &str)], profile: &str) -> Settings {
        let variables = [variables, &[("HOME", "/home")]].concat();
        let fs = Fs::from_slice(&[("/home/.aws/config", profile)]);
        Settings::load(Env::from_slice(&variables), &fs, None).await.expect("profiles")
    }

    #[tokio::test]
    async fn retries_are_read_before_the_sdk_panics_on_them() {
        let retry = async |variables: &[(&str, &str)], profile: &str| {
            let retry = settings(variables, profile).await.retry(6).map_err(|error| error.message)?;
            Ok::<_, String>((retry.max_attempts(), retry.mode()))
        };
        let standard = Ok((6, RetryMode::Standard));
        assert_eq!(retry(&[], "").await, standard);
        for (name, value) in [
            ("AWS_RETRY_MODE", ""),
            ("AWS_RETRY_MODE", "legacy"),
            ("AWS_RETRY_MODE", "Standard"),
            ("AWS_MAX_ATTEMPTS", ""),
        ] {
            assert_eq!(retry(&[(name, value)], "").await, standard, "{name}={value}");
        }
        assert_eq!(retry(&[("AWS_RETRY_MODE", "adaptive")], "").await, Ok((6, RetryMode::Adaptive)));
        assert_eq!(retry(&[("AWS_MAX_ATTEMPTS", "2")], "").await, Ok((2, RetryMode::Standard)));
        assert_eq!(
            retry(&[], "[default]\nmax_attempts = 4\nretry_mode = legacy\n").await,
            Ok((4, RetryMode::Standard))
        );
        for (name, value) in [
            ("AWS_RETRY_MODE", "fast"),
            ("AWS_MAX_ATTEMPTS", "0"),
            ("AWS_MAX_ATTEMPTS", "-1"),
            ("AWS_MAX_ATTEMPTS", "abc"),
            ("AWS_MAX_ATTEMPTS", " 3"),
            ("AWS_MAX_ATTEMPTS", "99999999999"),
        ] {
            let message = retry(&[(name, value)], "").await.expect_err(value);
            assert!(message.starts_with(&format!("{name} is ")), "{name}: {message}");
        }
        let message = retry(&[], "[default]\nretry_mode = fast\n").await.expect_err("refused");
        assert!(message.starts_with("retry_mode of the profile `default` is \"fast\""), "{message}");
    }

    #[tokio::test]
    async fn switches_are_true_or_false_or_refused() {
        for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
            let read = async |value: &str| {
                let settings = settings(&[(name, value)], "").await;
                if name.contains("FIPS") { settings.fips() } else { settings.dual_stack() }
            };
            assert_eq!(read("TRUE").await, Ok(true), "{name}");
            assert_eq!(read("").await, Ok(false), "{name}");
            assert!(read("yes").await.is_err_and(|error| error.message.starts_with(name)), "{name}");
        }
    }

    #[tokio::test]
    async fn endpoints_are_urls_and_empty_ones_are_none() {
        let at = async |variables: &[(&str, &str)], profile: &str| {
            settings(variables, profile).await.endpoints(&|_| None).map_err(|error| error.message)
        };
        let refused = [
            "localhost:4566",
            "//localhost",
            "http://",
            "http://localhost:4566\n",
            "\"http://localhost\"",
            "http://a b",
            "http://h:99999",
            "http://h:p",
            "http://h?x=1",
            "http://h#x",
            "ftp://h",
            "http://user:pass@",
            " http://h",
        ];
        for service in SERVICES {
            let name = variable_of(service);
            for url in refused {
                let message = at(&[(&name, url)], "").await.expect_err(url);
                assert!(message.starts_with(&format!("{name} is not a URL: ")), "{service}: {url}: {message}");
                assert!(!message.contains("pass"), "{service}, {url}: {message}");
            }
            let endpoints = at(&[(&name, ""), ("AWS_ENDPOINT_URL", "")], "").await;
            assert_eq!(endpoints, Ok(Endpoints::default()), "{service}: {name}");
        }
        let message = at(&[("AWS_ENDPOINT_URL", "localhost:4566")], "").await.expect_err("refused");
        assert_eq!(message, "AWS_ENDPOINT_URL is not a URL: it needs a scheme, as in http://localhost:4566");
        let message = at(&[], "[default]\nendpoint_url = localhost\n").await.expect_err("refused");
        assert!(message.starts_with("endpoint_url of the profile `default` is not a URL"), "{message}");
        let ignored = [("AWS_ENDPOINT_URL", "localhost"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        assert_eq!(at(&ignored, "").await, Ok(Endpoints::default()));
    }

    #[tokio::test]
    async fn the_nearest_endpoint_is_taken_and_each_is_listed_once() {
        let variables = [("AWS_ENDPOINT_URL_STS", "https://u:secret@sts.example:8443/x"), ("AWS_ENDPOINT_URL_ECS", "")];
        let settings = settings(&variables, "[default]\nendpoint_url = http://10.0.0.1:4566\n").await;
        let of_service = |service: &str| (service == "IAM").then(|| "http://127.0.0.1:1".to_owned());
        let endpoints = settings.endpoints(&of_service).expect("URLs");
        let list = endpoints.list();
        let list: Vec<_> = list.iter().map(|it| (&*it.origin, &*it.host, it.plain)).collect();
        let key = "endpoint_url of the profile `default`";
        assert_eq!(
            list,
            [
                ("AWS_ENDPOINT_URL_STS", "sts.example:8443", false),
                (key, "10.0.0.1:4566", true),
                (key, "127.0.0.1:1", false),
            ]
        );
        let error = endpoints.refuse_plain().expect_err("refused");
        assert!(error.message.contains("10.0.0.1:4566 over plain http"), "{}", error.message);
        let key = ServiceConfigKey::builder().service_id("STS").env(ENDPOINT_URL).profile(ENDPOINT_KEY).build();
        let url = endpoints.load_config(key.expect("a key"));
        assert_eq!(url.as_deref(), Some("https://u:secret@sts.example:8443/x"));
    }

    #[tokio::test]
    async fn an_empty_endpoint_is_refused_where_the_sdk_itself_calls_sts() {
        let refused = async |variables: &[(&str, &str)], profile: &str| {
            settings(variables, profile).await.refuse_empty_endpoint().is_err()
        };
        let role = "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = x\n";
        assert!(refused(&[("AWS_ENDPOINT_URL", "")], role).await);
        assert!(refused(&[("AWS_ENDPOINT_URL_STS", ""), ("AWS_ENDPOINT_URL", "http://h")], role).await);
        assert!(refused(&[("AWS_ENDPOINT_URL", ""), ("AWS_WEB_IDENTITY_TOKEN_FILE", "t")], "").await);
        assert!(!refused(&[("AWS_ENDPOINT_URL", "")], "").await);
        assert!(!refused(&[], role).await);
        let keys = [("AWS_ENDPOINT_URL", ""), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert!(!refused(&keys, role).await);
    }
}
