//! `roleout iam`: the roles, trust policies and permissions that a manifest needs; and `roleout iam check`: whether they are
//! live.

use std::io::Write;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::{self, IamScope};
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::Cancel;
use crate::fleet::{Allow, Fleet, Subject};
use crate::iam::{self, IamOptions};
use crate::load::{begin_ambient, fleet_of_policies};
use crate::operations::iam_check::compare;
use crate::operations::iam_files::{self, setup};
use crate::sandbox::{AUDIENCE, ISSUER_HOST, PROJECT_PATH, Sandbox};
use crate::view::View;

/// Writes what a manifest needs to `out`, or to files; notes go to `err`.
pub fn write(args: &cli::Iam, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Error> {
    let fleet = fleet_of_policies(&args.scope.file)?;
    iam_files::write(args, fleet, out, err)
}

/// Compares what a manifest needs with what is live.
pub async fn check(args: &cli::IamCheck, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let mut fleet = fleet_of_policies(&args.scope.file)?;
    // Whom the first roles trust, the manifest says, whoever asks.
    let mut reached = fleet.clone();
    begin_ambient(&mut reached, args.ambient);
    let furnish = |sandbox: &Sandbox, fleet: &Fleet| {
        let mut fleet = fleet.clone();
        pretend(&mut fleet);
        if let Ok(setup) = iam::setup(&fleet, IamOptions { check: true, ..IamOptions::default() }) {
            sandbox.apply(&setup);
        }
    };
    let connection = Connection::open_loaded(&reached, args.allow_http, &args.embedded, &mut view, furnish).await?;
    if args.embedded.sandbox {
        pretend(&mut fleet);
    }
    let wanted = setup(&fleet, &args.scope)?;
    // That a role may be compared is no difference.
    let most = setup(&fleet, &IamScope { with_check: true, ..args.scope.clone() })?;
    let context = &mut CommandContext { connection: &connection, view: &mut view, cancel: &cancel };
    compare(&fleet, (&wanted, &most), context).await
}

/// Lets in the jobs of the sandbox's pretended GitLab, which are the only ones there are.
fn pretend(fleet: &mut Fleet) {
    fleet.allow = Some(Allow {
        issuer: Some(format!("https://{ISSUER_HOST}")),
        audience: Some(AUDIENCE.to_owned()),
        subjects: vec![Subject::Path(PROJECT_PATH.to_owned())],
        project_ids: Vec::new(),
        branches: vec!["main".to_owned()],
        tags: Vec::new(),
        ref_protected: false,
        environment_protected: false,
        deployment_tier: Vec::new(),
    });
}
