//! How a command reaches AWS: the real one by the job's identity, or the sandbox by a token of its own issuer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::SecretString;

use crate::aws::credentials::AccountCredentials;
use crate::aws::recorder::Recorder;
use crate::aws::{Aws, SharedCredentialsProvider};
use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::secrets;
use crate::cli::{Furnishing, RecordArgs, SandboxArgs, Selection};
use crate::engine::cancel::Cancel;
use crate::engine::context::Clients;
use crate::fleet::lookup::{Lookup, StateSource, Store};
use crate::fleet::{Fleet, Identity, IdentitySource, TargetSpec};
use crate::identity::session::Sessions;
use crate::identity::token::TokenSource;
use crate::load::{environment, selected};
use crate::sandbox::{self, Claims, Sandbox, Size};
use crate::view::View;

/// A way to AWS: clients' configuration and the sessions they use.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Configuration and clients.
    pub aws: Aws,
    /// The role chains.
    pub sessions: Sessions,
}

impl Connection {
    /// Loads the selected part of a manifest, warns of what is odd in it, and finds the way to its AWS.
    pub async fn open(selection: &Selection, embedded: &SandboxArgs, view: &mut View) -> Result<(Fleet, Self), Error> {
        Self::open_with(selection, embedded, view, |_, _| {}).await
    }

    /// Does as [`Self::open`] does, and furnishes the sandbox, where that is used.
    pub async fn open_with(
        selection: &Selection,
        embedded: &SandboxArgs,
        view: &mut View,
        furnish: impl FnOnce(&Sandbox, &Fleet),
    ) -> Result<(Fleet, Self), Error> {
        let fleet = selected(selection, &variables(embedded.sandbox))?;
        let connection = Self::open_loaded(&fleet, selection.allow_http, embedded, view, furnish).await?;
        Ok((fleet, connection))
    }

    /// Warns of what is odd in a fleet that is loaded already, and finds the way to its AWS.
    pub async fn open_loaded(
        fleet: &Fleet,
        allow_http: bool,
        embedded: &SandboxArgs,
        view: &mut View,
        furnish: impl FnOnce(&Sandbox, &Fleet),
    ) -> Result<Self, Error> {
        hold_external_ids(fleet);
        for warning in &fleet.warnings {
            view.warning(warning);
        }
        if embedded.sandbox {
            view.note("this is the embedded sandbox, and nothing is sent to AWS");
            let sandbox = seeded(fleet, Size::Small, Clock::tokio_from_system(), &embedded.furnishing())?;
            furnish(&sandbox, fleet);
            Ok(Self::sandbox(fleet, &sandbox, sandbox.id_token(Claims::default())))
        } else {
            let connection = Self::production(fleet, allow_http).await?;
            connection.warn_custom_endpoints(view);
            Ok(connection)
        }
    }

    /// Reaches AWS with the identity that the manifest names.
    pub async fn production(fleet: &Fleet, allow_http: bool) -> Result<Self, Error> {
        hold_external_ids(fleet);
        Self::by_identity(&fleet.identity, None, allow_http).await
    }

    /// Reaches AWS as [`Self::production`] does, and without an ID token, too: each exchange then says that there is none.
    pub async fn to_examine(fleet: &Fleet, allow_http: bool) -> Result<Self, Error> {
        hold_external_ids(fleet);
        let token = TokenSource::find(&fleet.identity.source, &environment);
        let token = token.unwrap_or_else(|error| Some(TokenSource::Absent(error)));
        Self::with(&fleet.identity, token, None, allow_http).await
    }

    /// Reaches AWS with an identity, such as that of a saved plan. Where that is the SDK's own, `profile` is whose, unless
    /// the environment says.
    pub async fn by_identity(identity: &Identity, profile: Option<&str>, allow_http: bool) -> Result<Self, Error> {
        let token = TokenSource::find(&identity.source, &environment)
            .map_err(|error| Error::new(Exit::Preflight, error.message).help(error.help))?;
        Self::with(identity, token, profile, allow_http).await
    }

    async fn with(
        identity: &Identity,
        token: Option<TokenSource>,
        profile: Option<&str>,
        allow_http: bool,
    ) -> Result<Self, Error> {
        let ambient = identity.source == IdentitySource::Ambient;
        let aws = Aws::from_environment(&identity.region, ambient, profile, allow_http).await?;
        let ambient = token.is_none().then(|| aws.ambient_credentials()).flatten();
        let sts = aws.sts(&identity.region);
        let sessions = Sessions::new(sts, aws.clock(), identity.session_name.clone(), token, ambient);
        Ok(Self { aws, sessions })
    }

    /// Reaches a sandbox, and nothing else, with an ID token of its issuer.
    pub fn sandbox(fleet: &Fleet, sandbox: &Sandbox, token: SecretString) -> Self {
        let identity = &fleet.identity;
        let aws = Aws::in_process(sandbox.http_client(), sandbox.clock(), &identity.region).beside(sandbox.connector());
        let (name, ambient) = match &identity.source {
            IdentitySource::Ambient => (None, ambient(fleet)),
            IdentitySource::TokenEnv(variable) => (Some(variable.clone()), None),
            IdentitySource::TokenFile(path) => (Some(path.display().to_string()), None),
        };
        let token = name.map(|variable| TokenSource::Held { variable, token });
        let sts = aws.sts(&identity.region);
        let sessions = Sessions::new(sts, aws.clock(), identity.session_name.clone(), token, ambient);
        Self { aws, sessions }
    }

    /// Records what AWS answers from here on, where that is asked for. What STS answers is not: it is nothing but keys.
    ///
    /// # Errors
    /// The directory holds something already, or cannot be written to.
    pub fn recording(self, args: &RecordArgs, view: &mut View) -> Result<Self, Error> {
        let Some(directory) = &args.record else { return Ok(self) };
        let recorder = Recorder::begin(directory)
            .map_err(|error| Error::new(Exit::Usage, format!("--record: {error}")).help("name a new directory"))?;
        view.note(&format!(
            "the answers of AWS are recorded in {}; read them before you pass them on",
            directory.display()
        ));
        Ok(Self { aws: self.aws.recorded(&Arc::new(recorder)), sessions: self.sessions })
    }

    /// Says where calls go that do not go to AWS: whoever can set an endpoint gets the ID token.
    pub fn warn_custom_endpoints(&self, view: &mut View) {
        for endpoint in self.aws.endpoints().list() {
            view.note(&format!("{} sends calls to {}", endpoint.origin, endpoint.host));
        }
    }

    /// Returns the way to each target's ECS client.
    pub fn clients(&self) -> Clients {
        let connection = self.clone();
        Arc::new(move |target: &TargetSpec| {
            let chain = &target.account.chain;
            connection.aws.ecs(target.account.id.as_str(), &target.id.region, || connection.sessions.credentials(chain))
        })
    }
}

/// What a command works with, once it knows its fleet.
pub struct CommandContext<'a> {
    /// Its way to AWS.
    pub connection: &'a Connection,
    /// What people and programs see of it.
    pub view: &'a mut View,
    /// What ends it early.
    pub cancel: &'a Cancel,
}

/// Holds the external ids of a fleet's roles as secrets, but for those that are part of a name: without its names a report is
/// no report.
pub fn hold_external_ids(fleet: &Fleet) {
    let accounts = fleet.accounts.iter().flat_map(|account| [account.name.as_str(), account.id.as_str()]);
    let labels = fleet.accounts.iter().flat_map(|account| account.labels.iter()).flat_map(|(key, value)| [key, value]);
    let targets = fleet.targets.iter().flat_map(|target| [target.cluster.as_str(), target.service.as_str()]);
    let hops = || fleet.accounts.iter().flat_map(|account| &account.chain.hops);
    let roles = hops().flat_map(|hop| [hop.role.as_str(), hop.arn.as_str()]);
    let waves = fleet.waves.iter().map(|wave| wave.name.as_str());
    let names: BTreeSet<&str> =
        accounts.chain(labels.map(String::as_str)).chain(targets).chain(roles).chain(waves).collect();
    let ids: BTreeSet<&str> = hops().filter_map(|hop| hop.external_id.as_deref()).collect();
    ids.into_iter().filter(|id| !names.iter().any(|name| name.contains(id))).for_each(secrets::hold);
}

/// Shortens every minute of a bake to one second in the sandbox.
pub fn shorten_bakes(fleet: &mut Fleet, view: &mut View) {
    if fleet.waves.iter().any(|wave| !wave.bake.is_zero()) {
        view.note("in the sandbox a minute of bake takes a second");
        fleet.waves.iter_mut().for_each(|wave| wave.bake /= 60);
    }
}

/// Returns the sandbox's stand-in for the SDK's own credentials: those of the first account.
fn ambient(fleet: &Fleet) -> Option<AccountCredentials> {
    let account = fleet.accounts.first()?;
    Some(SharedCredentialsProvider::new(Sandbox::account_credentials(account.id.as_str())).into())
}

/// Makes a sandbox in which every target of the fleet exists, with the values and faults of the command line.
pub fn seeded(fleet: &Fleet, size: Size, clock: Clock, with: &Furnishing<'_>) -> Result<Sandbox, Error> {
    let given = with.values.iter().map(|text| Lookup::read_with_value(text));
    let given = given
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(|error| Error::new(Exit::Usage, format!("--sandbox-value: {error}")))?;
    let is_in_s3 = |lookup: &Lookup| {
        let states = fleet.targets.iter().filter_map(|target| target.desired.state_of(lookup));
        states.into_iter().any(|state| matches!(state, StateSource::S3 { .. }))
    };
    if given.keys().any(|lookup: &Lookup| lookup.store == Store::Tfstate && !is_in_s3(lookup)) {
        let message = "--sandbox-value: only a Terraform state in S3 takes a value here";
        let help = "a state in a file is the real one, and the values of one that GitLab manages are made up";
        return Err(Error::new(Exit::Usage, message).help(help));
    }
    let sandbox = Sandbox::for_fleet_of(size, fleet, (with.seed, given), clock);
    sandbox.forget_writes();
    for text in with.faults {
        let (pattern, fault) = sandbox::parse_fault(text).map_err(|error| Error::new(Exit::Usage, error))?;
        sandbox::refuse_idle(fleet, &pattern, &fault)
            .map_err(|why| Error::new(Exit::Usage, format!("--sandbox-fault: `{text}` {why}")))?;
        sandbox.fault(&pattern, fault).map_err(|error| Error::new(Exit::Usage, error))?;
    }
    Ok(sandbox)
}

/// Returns how variables are looked up: in the sandbox also among those of its pretended job.
pub fn variables(sandbox: bool) -> impl Fn(&str) -> Option<String> {
    if sandbox { job_environment } else { environment }
}

/// Looks a variable up in the environment, and then among those of the sandbox's pretended GitLab job.
pub fn job_environment(name: &str) -> Option<String> {
    environment(name).or_else(|| {
        let mut variables = Sandbox::job_variables().into_iter();
        variables.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    })
}
