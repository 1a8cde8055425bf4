//! `roleout doctor`: every chain walked, and what fails explained. It only reads.

mod live;

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;
use tokio::time::Instant;

use crate::aws::error::{HopError, Kind};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::Connection;
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::live::{Look, Role};
use crate::doctor::refusal::Refusal;
use crate::doctor::report::{Gathered, HopRow, HopState, Report, Row, TokenWords, VERSION};
use crate::doctor::token::{self, Against, Token};
use crate::doctor::trust::{self, TokenCaller};
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::{Account, Fleet, Hop, IdentitySource};
use crate::identity::preflight::{self, OnLoss, Unreachable};
use crate::identity::session::Session;
use crate::issuer;
use crate::plan::time_estimate::{Limits, TargetEstimate, estimate};
use crate::view::View;
use crate::view::doctor::Layout;

/// How often a role that is awaited is asked for.
const PACE: Duration = Duration::from_secs(2);
/// How long the explanation of a failed preflight may take.
const BRIEFLY: Duration = Duration::from_secs(4);

/// What a person decided beforehand.
#[derive(Clone, Debug, Default)]
pub struct DiagnosisInput {
    /// A trust policy to hold against the token, and the name of its file.
    pub policy: Option<(String, Value)>,
    /// How long to wait for roles that refuse, since IAM takes some seconds to know a new one.
    pub wait: Duration,
    /// How the issuer's host is looked at; `None` = not at all.
    pub look: Option<issuer::Look>,
    /// What stdout gets.
    pub layout: Layout,
}

/// Examines a fleet's chains by a way to AWS that is given: what `doctor` and its tests have in common.
///
/// # Errors
/// A signal.
pub async fn run(
    fleet: &Fleet,
    connection: &Connection,
    choice: &DiagnosisInput,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    view.phase(&format!("walking the role chains of {}", count(fleet.accounts.len(), "account")));
    let report = unless_cancelled(examine(fleet, connection, choice), &cancel).await?;
    view.doctor(&report, choice.layout);
    Ok(if report.has_faults() { Exit::Preflight } else { Exit::Done })
}

/// Walks the chains, looks at the issuer where none of its tokens was taken, and gathers what is found.
async fn examine(fleet: &Fleet, connection: &Connection, choice: &DiagnosisInput) -> Report {
    let source = source(&fleet.identity.source);
    let now = connection.aws.clock().timestamp();
    let mut gathered = Gathered::default();
    let everybody = || fleet.accounts.iter().map(Arc::as_ref);
    let token = match connection.sessions.id_token() {
        None => None,
        Some(Err(error)) => {
            let issuer = fleet.identity.issuer.as_deref();
            gathered.add_finding(token::absent(&fleet.identity.source, &error.message, issuer), None, everybody());
            None
        }
        Some(Ok(text)) => match Token::parse(&text, &source) {
            Ok(token) => Some(token),
            Err(finding) => {
                gathered.add_finding(finding, None, everybody());
                None
            }
        },
    };
    // What is no ID token may be another secret, and is not sent to anybody.
    let walkable = token.is_some() || fleet.identity.source == IdentitySource::Ambient;
    let lost = if walkable { walk(fleet, connection, choice.wait).await } else { Vec::new() };
    let held = connection.sessions.live_sessions();
    let chains = Chains { fleet, lost: &lost, held: &held, walkable };
    let accepted = held.iter().any(|(hops, _)| hops.len() == 1);
    if let Some(token) = &token {
        let against = Against {
            now: now.as_second(),
            issuer: fleet.identity.issuer.as_deref(),
            need: Some(need(fleet)),
            accepted,
        };
        for finding in token.examine(&against) {
            gathered.add_finding(finding, None, []);
        }
    }
    // A token that STS took is proof of all that AWS asks of its issuer, whatever is seen of that from here.
    if let Some(look) = choice.look.as_ref().filter(|_| !accepted) {
        let iss = fleet.identity.issuer.as_deref().or_else(|| token.as_ref().map(Token::issuer));
        let key = token.as_ref().and_then(Token::key_id);
        let found = match iss {
            Some(iss) => issuer::inspect(iss, key, look).await,
            None => Vec::new(),
        };
        found.into_iter().for_each(|finding| gathered.add_finding(finding, None, []));
    }
    let failures = failures(&lost);
    let explained = explain(fleet, connection, &failures, token.as_ref(), Depth::Whole(choice.policy.as_ref())).await;
    let mut codes: IndexMap<Vec<Hop>, Vec<String>> = IndexMap::new();
    for (failure, findings) in explained {
        codes.insert(failure.hops.clone(), findings.iter().map(|finding| finding.code.to_owned()).collect());
        let home = failure.hops.last().map(|hop| hop.arn.account());
        for finding in findings {
            if !is_of_token(finding.code) || !gathered.has(finding.code) {
                gathered.add_finding(finding, home, failure.accounts.iter().map(|account| &**account));
            }
        }
    }
    for it in lost.iter().filter(|it| it.cause.is_none()) {
        let mut finding = Finding::fault("wrong-account", it.reason.clone());
        finding.fix.clone_from(&it.help);
        gathered.add_finding(finding, None, [&*it.account]);
    }
    if let (Some((file, policy)), Some(token)) = (&choice.policy, &token) {
        chains.accepted(token, connection.sessions.session_name(), (file, policy), &mut gathered);
    }
    Report {
        version: VERSION,
        at: now,
        accounts: chains.rows(&codes, gathered.has("token-missing")),
        findings: gathered.finish(),
        token: token.map(|token| TokenWords::new(source, &token)),
    }
}

/// Walks every chain, and those that are refused again for as long as `wait` says.
async fn walk(fleet: &Fleet, connection: &Connection, wait: Duration) -> Vec<Unreachable> {
    let start = Instant::now();
    let mut lost = preflight::walk(&connection.sessions, &fleet.accounts, OnLoss::GoOn).await;
    let denied = |it: &Unreachable| it.cause.as_ref().is_some_and(|cause| cause.error.kind == Kind::Denied);
    while start.elapsed() < wait && lost.iter().any(denied) {
        tokio::time::sleep(PACE).await;
        let again: Vec<Arc<Account>> = lost.iter().filter(|it| denied(it)).map(|it| Arc::clone(&it.account)).collect();
        lost.retain(|it| !denied(it));
        lost.extend(preflight::walk(&connection.sessions, &again, OnLoss::GoOn).await);
    }
    lost
}

/// How long the run may take at most: every target with its whole timeout.
fn need(fleet: &Fleet) -> Duration {
    let pace = vec![TargetEstimate { changes: true, ..TargetEstimate::default() }; fleet.targets.len()];
    Duration::from_secs(estimate(fleet, &pace, None, &Limits::default()).1.worst_case_seconds)
}

fn source(source: &IdentitySource) -> String {
    match source {
        IdentitySource::TokenEnv(variable) => variable.clone(),
        IdentitySource::TokenFile(path) => path.display().to_string(),
        IdentitySource::Ambient => "the SDK's own credentials".to_owned(),
    }
}

/// Whether a finding is of the token itself, which is told once however many hops fail of it.
fn is_of_token(code: &str) -> bool {
    matches!(
        code,
        "token-missing"
            | "token-malformed"
            | "token-expired"
            | "token-not-yet-valid"
            | "token-claim-missing"
            | "clock-skew"
    )
}

/// A hop that was refused, and the accounts behind it.
struct Failure {
    hops: Vec<Hop>,
    cause: Arc<HopError>,
    accounts: Vec<Arc<Account>>,
}

/// The chains of a fleet, and what became of them.
struct Chains<'a> {
    fleet: &'a Fleet,
    lost: &'a [Unreachable],
    held: &'a [(Vec<Hop>, Session)],
    walkable: bool,
}

impl Chains<'_> {
    fn session(&self, hops: &[Hop]) -> Option<&Session> {
        self.held.iter().find(|(own, _)| own == hops).map(|(_, session)| session)
    }

    fn rows(&self, codes: &IndexMap<Vec<Hop>, Vec<String>>, missing: bool) -> Vec<Row> {
        let row = |account: &Arc<Account>| {
            let hops = &account.chain.hops;
            let lost = self.lost.iter().find(|it| it.account == *account);
            let state = |number: usize| {
                let prefix = &hops[..=number];
                if let Some(codes) = codes.get(prefix) {
                    return HopState::Refused { codes: codes.clone() };
                }
                if !self.walkable && number == 0 {
                    let code = if missing { "token-missing" } else { "token-malformed" };
                    return HopState::Refused { codes: vec![code.to_owned()] };
                }
                let wrong = number + 1 == hops.len() && lost.is_some_and(|it| it.cause.is_none());
                match self.session(prefix) {
                    Some(_) if wrong => HopState::Refused { codes: vec!["wrong-account".to_owned()] },
                    Some(session) => HopState::Ok { expires: timestamp(session) },
                    None => HopState::NotTried,
                }
            };
            let row = |(number, hop): (usize, &Hop)| HopRow {
                role: hop.role.clone(),
                arn: hop.arn.to_string(),
                state: state(number),
            };
            Row {
                account: account.name.clone(),
                account_id: account.id.clone(),
                hops: hops.iter().enumerate().map(row).collect(),
                reached: self.walkable && lost.is_none(),
            }
        };
        self.fleet.accounts.iter().map(row).collect()
    }

    /// Holds a policy file against the token where no hop was refused that it could be of: before it is put in place.
    fn accepted(&self, token: &Token, session_name: &str, (file, policy): (&String, &Value), gathered: &mut Gathered) {
        if self.lost.iter().any(|it| it.cause.is_some()) {
            return;
        }
        let firsts: IndexMap<&str, &Hop> = self
            .fleet
            .accounts
            .iter()
            .filter_map(|account| account.chain.hops.first())
            .map(|hop| (hop.arn.as_str(), hop))
            .collect();
        for hop in firsts.into_values() {
            let asker = TokenCaller { token, role: &hop.arn, session_name };
            for mut finding in trust::examine(policy, file, asker) {
                // What is in place works: that the file would not is worth knowing, and no fault yet.
                finding.severity = Severity::Note;
                gathered.add_finding(finding, Some(hop.arn.account()), []);
            }
        }
    }
}

fn failures(lost: &[Unreachable]) -> Vec<Failure> {
    let mut found: IndexMap<Vec<Hop>, Failure> = IndexMap::new();
    for it in lost {
        let Some(cause) = &it.cause else { continue };
        let hops = it.account.chain.hops[..cause.number.min(it.account.chain.hops.len())].to_vec();
        let failure = found.entry(hops.clone()).or_insert_with(|| Failure {
            hops,
            cause: Arc::clone(cause),
            accounts: Vec::new(),
        });
        failure.accounts.push(Arc::clone(&it.account));
    }
    found.into_values().collect()
}

fn timestamp(session: &Session) -> jiff::Timestamp {
    session.grant.expires.try_into().unwrap_or_default()
}

/// How much is asked in order to explain.
enum Depth<'a> {
    /// Whatever may be read, with the trust policy of a file if there is one.
    Whole(Option<&'a (String, Value)>),
    /// What a run that is refused asks.
    Quick,
}

/// Explains every refused hop, with what a session of this run may read of its account.
async fn explain<'a>(
    fleet: &Fleet,
    connection: &Connection,
    failures: &'a [Failure],
    token: Option<&Token>,
    depth: Depth<'_>,
) -> Vec<(&'a Failure, Vec<Finding>)> {
    let (policy, thorough) = match depth {
        Depth::Whole(policy) => (policy, true),
        Depth::Quick => (None, false),
    };
    let lives = live::read_roles(fleet, connection, failures.iter().map(|it| (&*it.hops, &*it.cause)), thorough).await;
    // A file is the policy of the first role where that is refused, and otherwise of the one that is.
    let first = failures.iter().any(|failure| failure.hops.len() == 1);
    let now = connection.aws.clock().timestamp().as_second();
    let explained = failures.iter().zip(lives).map(|(failure, mut live)| {
        if let Some((file, trust)) = policy.filter(|_| !first || failure.hops.len() == 1) {
            let (created, max_session) = (None, None);
            live.role =
                Look::Found(Role { source: file.clone(), arn: None, trust: trust.clone(), created, max_session });
        }
        let Some((hop, before)) = failure.hops.split_last() else {
            return (failure, vec![no_hop(&failure.cause)]);
        };
        let session_name = connection.sessions.session_name();
        let token = token.filter(|_| before.is_empty());
        let (error, region) = (&failure.cause.error, fleet.identity.region.as_str());
        let refusal = Refusal { error, hop, before, session_name, region, token, now, live: &live };
        (failure, refusal.explain())
    });
    explained.collect()
}

/// An account without a chain, whose own credentials do not work.
fn no_hop(cause: &HopError) -> Finding {
    let mut finding = Finding::fault("no-credentials", "the SDK's own credentials do not work")
        .evidence(format!("AWS: {:#}", cause.error));
    finding.fix.clone_from(&cause.help);
    finding
}

/// Explains unreachable accounts where a plan or a deployment ends because of them: what may be read within a few seconds is.
pub async fn explained(fleet: &Fleet, connection: &Connection, mut lost: Vec<Unreachable>) -> Vec<Unreachable> {
    let failures = failures(&lost);
    if failures.is_empty() {
        return lost;
    }
    let token = match connection.sessions.id_token() {
        Some(Ok(text)) => match Token::parse(&text, "") {
            Ok(token) => Some(token),
            // What is no token was sent to nobody, and each account has the reason already.
            Err(_) => return lost,
        },
        Some(Err(_)) | None => None,
    };
    let looked = explain(fleet, connection, &failures, token.as_ref(), Depth::Quick);
    let Ok(explained) = tokio::time::timeout(BRIEFLY, looked).await else { return lost };
    let mut gathered = Gathered::default();
    for (failure, findings) in explained {
        for finding in findings {
            let home = failure.hops.last().map(|hop| hop.arn.account());
            gathered.add_finding(finding, home, failure.accounts.iter().map(|account| &**account));
        }
    }
    let told = gathered.finish();
    let says = connection.sessions.claims().map(|claims| format!("the token says: {claims}"));
    for it in lost.iter_mut().filter(|it| it.cause.is_some()) {
        let own = told.iter().filter(|told| told.accounts.contains(&it.account.name));
        it.help = own.map(|told| told.finding.to_string()).collect();
        let web = it.cause.as_ref().is_some_and(|cause| cause.error.operation == "AssumeRoleWithWebIdentity");
        it.help.extend(says.clone().filter(|_| web));
    }
    lost
}
