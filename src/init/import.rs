//! The manifest and the task definition files of services that exist, such that a plan of them changes nothing.
//!
//! What agrees across accounts and regions is said once; what differs gets a file of its own and an override.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::Value;

use crate::base::json;
use crate::fleet::image_ref::ImageRef;
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{AccountId, IdentitySource, RoleChain};
use crate::init::agree::{Own, agree, tidy};
use crate::init::place::{Place, selectors};
use crate::init::{File, Found, yaml};
use crate::manifest::interpolate::Scope;
use crate::manifest::taskdef::TaskDefinition;
use crate::task_definition::compose::same;

/// An account of the manifest.
struct Account<'a> {
    name: String,
    chain: &'a RoleChain,
    regions: Vec<&'a str>,
}

/// A service that was found, and the manifest's name of its account.
#[derive(Clone, Copy)]
struct Member<'a> {
    found: &'a Found,
    account: &'a str,
}

/// A service in one place, and the file that it was given.
struct Placed<'a> {
    place: Place<'a>,
    file: usize,
}

/// Returns the manifest, first, and the task definition files of services that were found.
///
/// `region` is the one whose STS endpoint is used.
///
/// # Errors
/// Says what no single manifest can express.
pub fn import(found: &[Found], identity: &IdentitySource, region: &str) -> Result<Vec<File>, String> {
    let accounts = accounts(found)?;
    let mut all: Vec<Place<'_>> = Vec::new();
    for account in accounts.values() {
        all.extend(account.regions.iter().map(|region| (account.name.as_str(), *region)));
    }
    let mut services: IndexMap<(&str, &str), Vec<Member<'_>>> = IndexMap::new();
    for found in found {
        let account = accounts.get(&found.account).map_or("", |account| account.name.as_str());
        services.entry((&found.cluster, &found.service)).or_default().push(Member { found, account });
    }
    let mut text = head(found, accounts.len(), services.len());
    text.push_str(&identity_text(identity, region));
    text.push_str(&accounts_text(&accounts));
    text.push_str("\nservices:\n");
    let mut files = vec![File { path: String::new(), text: String::new() }];
    let mut names: BTreeSet<String> = BTreeSet::new();
    for ((cluster, service), group) in services {
        let own = yaml::name(service);
        // Two clusters may each have a service of this name.
        let own = if names.contains(&own) { yaml::name(&format!("{service}-{cluster}")) } else { own };
        let own = yaml::unique(&own, |name| names.contains(name));
        let mut placed = Vec::new();
        for (members, definition) in classes(&group) {
            let path = path(&own, &members, &files);
            let text = json::pretty(&definition).map_err(|error| error.to_string())?;
            let file = files.len();
            placed.extend(members.iter().map(|one| Placed { place: (one.account, one.found.region.as_str()), file }));
            files.push(File { path, text });
        }
        let wanted: Vec<Place<'_>> = placed.iter().map(|one| one.place).collect();
        let parts = selectors(&all, &wanted);
        let several = parts.len() > 1;
        for (selector, places) in parts {
            let entry = match (several, places.first()) {
                (true, Some((account, _))) => yaml::unique(&format!("{own}-{account}"), |name| names.contains(name)),
                _ => own.clone(),
            };
            let placed: Vec<&Placed<'_>> = placed.iter().filter(|one| places.contains(&one.place)).collect();
            let hint = image(&group);
            let selector = selector.as_deref();
            let written = ServiceEntry { name: &entry, cluster, service, selector, hint };
            text.push_str(&written.text(&placed, &files));
            names.insert(entry);
        }
    }
    let first = accounts.values().next().map(|account| yaml::literal(&account.name)).unwrap_or_default();
    let rollout = ROLLOUT.replace("FIRST", &first);
    // With one account there is nothing to divide yet.
    text.push_str(&match accounts.len() {
        0 | 1 => rollout.lines().map(|line| format!("{}\n", format!("# {line}").trim_end())).collect(),
        _ => rollout,
    });
    files[0].text = text;
    Ok(files)
}

/// What to put the accounts in order with; `FIRST` is the first one's name.
const ROLLOUT: &str = "
# Without this every target starts at once. In waves, one target fails before many do. Choose the first account yourself:
rollout:
  timeout: 20m                        # for each target
  waves:
    - name: canary
      select: { account: FIRST }
      bake: 5m                        # stay healthy for so long before the next wave
    - name: rest
      max_parallel: [1, 25%]
      max_failures: 1                 # the second failure stops the rollout
";

fn head(found: &[Found], accounts: usize, services: usize) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    format!(
        "# yaml-language-server: $schema=deploy.schema.json
#
# Imported by `roleout init`: {} of {} in {}. As it stands, a plan changes nothing.
#
# The first line gives an editor completion, once `roleout schema > deploy.schema.json` has written the schema. Names of
# accounts and services are yours to change; ids, clusters and what `service:` says are AWS's.
version: 1
",
        count(found.len(), "target"),
        count(services, "service"),
        count(accounts, "account"),
    )
}

fn identity_text(identity: &IdentitySource, region: &str) -> String {
    let source = match identity {
        IdentitySource::TokenEnv(name) => {
            format!("  token_env: {}  # the name of the job's `id_tokens` variable\n", yaml::literal(name))
        }
        IdentitySource::TokenFile(path) => format!("  token_file: {}\n", yaml::literal(&path.display().to_string())),
        IdentitySource::Ambient => {
            "  ambient: true  # the SDK's own credentials; in a GitLab job: token_env: GITLAB_OIDC_TOKEN\n".to_owned()
        }
    };
    format!("\nidentity:\n{source}  region: {}  # whose STS endpoint is used\n", yaml::literal(region))
}

fn accounts(found: &[Found]) -> Result<IndexMap<&AccountId, Account<'_>>, String> {
    let mut accounts: IndexMap<&AccountId, Account<'_>> = IndexMap::new();
    for one in found {
        let name = format!("account-{}", one.account);
        let account = accounts.entry(&one.account).or_insert(Account { name, chain: &one.chain, regions: Vec::new() });
        if *account.chain != one.chain {
            return Err(format!(
                "account {} is reached in two ways; give all of its services the same roles",
                one.account
            ));
        }
        if !account.regions.contains(&one.region.as_str()) {
            account.regions.push(&one.region);
        }
    }
    Ok(accounts)
}

/// Writes the roles and the accounts.
fn accounts_text(accounts: &IndexMap<&AccountId, Account<'_>>) -> String {
    let mut users: BTreeMap<&str, usize> = BTreeMap::new();
    for account in accounts.values() {
        for hop in &account.chain.hops {
            *users.entry(hop.arn.as_str()).or_default() += 1;
        }
    }
    // The role of every account's own is one role of the manifest; a hub that several accounts go through is itself.
    let mut roles: IndexMap<(String, Option<&str>), String> = IndexMap::new();
    let mut lines = String::new();
    for (id, account) in accounts {
        let mut chain = Vec::new();
        for hop in &account.chain.hops {
            let own = hop.arn.account() == *id && users.get(hop.arn.as_str()).is_none_or(|users| *users < 2);
            let role = (arn(&hop.arn, own), hop.external_id.as_deref());
            let taken: Vec<String> = roles.values().cloned().collect();
            let key = || yaml::unique(&yaml::name(hop.arn.name()), |name| taken.iter().any(|taken| taken == name));
            chain.push(roles.entry(role).or_insert_with(key).clone());
        }
        lines.push_str(&format!(
            "  - name: {}\n    id: \"{id}\"\n    chain: {}\n    regions: {}\n",
            yaml::literal(&account.name),
            yaml::list(chain.iter().map(String::as_str)),
            yaml::list(account.regions.iter().copied()),
        ));
    }
    let mut text = String::new();
    if !roles.is_empty() {
        text.push_str("\nroles:\n");
        for ((arn, external_id), key) in &roles {
            let external_id = external_id.map(|id| format!(", external_id: {}", yaml::literal(id))).unwrap_or_default();
            text.push_str(&format!("  {}: {{ arn: {}{external_id} }}\n", yaml::literal(key), yaml::template(arn)));
        }
    }
    text.push_str("\n# An id is text: keep its quotes, since numbers lose their leading zeros.\naccounts:\n");
    text + &lines
}

/// Returns a role's ARN as a template.
fn arn(arn: &RoleArn, own: bool) -> String {
    let text = arn.as_str().replace("${", "$${");
    let field = format!(":{}:", arn.account());
    if own { text.replacen(&field, ":${account.id}:", 1) } else { text }
}

/// Puts the places of a service whose definitions agree together, the most first, each with its file's content.
fn classes<'a>(group: &[Member<'a>]) -> Vec<(Vec<Member<'a>>, Value)> {
    let tidied: Vec<Value> = group.iter().map(|one| tidy(&one.found.definition)).collect();
    let merged = |members: &[usize]| {
        let own = |index: &usize| {
            let found = group[*index].found;
            Own { account: found.account.as_str(), region: &found.region }
        };
        let definitions: Vec<(Own<'_>, &Value)> = members.iter().map(|index| (own(index), &tidied[*index])).collect();
        let file = agree(&definitions)?;
        // A proof rather than a hope: the file is read as a plan reads it.
        members.iter().all(|index| holds(&file, group[*index])).then_some(file)
    };
    let everyone: Vec<usize> = (0..group.len()).collect();
    let mut classes: Vec<(Vec<usize>, Value)> = match merged(&everyone) {
        Some(file) => vec![(everyone, file)],
        None => {
            let mut classes: Vec<(Vec<usize>, Value)> = Vec::new();
            for index in everyone {
                let joined = classes.iter_mut().find_map(|(members, file)| {
                    let more: Vec<usize> = members.iter().copied().chain([index]).collect();
                    *file = merged(&more)?;
                    *members = more;
                    Some(())
                });
                if joined.is_none() {
                    let alone = merged(&[index]).unwrap_or_else(|| tidied[index].clone());
                    classes.push((vec![index], alone));
                }
            }
            classes
        }
    };
    classes.sort_by_key(|(members, _)| std::cmp::Reverse(members.len()));
    classes.into_iter().map(|(members, file)| (members.into_iter().map(|index| group[index]).collect(), file)).collect()
}

/// Whether a file means, in its place, the definition that was found there.
fn holds(file: &Value, Member { found, account }: Member<'_>) -> bool {
    let vars = BTreeMap::new();
    let scope = Scope {
        account: Some((account, found.account.as_str(), &vars)),
        region: Some(&found.region),
        service: Some(&found.service),
        ..Scope::default()
    };
    let parsed = TaskDefinition::parse("", file.to_string());
    let resolved = parsed.and_then(|definition| definition.resolve(&scope));
    resolved.is_ok_and(|resolved| same(&resolved.value(), &found.definition))
}

/// Returns a path that is not taken: with the account's name, and the region, where a service has several files.
fn path(own: &str, members: &[Member<'_>], files: &[File]) -> String {
    let taken = |stem: &str| files.iter().any(|file| file.path == format!("deploy/{stem}.json"));
    let first = members.first().map(|one| (one.account, one.found.region.as_str()));
    let (account, region) = first.unwrap_or_default();
    let stems = [own.to_owned(), format!("{own}.{account}"), format!("{own}.{account}.{region}")];
    let stem = stems.iter().find(|stem| !taken(stem)).cloned();
    format!("deploy/{}.json", stem.unwrap_or_else(|| yaml::unique(own, taken)))
}

/// A service's entry in the manifest.
struct ServiceEntry<'a> {
    name: &'a str,
    cluster: &'a str,
    service: &'a str,
    selector: Option<&'a str>,
    /// The first container's image, where there is one.
    hint: Option<Image>,
}

impl ServiceEntry<'_> {
    fn text(&self, placed: &[&Placed<'_>], files: &[File]) -> String {
        let mut text =
            format!("  - name: {}\n    cluster: {}\n", yaml::literal(self.name), yaml::literal(self.cluster));
        if self.name != self.service {
            text.push_str(&format!("    service: {}\n", yaml::literal(self.service)));
        }
        if let Some(selector) = self.selector {
            text.push_str(&format!("    select: {selector}\n"));
        }
        let mut used: IndexMap<usize, Vec<Place<'_>>> = IndexMap::new();
        for one in placed {
            used.entry(one.file).or_default().push(one.place);
        }
        used.sort_by(|_, a, _, b| b.len().cmp(&a.len()));
        let all: Vec<Place<'_>> = placed.iter().map(|one| one.place).collect();
        let path = |file: usize| files.get(file).map(|file| yaml::literal(&file.path)).unwrap_or_default();
        let mut used = used.into_iter();
        if let Some((file, _)) = used.next() {
            text.push_str(&format!("    task_definition: {}\n", path(file)));
        }
        if let Some(Image { container, repository, tag }) = &self.hint {
            let (container, repository) = (yaml::literal(container), repository.replace("${", "$${"));
            text.push_str(&match tag {
                Some(tag) => {
                    let variable = variable(self.name);
                    let image = yaml::template(&format!("{repository}:${{{variable}:-{tag}}}"));
                    format!("    images: {{ {container}: {image} }}   # what the job built, or what runs now\n")
                }
                None => {
                    let image = yaml::template(&format!("{repository}:${{CI_COMMIT_SHA}}"));
                    format!("    # images: {{ {container}: {image} }}   # what the job built\n")
                }
            });
        }
        let mut overrides = String::new();
        for (file, places) in used {
            for (selector, _) in selectors(&all, &places) {
                let selector = selector.unwrap_or_else(|| "{}".to_owned());
                overrides.push_str(&format!("      - select: {selector}\n        task_definition: {}\n", path(file)));
            }
        }
        if !overrides.is_empty() {
            text.push_str(&format!("    overrides:\n{overrides}"));
        }
        text
    }
}

/// The image of a service's first container.
struct Image {
    container: String,
    repository: String,
    /// Its tag, where every place runs that image.
    tag: Option<String>,
}

/// Returns the image of the first container.
fn image(group: &[Member<'_>]) -> Option<Image> {
    let first = |one: &Member<'_>| {
        let container = one.found.definition["containerDefinitions"].get(0)?;
        Some((container["name"].as_str()?.to_owned(), container["image"].as_str()?.to_owned()))
    };
    let (container, image) = first(group.first()?)?;
    let parsed = ImageRef::parse(&image);
    let is_alike = group.iter().all(|one| first(one).is_some_and(|other| other == (container.clone(), image.clone())));
    let tag = parsed.tag.filter(|_| parsed.digest.is_none() && is_alike).map(str::to_owned);
    Some(Image { container, repository: parsed.name.to_owned(), tag })
}

/// Returns the variable of a service's tag: `API_TAG`.
fn variable(service: &str) -> String {
    let letter = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    let name: String = service.chars().map(letter).collect();
    let first = if name.starts_with(|char: char| char.is_ascii_digit()) { "_" } else { "" };
    format!("{first}{name}_TAG")
}
