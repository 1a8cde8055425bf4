//! Whatever an organization is, what is written down of it is read as it was, no account leaves it in silence, and no damage to
//! it makes the reader panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::fleet::AccountId;
use crate::fleet::organization::criteria::Criteria;
use crate::fleet::organization::lock::{Leaves, Lock};
use crate::fleet::organization::{ACTIVE, Facts, Member, Organization, Question, with_ancestors};
use crate::manifest::fault::{Context, Source};
use crate::manifest::lock::read;

/// Units of organizations; the last has a name that YAML and a path must escape.
const UNITS: [&str; 5] = ["/", "work", "work/prod", "play", "play/ä \"b\\: {%2F}"];
/// Keys of tags, some of which YAML would take for something else.
const TAGS: [&str; 6] = ["env", "cost:center/x", "<<", "true", "~", "- a"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        any::<String>(),
        "[\\x00-\\x7f]{0,12}",
        select(&["1.10", "0x1F", "no", "''", "# x", "[]"][..]).prop_map(str::to_owned)
    ]
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(select(&TAGS[..]).prop_map(str::to_owned), text(), 0..4)
}

fn id() -> impl Strategy<Value = AccountId> {
    // Few enough that two organizations have some in common.
    (0_u8..9).prop_map(|digit| digit.to_string().repeat(12).parse().expect("an id"))
}

fn member() -> impl Strategy<Value = Member> {
    let state = prop_oneof![4 => Just(ACTIVE), 1 => Just("SUSPENDED"), 1 => Just("PENDING_CLOSURE")];
    (id(), text(), option::of(text()), select(&UNITS[..]), tags(), state).prop_map(
        |(id, name, email, unit, tags, state)| Member {
            id,
            name,
            email,
            unit: unit.to_owned(),
            tags,
            state: state.to_owned(),
        },
    )
}

fn organization() -> impl Strategy<Value = Organization> {
    vec(member(), 0..8).prop_map(|members| Organization {
        id: "o-a1b2c3d4e5".to_owned(),
        units: UNITS
            .iter()
            .enumerate()
            .map(|(number, path)| ((*path).to_owned(), format!("ou-ab12-{number}")))
            .collect(),
        members: members
            .into_iter()
            .map(|one| (one.id.clone(), one))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect(),
    })
}

fn criteria() -> impl Strategy<Value = Criteria> {
    let units = vec(select(&["**", "work", "work/*", "play/**", "/", "r-ab12"][..]).prop_map(str::to_owned), 0..2);
    let tags = btree_map(select(&TAGS[..]).prop_map(str::to_owned), vec(text(), 1..3), 0..2);
    let plain = (units, tags, vec(text(), 0..2)).prop_map(|(units, tags, names)| Criteria {
        units,
        tags,
        names,
        ..Criteria::default()
    });
    let plain = prop_oneof![1 => Just(Criteria::default()), 3 => plain];
    (plain.clone(), vec(plain, 0..2)).prop_map(|(criteria, exclude)| Criteria { exclude, ..criteria })
}

fn question() -> impl Strategy<Value = Question> {
    let asked = btree_set(select(&TAGS[..]).prop_map(str::to_owned), 0..4);
    (vec(criteria(), 1..4), any::<bool>(), asked)
        .prop_map(|(entries, email, tags)| Question::new(entries, Facts { email, tags }))
}

/// Reads a lock, or tells what is wrong with it.
pub(super) fn read_text(text: &str) -> Result<Lock, String> {
    let context = Context::new(Arc::new(Source::new("deploy.accounts.lock.yaml", text.to_owned())));
    let read = read(text, 0, &context);
    match context.into_error() {
        Some(error) => Err(error.to_string()),
        None => Ok(read.expect("no fault").lock),
    }
}

/// The lock of two organizations, one after the other: what one of them has alone would leave.
fn lock() -> impl Strategy<Value = Lock> {
    (organization(), question(), organization(), question()).prop_map(|(first, asked, second, asked_then)| {
        let old = Lock::update(None, &first, &asked, &BTreeSet::new(), "2026-11-30").lock;
        Lock::update(Some(&old), &second, &asked_then, &BTreeSet::new(), "2026-12-01").lock
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(lock in lock()) {
        prop_assert_eq!(read_text(&lock.text()), Ok(lock));
    }

    #[test]
    fn no_account_leaves_that_is_not_accepted(
        old in lock(), organization in organization(), asked in question(), accepted in btree_set(id(), 0..4),
    ) {
        let updated = Lock::update(Some(&old), &organization, &asked, &accepted, "2026-12-02");
        let new = &updated.lock;
        for id in old.accounts.keys().filter(|id| !new.accounts.contains_key(*id)) {
            prop_assert!(accepted.contains(id), "{id} left");
        }
        for (id, locked) in &new.accounts {
            let now = organization.members.iter().find(|member| member.id == *id);
            let stays = now.is_some_and(|now| now.is_active() && asked.selects(now, &organization.units));
            prop_assert_eq!(locked.leaves.is_none(), stays, "{}: {:?}", id, locked.leaves);
            prop_assert!(stays || old.accounts.contains_key(id), "{id} came, and would leave");
            prop_assert_eq!(matches!(locked.leaves, Some(Leaves::Gone)), now.is_none());
            prop_assert_eq!(&asked.facts.keep_asked(&locked.member), &locked.member, "no more than is asked");
            for path in with_ancestors(&locked.member.unit) {
                prop_assert!(new.units.contains_key(path), "{path}");
            }
        }
        for member in organization.members.iter().filter(|member| asked.selects(member, &organization.units)) {
            let is_left_out = updated.left_out.iter().any(|one| one.id == member.id);
            let is_in = new.accounts.contains_key(&member.id);
            prop_assert!(is_in || !member.is_active() && (is_left_out || accepted.contains(&member.id)), "{}", member.id);
        }
    }

    #[test]
    fn an_update_of_what_was_just_written_changes_no_byte(
        old in lock(), organization in organization(), asked in question(), accepted in btree_set(id(), 0..4), turn in any::<Index>(),
    ) {
        let first = Lock::update(Some(&old), &organization, &asked, &accepted, "2026-12-02").lock;
        let mut shuffled = organization;
        let middle = turn.index(shuffled.members.len() + 1);
        shuffled.members.rotate_left(middle);
        let read = read_text(&first.text());
        let again = Lock::update(read.as_ref().ok(), &shuffled, &asked, &BTreeSet::new(), "2026-12-24").lock;
        prop_assert_eq!(first.text(), again.text());
    }

    #[test]
    fn no_damage_makes_the_reader_panic(lock in lock(), at in any::<Index>(), length in 0..40_usize, put in "[-{}\\[\\],:\"#&*! \n\t0-9a-z]{0,6}|\\PC?") {
        let text: Vec<char> = lock.text().chars().collect();
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        let damaged: String = text[..start].iter().chain(&put.chars().collect::<Vec<_>>()).chain(&text[end..]).copied().collect();
        if let Err(told) = read_text(&damaged) {
            prop_assert!(told.contains("deploy.accounts.lock.yaml:"), "{told}");
        }
    }
}
