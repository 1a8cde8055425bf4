//! Loading: read `deploy.yaml` and the files that it names, and make a fleet of them or list every fault.
//!
//! The only part of `manifest/` that does I/O. It decides nothing about what a manifest means: see `check.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::base::file;
use crate::fleet::organization::lock::{MAX_LOCK, SUFFIX};
use crate::fleet::{Fleet, Identity, OrganizationSource};
use crate::manifest::credential::Credentials;
use crate::manifest::decode::Decoder;
pub use crate::manifest::fault::LoadError;
use crate::manifest::fault::{Context, Source};
use crate::manifest::include::{self, Pattern};
use crate::manifest::interpolate::Lookup;
use crate::manifest::lock::{self, ReadLock};
use crate::manifest::node::{Node, Value, expand};
use crate::manifest::spanned::{Span, Spanned};
use crate::manifest::yaml::{MAX_MANIFEST, parse, parse_all};
use crate::manifest::{Manifest, check};

/// ECS takes a task definition of at most 64 KiB; indentation and read-only fields may make a file larger.
const MAX_TASK_DEFINITION: u64 = 256 << 10;
/// The largest Terraform state.
const MAX_STATE: u64 = 32 << 20;

/// The variables of flags that name a variable with a credential in it.
const NAMING: [&str; 2] = ["ROLEOUT_MR_NOTE_TOKEN_ENV", "ROLEOUT_SIGN_ENV"];

/// Loads a manifest and checks it. `variables` is the environment.
///
/// # Errors
/// Every fault of the manifest and of the files that it names, at once.
pub fn load(path: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, LoadError> {
    load_as(path, variables, How::default())
}

/// How a manifest is loaded.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// Whether images of task definition files are final: where the command line may put others in their place, the plan
    /// judges them.
    pub images: bool,
    /// Variables that hold a credential, as the command line says.
    pub credentials: &'a [String],
    /// Whether variables that are not set stay open in what is deployed: see [`Fleet::open`].
    pub open: bool,
    /// Whether the accounts of an organization may be missing, since there is no lock of them yet.
    pub unlocked: bool,
    /// What stands in for a variable of the manifest that is not set.
    pub stand_in: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for How<'_> {
    fn default() -> Self {
        Self { images: true, credentials: &[], open: false, unlocked: false, stand_in: &|_| None }
    }
}

/// Does as [`load`] does, as the command line wants it.
///
/// # Errors
/// Every fault of the manifest and of the files that it names, at once.
pub fn load_as(path: &Path, variables: &dyn Fn(&str) -> Option<String>, how: How<'_>) -> Result<Fleet, LoadError> {
    let name = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    match read(file::read_given, path, MAX_MANIFEST) {
        Ok(text) => load_text(&name, base, &text, variables, how),
        Err(reason) => {
            let help = match reason.contains("does not exist") {
                true => "name the manifest with --file, or write one with `roleout init`",
                false => "a manifest is YAML text of at most 1 MiB",
            };
            Err(LoadError::of_file(&name, reason, help))
        }
    }
}

/// Loads a manifest from its text. `name` is what messages call it, and the files that it names are below `base`.
///
/// # Errors
/// Every fault of the manifest and of the files that it names, at once.
pub fn load_str(
    name: &str,
    base: &Path,
    text: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Fleet, LoadError> {
    load_text(name, base, text, variables, How::default())
}

fn load_text(
    name: &str,
    base: &Path,
    text: &str,
    variables: &dyn Fn(&str) -> Option<String>,
    how: How<'_>,
) -> Result<Fleet, LoadError> {
    let given = Given { name, base, text, variables, how };
    with_manifest(given, |manifest, context, files| check::check(manifest, context, variables, files))
}

/// Loads of a manifest what an update of its lock needs: whoever asks, and what is asked. Its targets are not checked, and
/// there may be no lock yet; `None` where no entry takes accounts from an organization.
///
/// # Errors
/// Every fault of what is read.
pub fn load_organization(
    path: &Path,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<(Identity, OrganizationSource)>, LoadError> {
    let name = path.display().to_string();
    let text = read(file::read_given, path, MAX_MANIFEST)
        .map_err(|reason| LoadError::of_file(&name, reason, "name the manifest with --file"))?;
    let base = path.parent().unwrap_or(Path::new(""));
    let how = How { unlocked: true, ..How::default() };
    let given = Given { name: &name, base, text: &text, variables, how };
    with_manifest(given, |manifest, context, files| {
        let asks = manifest.get().is_some_and(|manifest| first_question(manifest).is_some());
        match asks {
            true => check::check_organization(manifest, context, variables, files).map(Some),
            false => Some(None),
        }
    })
}

/// The text of a manifest, and how it is loaded.
#[derive(Clone, Copy)]
struct Given<'a> {
    name: &'a str,
    base: &'a Path,
    text: &'a str,
    variables: &'a dyn Fn(&str) -> Option<String>,
    how: How<'a>,
}

/// Reads a manifest, and all that belongs to it, and has it checked.
fn with_manifest<T>(
    given: Given<'_>,
    check: impl FnOnce(&Spanned<Manifest>, &Context, &check::Files<'_>) -> Option<T>,
) -> Result<T, LoadError> {
    let Given { name, base, text, variables, how, .. } = given;
    let context = Context::new(Arc::new(Source::new(name, text.to_owned())));
    let checked = parse(text, 0, &context).and_then(|mut root| {
        root.set_aside();
        let named = NAMING.into_iter().filter_map(variables).chain(how.credentials.iter().cloned());
        let others = webhook_variables(&root).into_iter().chain(named).collect();
        let credentials = Credentials::new(token_variable(&root), others, variables);
        let open = how.open.then_some(&context.open);
        let or_stand_in = |name: &str| variables(name).or_else(|| (how.stand_in)(name));
        let lookup = Lookup { variables: &or_stand_in, credentials: &credentials, open };
        expand(&mut root, &lookup, &context);
        let known = vec![real(&join(base, &file_name(name))).unwrap_or_default()];
        let mut including = Including { base, variables, known, size: 0, directories: Vec::new() };
        including.join(&mut root, &lookup, &context);
        let directories = including.directories;
        let manifest = Spanned::<Manifest>::deserialize(Decoder::new(&root, &context)).ok()?;
        let read_up_to = |path: &Path, most: u64| {
            let text = read(file::read, path, most);
            (path.display().to_string(), text.and_then(|text| within(base, path, variables).map(|()| text)))
        };
        let read = |path: &Path| read_up_to(path, MAX_TASK_DEFINITION);
        let read_state = |path: &Path| read_up_to(path, MAX_STATE);
        let directory = |span: Span| {
            let index = directories.partition_point(|(start, _)| *start <= span.start);
            index.checked_sub(1).and_then(|index| directories.get(index)).map_or(base, |(_, directory)| directory)
        };
        let path = |path: &str, span: Span| join(directory(span), path);
        let lock_path = lock_path(base, name);
        let question = manifest.get().and_then(first_question);
        let lock = question.and_then(|span| read_lock(given, &lock_path, span, &context));
        let lock_file = &lock_path.display().to_string();
        let files = check::Files {
            read: &read,
            read_state: &read_state,
            path: &path,
            images: how.images,
            lock: lock.as_ref(),
            lock_file,
        };
        check(&manifest, &context, &files)
    });
    match (context.into_error(), checked) {
        (Some(error), _) => Err(error),
        (None, Some(checked)) => Ok(checked),
        // A broken value without a fault would be a mistake in here: say so rather than deploy.
        (None, None) => Err(LoadError::of_file(name, "the manifest could not be read", "please report this")),
    }
}

/// Returns the place of the first entry of an organization.
fn first_question(manifest: &Manifest) -> Option<Span> {
    let entries = manifest.accounts.as_ref()?.get()?;
    entries.iter().find_map(|entry| {
        let discovery = entry.get()?.discovery()?;
        Some(discovery.from.as_ref().map_or(entry.span, |from| from.span))
    })
}

/// Returns the path of a manifest's lock: beside it, and named after it.
fn lock_path(base: &Path, name: &str) -> PathBuf {
    let name = file_name(name);
    let stem = [".yaml", ".yml"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    base.join(format!("{stem}{SUFFIX}"))
}

/// Reads the lock of an organization. Records what is wrong with it, and its absence where it is needed.
fn read_lock(given: Given<'_>, path: &Path, question: Span, context: &Context) -> Option<ReadLock> {
    let name = path.display().to_string();
    match read(file::read, path, MAX_LOCK).and_then(|text| within(given.base, path, given.variables).map(|()| text)) {
        Ok(text) => {
            let base = context.add(Arc::new(Source::new(name, text.clone())));
            lock::read(&text, base, context)
        }
        Err(reason) if reason == NOT_THERE => {
            if given.how.unlocked {
                let warning = format!("there is no {name} yet: the accounts of the organization are not known");
                context.warn(&context.fault(question, warning).help("`roleout accounts --update` writes it"));
            } else {
                let message = format!("the accounts of the organization are not known: there is no {name}");
                let help = "run `roleout accounts --update`, and commit the file that it writes";
                context.push(context.fault(question, message).help(help));
            }
            None
        }
        Err(reason) => {
            let help = "it is the lock of the manifest's organization: restore it from its repository";
            context.push(context.fault(question, format!("{name}: {reason}")).help(help));
            None
        }
    }
}

fn join(base: &Path, path: &str) -> PathBuf {
    base.join(path.strip_prefix("./").unwrap_or(path))
}

fn file_name(name: &str) -> String {
    Path::new(name).file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// Entries of folders that one pattern looks at: more, and it names no folder of manifests.
const MAX_ENTRIES: usize = 20_000;

/// What is included, while it is read.
struct Including<'a> {
    base: &'a Path,
    variables: &'a dyn Fn(&str) -> Option<String>,
    /// The manifest itself, which a pattern may match, then every file that is included. Without links.
    known: Vec<PathBuf>,
    /// The bytes of those files.
    size: u64,
    /// The directory of each, and the place where its text begins.
    directories: Vec<(usize, PathBuf)>,
}

impl Including<'_> {
    /// Joins the included files to the manifest. Records those that cannot be.
    fn join(&mut self, root: &mut Node, lookup: &Lookup<'_>, context: &Context) {
        let files = self.files(root, context);
        for ((base, file), parsed) in files.iter().zip(parse_all(&files)) {
            if let Some(mut file) = parsed.judge(file.inner(), *base, context) {
                file.set_aside();
                expand(&mut file, lookup, context);
                include::join(root, file, context);
            }
        }
    }

    /// Reads the included files. Returns each with the place where its text begins; records those that cannot be read.
    fn files(&mut self, root: &Node, context: &Context) -> Vec<(usize, Arc<Source>)> {
        let mut files = Vec::new();
        for pattern in include::patterns(root, context) {
            let refuse = |reason: String, place: &Path| {
                let help = match reason.as_str() {
                    ITSELF => "put the files to include into a folder of their own".to_owned(),
                    _ => format!("looked for {}: the path is relative to the manifest", place.display()),
                };
                context.push(context.fault(pattern.span, format!("`{}`: {reason}", pattern.text)).help(help));
            };
            let found = match self.find(&pattern) {
                Ok(found) => found,
                Err(reason) => {
                    refuse(reason, &join(self.base, &pattern.text));
                    continue;
                }
            };
            for path in found {
                let text = match self.read(&path) {
                    Ok(Some(text)) => text,
                    Ok(None) => continue,
                    Err(reason) => {
                        refuse(reason, &path);
                        continue;
                    }
                };
                if self.directories.len() == include::MAX_FILES || self.size > include::MAX_TEXT {
                    let (most, mib) = (include::MAX_FILES, include::MAX_TEXT >> 20);
                    let fault =
                        context.fault(pattern.span, format!("more than {most} files or {mib} MiB are included"));
                    context.push(fault.help("split the fleet into several manifests"));
                    return files;
                }
                let file = Arc::new(Source::new(path.display().to_string(), text));
                let base = context.add(Arc::clone(&file));
                self.directories.push((base, path.parent().unwrap_or(Path::new("")).to_owned()));
                files.push((base, file));
            }
        }
        files
    }

    /// Returns the text of a file; `None` where it is included already, as two patterns may match one file.
    fn read(&mut self, path: &Path) -> Result<Option<String>, String> {
        let text = read(file::read, path, MAX_MANIFEST)?;
        within(self.base, path, self.variables)?;
        let file = real(path)?;
        match self.known.iter().position(|known| *known == file) {
            Some(0) => return Err(ITSELF.to_owned()),
            Some(_) => return Ok(None),
            None => self.known.push(file),
        }
        self.size += text.len() as u64;
        Ok(Some(text))
    }

    /// Returns the files that a pattern names, in the order of their paths.
    fn find(&self, pattern: &Pattern) -> Result<Vec<PathBuf>, String> {
        let Some((folder, glob)) = &pattern.glob else { return Ok(vec![join(self.base, &pattern.text)]) };
        let (mut found, mut entries) = (Vec::new(), 0);
        let mut folders = vec![(folder.clone(), 1)];
        if self.base.join(folder).is_dir() {
            within(self.base, &self.base.join(folder), self.variables)?;
        }
        while let Some((folder, depth)) = folders.pop() {
            let listing = fs_err::read_dir(Path::new(".").join(self.base).join(&folder));
            for entry in listing.map_err(|error| not_read(&error))? {
                let entry = entry.map_err(|error| not_read(&error))?;
                entries += 1;
                if entries > MAX_ENTRIES {
                    return Err(format!("there are more than {MAX_ENTRIES} files to look at; name a folder"));
                }
                let name = entry.file_name();
                if name.to_string_lossy().starts_with('.') {
                    continue;
                }
                let path = folder.join(name);
                // A link to a folder may lead back: only one to a file is followed.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if depth < pattern.depth() {
                        folders.push((path, depth + 1));
                    }
                } else if glob.is_match(&path) && !path.to_string_lossy().ends_with(SUFFIX) {
                    found.push(self.base.join(path));
                }
            }
        }
        found.sort();
        if found.is_empty() { Err("no file matches".to_owned()) } else { Ok(found) }
    }
}

const NOT_THERE: &str = "the file does not exist";

const ITSELF: &str = "this is the manifest itself";

/// Returns the name of the variable that holds the token, from the tree as it is written.
fn token_variable(root: &Node) -> String {
    let named = root.get("identity").and_then(|identity| identity.get("token_env"));
    let name = match named.map(|node| &node.value) {
        Some(Value::Text(text)) => text.as_literal().unwrap_or_default(),
        _ => "",
    };
    // `token_env: ${TOKEN}` is the very mistake that this is for.
    let name = name.strip_prefix("${").and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    if name.is_empty() { check::DEFAULT_TOKEN_ENV.to_owned() } else { name.to_owned() }
}

/// Returns the names of the variables that hold the webhooks' URLs and keys, from the tree as it is written.
fn webhook_variables(root: &Node) -> Vec<String> {
    let Some(Value::List(webhooks)) = root.get("notify").map(|node| &node.value) else { return Vec::new() };
    let named = webhooks.iter().flat_map(|webhook| [webhook.get("url_env"), webhook.get("key_env")]).flatten();
    let names = named.filter_map(|node| match &node.value {
        Value::Text(text) => text.as_literal(),
        _ => None,
    });
    let bare = |name: &str| name.strip_prefix("${").and_then(|name| name.strip_suffix('}')).unwrap_or(name).to_owned();
    names.map(bare).collect()
}

/// Refuses a file outside of the manifest's directory and its repository: whoever changes a manifest need not be allowed to
/// read the job's other files, and a fault or a plan would show them.
fn within(base: &Path, path: &Path, variables: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let (base, path) = (real(base)?, real(path)?);
    let repository = base.ancestors().find(|directory| directory.join(".git").exists());
    let project = variables("CI_PROJECT_DIR").filter(|project| !project.is_empty());
    let project = project.and_then(|project| real(Path::new(&project)).ok());
    let roots = [Some(base.as_path()), repository, project.as_deref()];
    match roots.into_iter().flatten().any(|root| path.starts_with(root)) {
        true => Ok(()),
        false => Err("the file is outside of the manifest's directory and its repository; copy it there".to_owned()),
    }
}

/// Returns a path without links.
fn real(path: &Path) -> Result<PathBuf, String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs_err::canonicalize(path).map_err(|error| format!("the file cannot be read: {}", error.kind()))
}

fn not_read(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "the folder does not exist".to_owned(),
        kind => format!("the folder cannot be read: {kind}"),
    }
}

/// How a file is read: its path, and its largest size.
type Reader = fn(&Path, u64) -> std::io::Result<Vec<u8>>;

fn read(reader: Reader, path: &Path, limit: u64) -> Result<String, String> {
    // The kind of the error without the path, which the fault names already, and without the system's number.
    let reason = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => NOT_THERE.to_owned(),
        std::io::ErrorKind::InvalidInput => "it is not a regular file".to_owned(),
        std::io::ErrorKind::FileTooLarge => match fs_err::metadata(path).map(|metadata| metadata.len()) {
            Ok(size) if size > limit => format!("the file has {size} bytes; the limit is {limit}"),
            _ => format!("the file is larger than {limit} bytes"),
        },
        kind => format!("the file cannot be read: {kind}"),
    };
    let bytes = reader(path, limit).map_err(reason)?;
    file::text(bytes).map_err(|what| format!("the file {what}"))
}
