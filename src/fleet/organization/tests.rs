//! The lock through changes of its organization.

use std::collections::BTreeSet;

use super::change::{Kind, changes};
use super::criteria::Criteria;
use super::lock::{Leaves, Lock, Updated};
use super::{Facts, Member, Organization, Question};

fn member(id: &str, name: &str, unit: &str, tags: &[(&str, &str)]) -> Member {
    Member {
        id: id.parse().expect("an id"),
        name: name.to_owned(),
        email: Some(format!("{id}@example.com")),
        unit: unit.to_owned(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        state: "ACTIVE".to_owned(),
    }
}

fn organization() -> Organization {
    let units = [
        ("/", "r-ab12"),
        ("work", "ou-ab12-11111111"),
        ("work/prod", "ou-ab12-22222222"),
        ("play", "ou-ab12-33333333"),
    ];
    Organization {
        id: "o-a1b2c3d4e5".to_owned(),
        units: units.map(|(path, id)| (path.to_owned(), id.to_owned())).into(),
        members: vec![
            member("222222222222", "Shop", "work/prod", &[("env", "prod"), ("owner", "Jane Doe")]),
            member("111111111111", "Pay \"all\"", "work/prod", &[("env", "prod")]),
            member("333333333333", "toys", "play", &[]),
        ],
    }
}

fn question() -> Question {
    let work = Criteria { units: vec!["work".to_owned()], ..Criteria::default() };
    Question::new([work], Facts { email: false, tags: ["env".to_owned()].into() })
}

fn update(old: Option<&Lock>, organization: &Organization, accepted: &[&str], today: &str) -> Updated {
    let accepted: BTreeSet<_> = accepted.iter().map(|id| id.parse().expect("an id")).collect();
    Lock::update(old, organization, &question(), &accepted, today)
}

fn kinds(old: &Lock, new: &Lock) -> Vec<(String, Kind)> {
    changes(Some(old), new).into_iter().map(|change| (change.id.to_string(), change.kind)).collect()
}

#[test]
fn the_lock_is_the_same_in_whatever_order_the_organization_answers_and_has_no_more_than_is_asked() {
    let first = update(None, &organization(), &[], "2026-11-30").lock;
    let mut shuffled = organization();
    shuffled.members.reverse();
    let again = update(Some(&first), &shuffled, &[], "2026-12-24").lock;
    assert_eq!(first.text(), again.text(), "not even the date");
    insta::assert_snapshot!(first.text(), @r##"
    # The accounts that the manifest takes from AWS Organizations. `roleout accounts --update` writes this file: review
    # it like code, and do not edit it.
    version: 1
    changed: "2026-11-30"
    organization: "o-a1b2c3d4e5"
    entries:
      - { ou: ["work"] }
    facts: { email: false, tags: ["env"] }
    units:
      - { id: "r-ab12", path: "/" }
      - { id: "ou-ab12-11111111", path: "work" }
      - { id: "ou-ab12-22222222", path: "work/prod" }
    accounts:
      - { id: "111111111111", name: "Pay \"all\"", ou: "work/prod", tags: { "env": "prod" } }
      - { id: "222222222222", name: "Shop", ou: "work/prod", tags: { "env": "prod" } }
    "##);
}

#[test]
fn an_account_leaves_only_where_somebody_accepts_it() {
    let old = update(None, &organization(), &[], "2026-11-30").lock;
    let mut now = organization();
    now.members.remove(1);
    now.members[0].state = "SUSPENDED".to_owned();
    let kept = update(Some(&old), &now, &[], "2026-12-01");
    let leaving: Vec<(&str, &Leaves)> =
        kept.lock.leaving().map(|(member, leaves)| (member.id.as_str(), leaves)).collect();
    assert_eq!(leaving, [("111111111111", &Leaves::Gone), ("222222222222", &Leaves::State("SUSPENDED".to_owned()))]);
    assert_eq!(kept.lock.changed, "2026-12-01");
    assert!(kept.lock.text().contains("tags: { \"env\": \"prod\" }, leaves: \"SUSPENDED\" }"), "{}", kept.lock.text());
    let gone = update(Some(&kept.lock), &now, &["111111111111", "333333333333"], "2026-12-02");
    assert_eq!(gone.lock.accounts.len(), 1);
    assert_eq!(gone.not_leaving.len(), 1, "333333333333 was never in the lock");
    assert_eq!(
        kinds(&kept.lock, &gone.lock),
        [
            ("111111111111".to_owned(), Kind::Left),
            ("222222222222".to_owned(), Kind::Inactive { state: "SUSPENDED".to_owned() })
        ]
    );
    let back = update(Some(&gone.lock), &organization(), &[], "2026-12-03");
    assert_eq!(
        kinds(&gone.lock, &back.lock),
        [
            ("111111111111".to_owned(), Kind::New { ou: "work/prod".to_owned() }),
            ("222222222222".to_owned(), Kind::Returned)
        ]
    );
}

#[test]
fn a_new_account_that_cannot_be_used_is_left_out() {
    let mut now = organization();
    now.members[0].state = "PENDING_ACTIVATION".to_owned();
    let updated = update(None, &now, &[], "2026-11-30");
    assert_eq!(updated.left_out.len(), 1);
    assert_eq!(updated.lock.accounts.len(), 1);
}

#[test]
fn each_change_of_a_fact_is_one_of_the_account() {
    let old = update(None, &organization(), &[], "2026-11-30").lock;
    let mut now = organization();
    now.members[0].unit = "work".to_owned();
    now.members[0].name = "Shop EU".to_owned();
    now.members[0].tags.insert("env".to_owned(), "test".to_owned());
    now.members[0].tags.insert("owner".to_owned(), "nobody".to_owned());
    now.members[1].unit = "play".to_owned();
    now.members[1].tags.clear();
    let new = update(Some(&old), &now, &[], "2026-12-01").lock;
    let tag = |from: Option<&str>, to: Option<&str>| Kind::Tag {
        key: "env".to_owned(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    };
    let moved = |to: &str| Kind::Moved { from: "work/prod".to_owned(), to: to.to_owned() };
    let (one, two) = ("111111111111".to_owned(), "222222222222".to_owned());
    assert_eq!(
        kinds(&old, &new),
        [
            (one.clone(), Kind::Unselected { ou: "play".to_owned() }),
            (one.clone(), moved("play")),
            (one, tag(Some("prod"), None)),
            (two.clone(), moved("work")),
            (two.clone(), Kind::Renamed { from: "Shop".to_owned() }),
            (two, tag(Some("prod"), Some("test"))),
        ]
    );
}
