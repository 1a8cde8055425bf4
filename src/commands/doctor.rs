//! `roleout doctor`: every chain walked, and what fails explained. It only reads.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{self, DoctorFormat};
use crate::connect::{Connection, seeded, variables};
use crate::engine::cancel::Cancel;
use crate::issuer;
use crate::load::selected;
use crate::preflight::diagnosis::{DiagnosisInput, run};
use crate::sandbox::{Claims, Size};
use crate::view::View;
use crate::view::doctor::Layout;

/// Examines a manifest's chains.
pub async fn doctor(args: &cli::Doctor, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let policy = args.trust_policy.as_deref().map(read_policy).transpose()?;
    let embedded = &args.embedded;
    let mut fleet = selected(&args.selection.with_open_variables(), &variables(embedded.sandbox))?;
    fleet.warnings.iter().for_each(|warning| view.warning(warning));
    let connection = if embedded.sandbox {
        // The sandbox has an issuer of its own.
        fleet.identity.issuer = None;
        let sandbox = seeded(&fleet, Size::Small, Clock::tokio_from_system(), &embedded.furnishing())?;
        Connection::sandbox(&fleet, &sandbox, sandbox.id_token(Claims::default()))
    } else {
        let connection = Connection::to_examine(&fleet, args.selection.allow_http).await?;
        connection.warn_custom_endpoints(&mut view);
        connection
    };
    let layout = match args.format {
        DoctorFormat::Text => Layout::Text,
        DoctorFormat::Json => Layout::Json,
    };
    let wait = args.wait_for_iam.map_or(Duration::ZERO, Into::into);
    let offline = args.offline || embedded.sandbox;
    let look = || issuer::Look::new(args.ca_file.as_deref(), args.allow_private, connection.aws.clock());
    let look = if offline { None } else { Some(look()?) };
    let choice = DiagnosisInput { policy, wait, look, layout };
    run(&fleet, &connection, &choice, view, cancel).await
}

/// Reads a trust policy: the document, or what `aws iam get-role` prints around it.
fn read_policy(path: &Path) -> Result<(String, Value), Error> {
    let wrong = |what: String| {
        Error::new(Exit::Usage, format!("--trust-policy: {what}"))
            .help("it takes what `aws iam get-role --role-name NAME --query Role.AssumeRolePolicyDocument` prints")
    };
    let bytes =
        crate::base::file::read_given(path, crate::base::file::SMALL).map_err(|error| wrong(error.to_string()))?;
    let text = crate::base::file::text(bytes).map_err(|what| wrong(format!("{} {what}", path.display())))?;
    let value: Value = serde_json::from_str(crate::base::file::without_mark(&text))
        .map_err(|error| wrong(format!("{} is not JSON: {error}", path.display())))?;
    let inner =
        ["/Role/AssumeRolePolicyDocument", "/AssumeRolePolicyDocument"].into_iter().find_map(|at| value.pointer(at));
    let policy = inner.cloned().unwrap_or(value);
    match policy.get("Statement") {
        Some(Value::Array(_) | Value::Object(_)) => Ok((path.display().to_string(), policy)),
        _ => Err(wrong(format!("{} has no `Statement`", path.display()))),
    }
}
