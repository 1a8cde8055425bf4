//! What `roleout iam` writes: the selected part of what a manifest needs, in one of three forms.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::text::{clean, wrap};
use crate::cli::{self, IamFormat, IamPermissions, IamScope};
use crate::fleet::Fleet;
use crate::iam::refusal::Refusal;
use crate::iam::{self, IamOptions, Permissions, Setup, cloudformation, json, marks, stackset, terraform};
use crate::operations::iam_check::none_selected;

/// The columns of what is said to people.
const COLUMNS: usize = 100;

/// Writes what a fleet needs to `out`, or to files; notes go to `err`.
///
/// # Errors
/// The selection is none of the fleet's, or a file cannot be written.
pub fn write(args: &cli::Iam, mut fleet: Fleet, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Error> {
    let refused = |refusal: Refusal| Error::new(Exit::Usage, refusal.message).help(refusal.help);
    let moved = match &args.marks.role_path {
        Some(path) => marks::move_roles(&mut fleet, path).map_err(refused)?,
        None => Vec::new(),
    };
    let mut setup = setup(&fleet, &args.scope)?;
    if setup.accounts.iter().all(|account| account.roles.is_empty()) {
        return Err(none_selected());
    }
    marks::mark(&mut setup, args.marks.permissions_boundary.as_deref(), &args.marks.tag).map_err(refused)?;
    let mut of_sets = Vec::new();
    let files = match (args.format, &args.out) {
        (IamFormat::Json, Some(_)) => json::files(&setup),
        (IamFormat::Json, None) => vec![(String::new(), json::text(&json::value(&setup)))],
        (IamFormat::Terraform, Some(_)) => terraform::files(&setup),
        (IamFormat::Terraform, None) => vec![(String::new(), terraform::module(&setup))],
        (IamFormat::Cloudformation, _) => {
            let templates = cloudformation::templates(&setup);
            let organization = fleet.roster.organization.as_ref().filter(|_| args.out.is_some());
            let sets = organization.map(|source| stackset::templates(source, &templates, &fleet.identity.region));
            let (sets, told) = sets.unwrap_or_default();
            of_sets = told;
            let text = |end: &str, (role, template): (String, Value)| (format!("{role}{end}"), json::text(&template));
            let sets = sets.into_iter().map(|set| text(".stackset.json", set));
            templates.into_iter().map(|one| text(".json", one)).chain(sets).collect()
        }
    };
    let notes = fleet.warnings.iter().chain(&setup.notes).chain(&moved).chain(&of_sets);
    let mut notes: Vec<String> = notes.cloned().collect();
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
pub fn setup(fleet: &Fleet, scope: &IamScope) -> Result<Setup, Error> {
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
