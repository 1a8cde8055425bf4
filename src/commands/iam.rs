//! `roleout iam`: the roles, trust policies and permissions that a manifest needs; and `roleout iam check`: whether they are
//! live.

use std::io::Write;
use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::text::{clean, wrap};
use crate::cli::{self, IamFormat, IamPermissions, IamScope, Selection};
use crate::connect::Connection;
use crate::engine::cancel::Cancel;
use crate::fleet::{Allow, Fleet, Subject};
use crate::iam::{self, IamOptions, Permissions, Setup, cloudformation, json, terraform};
use crate::load;
use crate::load::{environment, placeholder_ci_variable};
use crate::sandbox::{AUDIENCE, ISSUER_HOST, PROJECT_PATH};
use crate::view::View;

/// The columns of what is said to people.
const COLUMNS: usize = 100;

/// Writes what a manifest needs to `out`, or to files; notes go to `err`.
pub fn write(args: &cli::Iam, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Error> {
    // What differs from job to job stands in no policy, so it need not be known to write them.
    let fleet = load::fleet(&args.scope.file, &|name| environment(name).or_else(|| placeholder_ci_variable(name)))?;
    let setup = setup(&fleet, &args.scope)?;
    let files = match (args.format, &args.out) {
        (IamFormat::Json, Some(_)) => json::files(&setup),
        (IamFormat::Json, None) => vec![(String::new(), json::text(&json::value(&setup)))],
        (IamFormat::Terraform, Some(_)) => terraform::files(&setup),
        (IamFormat::Terraform, None) => vec![(String::new(), terraform::module(&setup))],
        (IamFormat::Cloudformation, _) => {
            let templates = cloudformation::templates(&setup).into_iter();
            templates.map(|(role, template)| (format!("{role}.json"), json::text(&template))).collect()
        }
    };
    let mut notes: Vec<String> = fleet.warnings.iter().chain(&setup.notes).cloned().collect();
    if args.format == IamFormat::Cloudformation {
        let name = |file: &str| file.trim_end_matches(".json").to_owned();
        notes.extend(files.iter().filter_map(|(file, text)| cloudformation::note(&name(file), text)));
    }
    for note in &notes {
        let lines = wrap(&format!("note: {}", clean(note)), 2, COLUMNS);
        let _ = writeln!(err, "{}", lines.join("\n"));
    }
    match (&args.out, files.as_slice()) {
        (Some(directory), files) => {
            for (name, text) in files {
                save(directory, name, text)?;
            }
            let _ = writeln!(err, "wrote {} files to {}", files.len(), clean(&directory.display().to_string()));
        }
        (None, [(_, text)]) => {
            // A reader that has seen enough is no error.
            let _ = out.write_all(text.as_bytes());
        }
        (None, files) => {
            let names: Vec<&str> = files.iter().map(|(name, _)| name.trim_end_matches(".json")).collect();
            let message = format!("there is a template for each role: {}", names.join(", "));
            return Err(Error::new(Exit::Usage, message).help("choose one with --role, or write all with --out DIR"));
        }
    }
    Ok(Exit::Done)
}

fn save(directory: &Path, name: &str, text: &str) -> Result<(), Error> {
    let saved = file::write_below(directory, Path::new(name), text.as_bytes());
    saved.map_err(|error| Error::new(Exit::Usage, error.to_string()))
}

/// Returns what the selected part of a manifest needs.
fn setup(fleet: &Fleet, scope: &IamScope) -> Result<Setup, Error> {
    let permissions = match scope.permissions {
        IamPermissions::Deploy => Permissions::Deploy,
        IamPermissions::Plan => Permissions::Plan,
    };
    let choice = IamOptions { permissions, verify: !scope.no_verify, check: scope.with_check };
    let mut setup = iam::setup(fleet, choice).map_err(|refusal| {
        let text = format!("{}: {}\n  help: {}", scope.file.display(), refusal.message, refusal.help);
        Error::new(Exit::Manifest, text)
    })?;
    for wanted in &scope.account {
        let known = |account: &iam::AccountSetup| account.label() == wanted || account.id.as_str() == wanted;
        if !setup.accounts.iter().any(known) {
            let names: Vec<&str> = setup.accounts.iter().map(iam::AccountSetup::label).collect();
            return Err(unknown("account", wanted, &names));
        }
    }
    for wanted in &scope.role {
        let mut names: Vec<&str> =
            setup.accounts.iter().flat_map(|account| account.roles.iter().map(|role| role.role.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        if !names.contains(&wanted.as_str()) {
            return Err(unknown("role", wanted, &names));
        }
    }
    let is_wanted = |wanted: &[String], names: &[&str]| {
        wanted.is_empty() || wanted.iter().any(|wanted| names.contains(&wanted.as_str()))
    };
    setup.accounts.retain(|account| is_wanted(&scope.account, &[account.label(), account.id.as_str()]));
    for account in &mut setup.accounts {
        account.roles.retain(|role| is_wanted(&scope.role, &[&role.role]));
    }
    setup.accounts.retain(|account| !account.roles.is_empty());
    if scope.no_provider {
        setup.accounts.iter_mut().for_each(|account| account.provider = None);
    }
    Ok(setup)
}

fn unknown(what: &str, wanted: &str, names: &[&str]) -> Error {
    let message = format!("--{what}: no chain goes through {what} `{wanted}`");
    Error::new(Exit::Usage, message).help(format!("there are {}", names.join(", ")))
}

/// Compares what a manifest needs with what is live.
pub async fn check(args: &cli::IamCheck, mut view: View, out: &mut dyn Write, cancel: Cancel) -> Result<Exit, Error> {
    let selection = Selection {
        file: args.scope.file.clone(),
        only: Vec::new(),
        wave: Vec::new(),
        ambient: false,
        allow_http: args.allow_http,
        share: cli::ShardArgs::default(),
        credentials: Vec::new(),
    };
    let (mut fleet, reach) = Connection::open_with(&selection, &args.embedded, &mut view, |sandbox, fleet| {
        let mut fleet = fleet.clone();
        pretend(&mut fleet);
        if let Ok(setup) = iam::setup(&fleet, IamOptions { check: true, ..IamOptions::default() }) {
            sandbox.apply(&setup);
        }
    })
    .await?;
    if args.embedded.sandbox {
        pretend(&mut fleet);
    }
    let wanted = setup(&fleet, &args.scope)?;
    // That a role may be compared is no difference.
    let most = setup(&fleet, &IamScope { with_check: true, ..args.scope.clone() })?;
    compare(&fleet, (&wanted, &most), &reach, view, out, cancel).await
}

/// Lets in the jobs of the sandbox's pretended GitLab, which are the only ones there are.
fn pretend(fleet: &mut Fleet) {
    fleet.allow = Some(Allow {
        issuer: Some(format!("https://{ISSUER_HOST}")),
        audience: Some(AUDIENCE.to_owned()),
        subject: Subject::Path(PROJECT_PATH.to_owned()),
        project_id: None,
        branches: vec!["main".to_owned()],
        tags: Vec::new(),
        ref_protected: false,
        environment_protected: false,
        deployment_tier: Vec::new(),
    });
}

/// Compares by a way to AWS that is given, and says on `out` what differs: what `iam check` and its tests have in common. What
/// the first set-up has must be there, and nothing that the second one has not.
///
/// # Errors
/// Something could not be read, and nothing else differs; or a signal.
#[cfg(feature = "verify")]
pub async fn compare(
    fleet: &Fleet,
    (setup, most): (&Setup, &Setup),
    reach: &Connection,
    mut view: View,
    out: &mut dyn Write,
    cancel: Cancel,
) -> Result<Exit, Error> {
    use crate::base::text::count;
    use crate::engine::cancel::unless_cancelled;
    use crate::iam::live::Kind;

    view.phase(&format!("comparing {}", count(setup.accounts.iter().map(|account| account.roles.len()).sum(), "role")));
    let read = unless_cancelled(live::read(fleet, (setup, most), reach), &cancel).await?;
    let (mut missing, mut extra, mut unread) = (0, 0, 0);
    for part in &read {
        missing += part.differences.iter().filter(|it| it.kind == Kind::Missing).count();
        extra += part.differences.iter().filter(|it| it.kind == Kind::Extra).count();
        unread += part.unread.len();
        let mark = match (part.differences.is_empty(), part.unread.is_empty()) {
            (true, true) => "✔",
            (true, false) => "?",
            (false, _) => "✖",
        };
        let _ = writeln!(out, "{mark} {}", clean(&part.what));
        for difference in &part.differences {
            let sign = if difference.kind == Kind::Missing { '-' } else { '+' };
            let _ = writeln!(out, "    {sign} {}", clean(&difference.text));
        }
        for reason in &part.unread {
            let _ = writeln!(out, "    ? not compared: {}", clean(reason));
        }
    }
    let _ = writeln!(out, "iam: {missing} missing, {extra} not needed, {unread} not compared");
    match (missing + extra, unread) {
        (0, 0) => Ok(Exit::Done),
        (0, _) => {
            let help = "let a role of each account read IAM: `roleout iam --with-check` adds that to the policies";
            Err(Error::new(Exit::Preflight, "not everything could be compared").help(help))
        }
        _ => Ok(Exit::Pending),
    }
}

/// Without the feature `verify` nothing can be read of IAM.
///
/// # Errors
/// Always.
#[cfg(not(feature = "verify"))]
pub async fn compare(
    _: &Fleet,
    _: (&Setup, &Setup),
    _: &Connection,
    _: View,
    _: &mut dyn Write,
    _: Cancel,
) -> Result<Exit, Error> {
    let message = "this build of roleout cannot read IAM";
    Err(Error::new(Exit::Usage, message).help("build it with the cargo feature `verify`, which is on by default"))
}

/// Reading what is live.
#[cfg(feature = "verify")]
mod live {
    use futures::StreamExt;

    use super::{Connection, Fleet, Setup};
    use crate::aws::denial;
    use crate::aws::error::CallError;
    use crate::aws::iam::Roles;
    use crate::fleet::RoleChain;
    use crate::iam::live::{self, Difference, LiveRole};
    use crate::iam::{AccountSetup, RoleSetup};

    /// Accounts read at once.
    const ACCOUNTS: usize = 16;

    /// What came of one role or provider.
    pub struct Compared {
        /// Which.
        pub what: String,
        /// What differs.
        pub differences: Vec<Difference>,
        /// What could not be read.
        pub unread: Vec<String>,
    }

    /// Reads and compares all accounts.
    pub async fn read(fleet: &Fleet, (setup, most): (&Setup, &Setup), reach: &Connection) -> Vec<Compared> {
        let accounts = setup.accounts.iter().zip(&most.accounts).map(|both| account(fleet, both, reach));
        futures::stream::iter(accounts).buffered(ACCOUNTS).flat_map(futures::stream::iter).collect().await
    }

    async fn account(
        fleet: &Fleet,
        (account, most): (&AccountSetup, &AccountSetup),
        reach: &Connection,
    ) -> Vec<Compared> {
        let roles = session(fleet, account).map(|chain| {
            let region = fleet.accounts.iter().find(|one| one.id == account.id).and_then(|one| one.regions.first());
            let region = region.unwrap_or(&fleet.identity.region);
            let ecs = reach.aws.ecs(account.id.as_str(), region, || reach.sessions.provider(&chain));
            ecs.aux().roles(region)
        });
        let mut compared = Vec::new();
        if let Some(provider) = &account.provider {
            let partition = account.roles.first().map_or("aws", |role| role.arn.partition());
            let arn = provider.arn(partition, account.id.as_str());
            let mut one =
                Compared { what: format!("{}: {arn}", account.label()), differences: Vec::new(), unread: Vec::new() };
            match &roles {
                Some(roles) => match roles.provider(&arn).await {
                    Ok(Some((url, audiences))) => one.differences = live::provider(provider, &url, &audiences),
                    Ok(None) => one.differences.push(missing("there is no such identity provider")),
                    Err(error) => one.unread.push(reason(&error)),
                },
                None => one.unread.push("no chain has a session in the account".to_owned()),
            }
            compared.push(one);
        }
        for both in account.roles.iter().zip(&most.roles) {
            compared.push(compare(account, both, roles.as_ref()).await);
        }
        compared
    }

    async fn compare(
        account: &AccountSetup,
        (role, most): (&RoleSetup, &RoleSetup),
        roles: Option<&Roles>,
    ) -> Compared {
        let what = format!("{}: {}", account.label(), role.arn);
        let mut one = Compared { what, differences: Vec::new(), unread: Vec::new() };
        let Some(roles) = roles else {
            one.unread.push("no chain has a session in the account".to_owned());
            return one;
        };
        let mut found = LiveRole::default();
        match roles.find(role.arn.name()).await {
            Ok(Some(live)) if live.arn != role.arn.as_str() => {
                one.differences.push(missing(&format!("the role of that name is {}", live.arn)));
                return one;
            }
            Ok(Some(live)) => found.trust = live.trust,
            Ok(None) => {
                one.differences.push(missing("there is no such role"));
                return one;
            }
            Err(error) => one.unread.push(format!("its trust policy: {}", reason(&error))),
        }
        match roles.policies(role.arn.name()).await {
            Ok(policies) => found.policies = Some(policies),
            Err(error) => one.unread.push(format!("its permissions: {}", reason(&error))),
        }
        one.differences = live::role(role, &found).into_iter().filter(|it| it.kind == live::Kind::Missing).collect();
        one.differences.extend(live::role(most, &found).into_iter().filter(|it| it.kind == live::Kind::Extra));
        one
    }

    fn missing(text: &str) -> Difference {
        Difference { kind: live::Kind::Missing, text: text.to_owned() }
    }

    /// Returns the way to a session in an account: the start of a chain that comes through it.
    fn session(fleet: &Fleet, account: &AccountSetup) -> Option<RoleChain> {
        fleet.accounts.iter().find_map(|one| {
            let hops = &one.chain.hops;
            let last = hops.iter().rposition(|hop| *hop.arn.account() == account.id)?;
            Some(RoleChain { hops: hops[..=last].to_vec() })
        })
    }

    fn reason(error: &CallError) -> String {
        denial::unanswered(error, "iam", None)
    }
}
