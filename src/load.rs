//! Loading the manifest for a command: variables, faults as an error, and the selection.

use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::redact;
use crate::cli::{ImageOverrides, Selection};
use crate::fleet::{Fleet, Identity, IdentitySource, OrganizationSource};
use crate::manifest::credential::Credentials;
use crate::manifest::load::{self, How, LoadError};

/// A way to look a variable up.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Looks a variable up in the environment; an empty one is there, and empty.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Refuses what is no variable's name, without repeating it: it may be the secret itself.
pub fn variable_name(flag: &str, name: &str) -> Result<(), Error> {
    let first = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    if first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !redact::holds_token(name) {
        return Ok(());
    }
    let error = Error::new(Exit::Usage, format!("{flag} takes the name of a variable, and this is none"));
    Err(error.help("write the variable's name and not its value, which would be in the log"))
}

/// Returns a stand-in for a variable of GitLab's that differs from job to job.
pub fn placeholder_ci_variable(name: &str) -> Option<String> {
    let known = [
        "CI_COMMIT_REF_SLUG",
        "CI_COMMIT_SHA",
        "CI_COMMIT_SHORT_SHA",
        "CI_COMMIT_TAG",
        "CI_JOB_ID",
        "CI_PIPELINE_ID",
        "CI_PIPELINE_IID",
        "CI_PROJECT_ID",
    ];
    known.contains(&name).then(|| "0".to_owned())
}

/// Loads and checks a manifest for a command that deploys nothing of it: variables that are not set stay open.
pub fn fleet(path: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, Error> {
    load_as(path, variables, How { images: false, open: true, ..How::default() })
}

/// Loads and checks a manifest of which policies are made. What differs from job to job stands in no policy, so it need not
/// be known to write them.
pub fn fleet_of_policies(path: &Path) -> Result<Fleet, Error> {
    let variables = |name: &str| environment(name).or_else(|| placeholder_ci_variable(name));
    // The role that reads the organization is needed before there is a lock.
    load_as(path, &variables, How { images: false, unlocked: true, ..How::default() })
}

/// Loads of a manifest what an update of its lock needs.
///
/// # Errors
/// Every fault; or no entry takes accounts from an organization.
pub fn organization(
    path: &Path,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<(Identity, OrganizationSource), Error> {
    let loaded = load::load_organization(path, variables).map_err(|error| rendered(&error))?;
    loaded.ok_or_else(|| {
        let message = format!("{}: no account is from an organization", path.display());
        let help =
            "add an entry such as { from: organization, ou: workloads, chain: [...], regions: [...] } to `accounts`";
        Error::new(Exit::Manifest, message).help(help)
    })
}

/// Has every chain begin with the SDK's own credentials, where the command line asks for that.
pub fn begin_ambient(fleet: &mut Fleet, ambient: bool) {
    if ambient {
        fleet.identity.source = IdentitySource::Ambient;
    }
}

fn load_as(path: &Path, variables: &dyn Fn(&str) -> Option<String>, how: How<'_>) -> Result<Fleet, Error> {
    load::load_as(path, variables, how).map_err(|error| rendered(&error))
}

fn rendered(error: &LoadError) -> Error {
    let color = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
    Error::new(Exit::Manifest, error.render(color, width).trim_end())
}

/// Loads a manifest with all of its targets, and with the identity that the command line asks for.
pub fn load_unfiltered(selection: &Selection, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, Error> {
    whole_as(selection, variables, false, &|_| None)
}

/// With `images`, what AWS would refuse of the images in task definition files is a fault: nothing puts others in their place.
fn whole_as(
    selection: &Selection,
    variables: Variables<'_>,
    images: bool,
    stand_in: Variables<'_>,
) -> Result<Fleet, Error> {
    let how = How { images, credentials: &selection.credentials, open: selection.open, stand_in, ..How::default() };
    let mut fleet = load_as(&selection.file, variables, how)?;
    begin_ambient(&mut fleet, selection.ambient);
    Ok(fleet)
}

/// Loads a manifest and keeps the targets that the command line selects.
pub fn selected(selection: &Selection, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, Error> {
    narrow(load_unfiltered(selection, variables)?, selection)
}

/// Loads a manifest as [`selected`] does, and judges the images of its task definition files as well.
/// `stand_in` has what stands in for variables of the manifest that are not set.
pub fn selected_as_written(selection: &Selection, stand_in: Variables<'_>) -> Result<Fleet, Error> {
    narrow(whole_as(selection, &environment, true, stand_in)?, selection)
}

/// Loads a manifest as it is written, with all of its targets; its faults are not rendered.
///
/// # Errors
/// Every fault.
pub fn as_written(selection: &Selection, stand_in: Variables<'_>) -> Result<Fleet, LoadError> {
    load::load_as(
        &selection.file,
        &environment,
        How { credentials: &selection.credentials, stand_in, ..How::default() },
    )
}

/// Keeps the targets of a fleet that the command line selects.
pub fn narrow(fleet: Fleet, selection: &Selection) -> Result<Fleet, Error> {
    if let Some(wanted) = &selection.share.fingerprint {
        fleet.matches(wanted).map_err(|error| {
            let error = Error::new(Exit::Blocked, format!("{}: {error}", selection.file.display()));
            error.help("nothing was changed; make the pipeline anew, in the same commit and with the same variables")
        })?;
    }
    let usage = |error: String| Error::new(Exit::Usage, error);
    let fleet = fleet.select(&selection.only, &selection.wave).map_err(|error| usage(error.to_string()))?;
    match selection.share.shard {
        Some(shard) => fleet.shard(shard).map_err(|error| usage(error.to_string())),
        None => Ok(fleet),
    }
}

/// Puts the images of the command line in the place of the manifest's. Those for what other jobs have are no slip in one of
/// several jobs: the pipeline was made with all of it.
pub fn choose_images(fleet: &mut Fleet, instead: &ImageOverrides, selection: &Selection) -> Result<(), Error> {
    let token = match &fleet.identity.source {
        IdentitySource::TokenEnv(name) => name.clone(),
        IdentitySource::TokenFile(_) | IdentitySource::Ambient => String::new(),
    };
    let webhooks = fleet.notify.iter().flat_map(|webhook| webhook.secrets().map(str::to_owned));
    let others = webhooks.chain(selection.credentials.iter().cloned());
    let credentials = Credentials::new(token, others.collect(), &environment);
    if let Some(choice) = instead.image.iter().find(|choice| credentials.is_in(&choice.image)) {
        let error = Error::new(Exit::Usage, format!("--image: the image of `{}` holds a credential", choice.container));
        return Err(error.help("plans and reports would show it: check the variables in it"));
    }
    let mut choices = instead.image.clone();
    choices.retain(|choice| selection.share.shard.is_none() || fleet.targets.iter().any(|it| choice.is_for(it)));
    fleet.choose_images(&choices).map_err(|error| Error::new(Exit::Usage, error.to_string()))
}
