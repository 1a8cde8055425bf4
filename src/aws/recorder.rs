//! `--record DIR`: the answers of AWS as files, for somebody who cannot run against this AWS to see how it answers.
//!
//! Each answer to a JSON operation is one file, in the order in which they came. Account ids are mapped to `000000000001` and
//! so on, the same for the same account. Values of environment variables, log lines, parameters, secrets and objects of S3 are
//! taken out, and so is what looks like a token. STS is not recorded: its answers are nothing but keys. Names of services, clusters, images and
//! roles stay, since an answer without them says nothing: whoever passes a recording on reads it first.

mod redacted;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use self::redacted::{Accounts, redacted};
use crate::base::{file, json};

/// The version of the form of a recording.
pub const VERSION: u32 = 1;
/// The file that says what a recording is, beside its answers.
const ABOUT: &str = "recording.json";

/// One answer: a file of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its place in the recording, from 1.
    pub number: u32,
    /// Milliseconds from the beginning of the recording until it was asked for.
    pub at_ms: u64,
    /// Milliseconds until it had come.
    pub took_ms: u64,
    /// The signing name of the service, such as `ecs`.
    pub service: String,
    /// The operation, such as `DescribeServices`.
    pub operation: String,
    /// The region.
    pub region: String,
    /// The HTTP status; absent where there was no answer.
    pub status: Option<u16>,
    /// AWS's id of the request.
    pub request_id: Option<String>,
    /// What was asked, redacted.
    pub input: Value,
    /// What was answered, redacted; null where it is no JSON.
    pub output: Value,
}

/// What a recording is: the file `recording.json` of its directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// [`VERSION`].
    pub version: u32,
    /// The version of roleout that made it.
    pub roleout: String,
    /// How many answers it has.
    pub answers: u32,
    /// How many accounts they are of.
    pub accounts: usize,
    /// How many answers could not be written.
    pub lost: u32,
}

/// Writes answers to a directory.
#[derive(Debug)]
pub struct Recorder {
    directory: PathBuf,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: u32,
    lost: u32,
    accounts: Accounts,
}

/// What is known of a call before it is sent.
struct Call {
    at: Instant,
    service: String,
    operation: String,
    region: String,
    input: Value,
}

impl Recorder {
    /// Begins a recording in a directory, which must be new or empty.
    ///
    /// # Errors
    /// It holds something already, or cannot be written to.
    pub fn begin(directory: &Path) -> std::io::Result<Self> {
        fs_err::create_dir_all(directory)?;
        if fs_err::read_dir(directory)?.next().is_some() {
            let text = format!("{} is not empty: a recording needs a directory of its own", directory.display());
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, text));
        }
        let recorder = Self { directory: directory.to_owned(), began: Instant::now(), state: Mutex::default() };
        recorder.write_about(&State::default())?;
        Ok(recorder)
    }

    /// Returns a client that does as `client` does, and whose answers are recorded.
    pub fn wrap(self: &Arc<Self>, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Recording { client, recorder: Arc::clone(self) })
    }

    fn write_about(&self, state: &State) -> std::io::Result<()> {
        let roleout = env!("CARGO_PKG_VERSION").to_owned();
        let (answers, lost, accounts) = (state.answers, state.lost, state.accounts.len());
        let about = About { version: VERSION, roleout, answers, accounts, lost };
        file::write(&self.directory.join(ABOUT), json::pretty(&about)?.as_bytes())
    }

    /// Writes one answer. A full disk does not fail a run: the recording says how much of it is missing.
    fn write(&self, call: Call, status: Option<u16>, request_id: Option<String>, body: &[u8]) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers += 1;
        // Log lines are what applications say, and a Terraform state has secrets: no part of them is known to be harmless.
        let is_unknown = ["logs", "s3"].contains(&call.service.as_str());
        let output = if is_unknown { Value::Null } else { serde_json::from_slice(body).unwrap_or_default() };
        let recorded = Recorded {
            number: state.answers,
            at_ms: milliseconds(call.at.saturating_duration_since(self.began)),
            took_ms: milliseconds(call.at.elapsed()),
            service: call.service,
            operation: call.operation,
            region: call.region,
            status,
            request_id,
            input: redacted(call.input, &mut state.accounts),
            output: redacted(output, &mut state.accounts),
        };
        let name = format!("{:05}-{}-{}.json", recorded.number, recorded.service, recorded.operation);
        let written = json::pretty(&recorded).and_then(|text| file::write(&self.directory.join(name), text.as_bytes()));
        state.lost += u32::from(written.is_err());
        // It is kept true after each answer: a run may be killed.
        let _ = self.write_about(&state);
    }
}

/// Reads a recording's answers, in their order.
///
/// # Errors
/// It cannot be read, is none, or is of another version.
pub fn read(directory: &Path) -> Result<Vec<Recorded>, String> {
    let parse = |path: PathBuf| {
        let bytes = file::read(&path, file::LARGEST).map_err(|error| error.to_string())?;
        serde_json::from_slice::<Value>(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    };
    let about: About = serde_json::from_value(parse(directory.join(ABOUT))?)
        .map_err(|error| format!("{}: {error}", directory.join(ABOUT).display()))?;
    if about.version != VERSION {
        return Err(format!("{}: version {}, and this roleout reads {VERSION}", directory.display(), about.version));
    }
    let mut answers = BTreeMap::new();
    for entry in fs_err::read_dir(directory).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|end| end == "json") && path.file_name().is_some_and(|name| name != ABOUT) {
            let answer: Recorded =
                serde_json::from_value(parse(path.clone())?).map_err(|error| format!("{}: {error}", path.display()))?;
            answers.insert(answer.number, answer);
        }
    }
    Ok(answers.into_values().collect())
}

/// A client whose answers are recorded.
#[derive(Debug)]
struct Recording {
    client: SharedHttpClient,
    recorder: Arc<Recorder>,
}

impl HttpClient for Recording {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(RecordingConnector { connector, recorder: Arc::clone(&self.recorder) })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.client.validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.client.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.client.connector_metadata()
    }
}

#[derive(Debug)]
struct RecordingConnector {
    connector: SharedHttpConnector,
    recorder: Arc<Recorder>,
}

impl HttpConnector for RecordingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = Call::read(&request);
        let (answer, recorder) = (self.connector.call(request), Arc::clone(&self.recorder));
        HttpConnectorFuture::new(async move {
            match answer.await {
                Ok(mut answer) => {
                    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
                    let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
                    let id = ["x-amzn-requestid", "x-amz-request-id"];
                    let id = id.iter().find_map(|name| answer.headers().get(*name)).map(str::to_owned);
                    recorder.write(call, Some(answer.status().as_u16()), id, &body);
                    *answer.body_mut() = SdkBody::from(body);
                    Ok::<HttpResponse, ConnectorError>(answer)
                }
                Err(error) => {
                    recorder.write(call, None, None, &[]);
                    Err(error)
                }
            }
        })
    }
}

impl Call {
    /// Reads which operation a request is: by `x-amz-target` for JSON, by `Action` for queries. Of S3 it is always one.
    fn read(request: &HttpRequest) -> Self {
        let body = request.body().bytes().unwrap_or_default();
        let header = |name: &str| request.headers().get(name).unwrap_or_default();
        // `Credential=KEY/DAY/REGION/SERVICE/aws4_request`
        let scope = header("authorization").split("Credential=").nth(1).unwrap_or_default();
        let scope: Vec<&str> = scope.split([',', ' ']).next().unwrap_or_default().split('/').collect();
        let part = |at: usize| scope.get(at).copied().unwrap_or_default().to_owned();
        let target = header("x-amz-target").rsplit('.').next().unwrap_or_default();
        let action =
            || form_urlencoded::parse(body).find(|(key, _)| key == "Action").map(|(_, value)| value.into_owned());
        let operation = match (target, scope.get(3)) {
            ("", Some(&"s3")) => "GetObject".to_owned(),
            ("", _) => action().unwrap_or_else(|| "Unknown".to_owned()),
            (target, _) => target.to_owned(),
        };
        // It becomes part of a file's name.
        let plain = |text: String| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        Self {
            at: Instant::now(),
            service: plain(part(3)),
            operation: plain(operation),
            region: part(2),
            input: serde_json::from_slice(body).unwrap_or_default(),
        }
    }
}
