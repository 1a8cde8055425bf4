//! What `roleout accounts` prints: the accounts of a manifest, and how its organization differs from the lock.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::base::json::pretty;
use crate::base::text::{clean, count, pad, width};
use crate::fleet::organization::change::{Change, Kind};
use crate::fleet::organization::lock::{Lock, Updated};
use crate::fleet::{Fleet, Listing, OrganizationSource};

/// An organization beside the lock.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// What the manifest asks.
    pub source: &'a OrganizationSource,
    /// The lock as it should be.
    pub updated: &'a Updated,
    /// How it differs from the one that there is.
    pub changes: &'a [Change],
    /// Whether the file differs at all.
    pub is_new: bool,
    /// Whether it is written.
    pub written: bool,
}

/// Returns the differences for people: a line for each.
pub fn text(comparison: &Comparison<'_>) -> String {
    let Comparison { source, updated, changes, is_new, .. } = comparison;
    let mut text = String::new();
    let widest = changes.iter().map(|change| width(&clean(&change.name))).max().unwrap_or_default().min(40);
    for Change { id, name, kind } in *changes {
        let (mark, what) = line(kind);
        text.push_str(&format!("{mark} {id}  {}  {}\n", pad(&clean(name), widest), clean(&what)));
    }
    for member in &updated.left_out {
        let name = pad(&clean(&member.name), widest);
        text.push_str(&format!("  {}  {name}  left out: it is {}\n", member.id, clean(&member.state)));
    }
    let accounts = count(updated.lock.accounts.len(), "account");
    text.push_str(&match (changes.is_empty(), is_new) {
        (true, false) => format!("{}: {accounts}, as in the organization\n", source.file),
        (true, true) => format!("{}: {accounts}; what the manifest asks changed\n", source.file),
        (false, _) => format!("{}: {accounts}, {}\n", source.file, count(changes.len(), "change")),
    });
    text
}

fn line(kind: &Kind) -> (char, String) {
    let value = |value: &Option<String>| value.as_ref().map_or("none".to_owned(), |value| format!("`{value}`"));
    match kind {
        Kind::New { ou } => ('+', format!("new, in {ou}")),
        Kind::Left => ('-', "leaves the fleet: accepted".to_owned()),
        Kind::Gone => ('!', "would leave: it is not in the organization any more".to_owned()),
        Kind::Inactive { state } => ('!', format!("would leave: it is {state}")),
        Kind::Unselected { ou } => ('!', format!("would leave: no entry selects it any more, in {ou}")),
        Kind::Returned => ('+', "is as before: it does not leave".to_owned()),
        Kind::Moved { from, to } => ('~', format!("moved from {from} to {to}")),
        Kind::Renamed { from } => ('~', format!("was `{from}`")),
        Kind::Email => ('~', "has another address".to_owned()),
        Kind::Tag { key, from, to } => ('~', format!("tag {key}: {} → {}", value(from), value(to))),
    }
}

/// Returns the differences for programs.
pub fn json(comparison: &Comparison<'_>) -> String {
    let Comparison { source, updated, changes, is_new, written } = comparison;
    let left_out = updated.left_out.iter();
    let left_out: Vec<Value> =
        left_out.map(|member| json!({ "id": member.id, "name": member.name, "state": member.state })).collect();
    let entries: Vec<Value> = changes
        .iter()
        .map(|change| {
            let mut value = serde_json::to_value(change).unwrap_or_default();
            value["leaves"] = change.kind.leaves().into();
            value
        })
        .collect();
    let value = json!({
        "version": 1,
        "lock": source.file,
        "organization": updated.lock.organization,
        "accounts": updated.lock.accounts.len(),
        "up_to_date": !is_new && changes.is_empty(),
        "written": *written && *is_new,
        "changes": entries,
        "left_out": left_out,
    });
    pretty(&value).unwrap_or_default()
}

/// How many targets each account has, by its name.
fn targets(fleet: &Fleet) -> BTreeMap<&str, usize> {
    let mut targets: BTreeMap<&str, usize> = BTreeMap::new();
    for target in &fleet.targets {
        *targets.entry(&target.account.name).or_default() += 1;
    }
    targets
}

/// Returns the accounts of a manifest for people: a row for each.
pub fn list_text(file: &Path, fleet: &Fleet) -> String {
    let targets = targets(fleet);
    let labels = |listing: &Listing| {
        let labels = listing.labels.iter().map(|(key, value)| format!("{key}={value}"));
        labels.collect::<Vec<_>>().join(",")
    };
    let cells = |listing: &Listing| {
        let number = match listing.enabled {
            true => targets.get(listing.name.as_str()).copied().unwrap_or_default().to_string(),
            false => "off".to_owned(),
        };
        let from = match &listing.ou {
            Some(ou) => format!("{} ({ou})", listing.from),
            None => listing.from.clone(),
        };
        let (regions, chain) = (listing.regions.join(","), listing.chain.join(","));
        [listing.name.clone(), listing.id.to_string(), number, regions, chain, labels(listing), from]
            .map(|cell| clean(&cell).into_owned())
    };
    let heading = ["account", "id", "targets", "regions", "chain", "labels", "from"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(heading).chain(fleet.roster.accounts.iter().map(cells)).collect();
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or_default();
    let widths: Vec<usize> = (0..7).map(widest).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    let (accounts, all) = (count(fleet.roster.accounts.len(), "account"), count(fleet.targets.len(), "target"));
    text.push_str(&format!("{}: {accounts}, {all}\n", clean(&file.display().to_string())));
    if let Some((source, lock)) = lock(fleet) {
        let changed = &lock.changed;
        text.push_str(&format!("{}: last changed on {changed}\n", clean(&source.file)));
    }
    text
}

/// Returns the accounts of a manifest for programs.
pub fn list_json(file: &Path, fleet: &Fleet) -> String {
    let targets = targets(fleet);
    let listing = |listing: &Listing| {
        json!({
            "name": listing.name,
            "id": listing.id,
            "from": listing.from,
            "ou": listing.ou,
            "chain": listing.chain,
            "regions": listing.regions,
            "labels": listing.labels,
            "enabled": listing.enabled,
            "targets": targets.get(listing.name.as_str()).copied().unwrap_or_default(),
        })
    };
    let lock = lock(fleet).map(
        |(source, lock)| json!({ "file": source.file, "organization": lock.organization, "changed": lock.changed }),
    );
    let accounts: Vec<Value> = fleet.roster.accounts.iter().map(listing).collect();
    let value = json!({ "version": 1, "file": file.display().to_string(), "accounts": accounts, "lock": lock });
    pretty(&value).unwrap_or_default()
}

/// Says which lock a fleet is from, and how old that is; `None` where it is from none.
pub fn age(fleet: &Fleet, now: Timestamp) -> Option<String> {
    let (source, lock) = lock(fleet)?;
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = lock.changed.parse::<Date>().map(|changed| changed.until(today).map_or(0, |span| span.get_days()));
    let when = match days {
        Ok(..=0) => "today".to_owned(),
        Ok(days) => format!("{} ago", count(usize::try_from(days).unwrap_or_default(), "day")),
        Err(_) => format!("on {}", lock.changed),
    };
    Some(format!(
        "the accounts of the organization are those of {}, which changed last {when}; `roleout accounts --check` compares it \
         with the organization",
        source.file
    ))
}

fn lock(fleet: &Fleet) -> Option<(&OrganizationSource, &Lock)> {
    let source = fleet.roster.organization.as_ref()?;
    Some((source, source.lock.as_ref()?))
}
