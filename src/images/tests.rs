use std::path::Path;

use super::*;
use crate::manifest::load::load_str;

const OWN: &str = "${account.id}.dkr.ecr.${region}.amazonaws.com/api:2";

/// Of none of the six targets is it known what it runs on.
const EC2: [Option<Platform>; 6] = [const { None }; 6];

/// Three accounts of two regions, whose service has an image.
fn fleet(image: &str, settings: &str) -> Fleet {
    let accounts: String = (0..3)
        .map(|number| {
            format!(
                "  - {{ name: a{number}, id: \"22222222222{number}\", chain: [], regions: [eu-west-1, eu-west-2] }}\n"
            )
        })
        .collect();
    let text = format!(
        "version: 1\nidentity: {{ ambient: true, region: eu-west-1 }}\naccounts:\n{accounts}services:\n  \
         - {{ name: api, cluster: c, images: {{ app: \"{image}\" }}{settings} }}\n"
    );
    load_str("deploy.yaml", Path::new("."), &text, &|_| None).unwrap_or_else(|e| panic!("{}", e.render(false, 99)))
}

fn content(digit: char) -> Answer {
    Answer::Found(Content {
        digest: format!("sha256:{}", digit.to_string().repeat(64)),
        platforms: Vec::new(),
        configuration: None,
    })
}

fn pinned(fleet: &Fleet) -> Vec<&str> {
    fleet.targets.iter().map(|target| target.desired.images["app"].as_str()).collect()
}

#[test]
fn a_shared_image_is_asked_for_once_and_pinned_for_all() {
    let mut fleet = fleet("registry.example.com/api", ", pin: digest");
    let wanted = wanted(&fleet, |index| index != 0);
    assert_eq!(wanted.len(), 1);
    assert_eq!((wanted[0].name.as_str(), wanted[0].targets.len()), ("registry.example.com/api:latest", 5));
    settle(&mut fleet, &wanted, &[content('a')], &EC2);
    let name = format!("registry.example.com/api:latest@sha256:{}", "a".repeat(64));
    assert!(pinned(&fleet)[1..].iter().all(|image| *image == name), "{:?}", pinned(&fleet));
}

#[test]
fn nothing_is_asked_for_without_a_wish() {
    assert_eq!(wanted(&fleet(OWN, ""), |_| true), []);
    assert_eq!(wanted(&fleet(OWN, ", pin: none"), |_| true), []);
    let waiting = wanted(&fleet(OWN, ", wait_for_images: 10m"), |_| true);
    assert_eq!((waiting.len(), waiting[0].wait), (6, Duration::from_secs(600)));
}

#[test]
fn an_image_of_each_registry_must_be_the_same_in_all() {
    let mut all = fleet(OWN, ", pin: digest");
    let wanted = wanted(&all, |_| true);
    let same = vec![content('a'); 6];
    settle(&mut all, &wanted, &same, &EC2);
    assert!(all.targets.iter().all(|target| target.desired.without_images.is_none()));
    assert!(pinned(&all)[5].starts_with("222222222222.dkr.ecr.eu-west-2.amazonaws.com/api:2@sha256:aaaa"));
    let mut all = fleet(OWN, ", pin: digest");
    let missing = Answer::Missing(Finding::new("it is not there", "push it"));
    settle(&mut all, &wanted, &[same[..4].to_vec(), vec![missing, content('b')]].concat(), &EC2);
    let reasons: Vec<&str> =
        all.targets.iter().map(|it| it.desired.without_images.as_ref().expect("blocked").0.as_str()).collect();
    insta::assert_snapshot!(reasons[0], @"the image ${account.id}.dkr.ecr.${region}.amazonaws.com/api:2 is not the same everywhere: sha256:aaaaaaaaaaaa in a0/eu-west-1, a0/eu-west-2, a1/eu-west-1, a1/eu-west-2; sha256:bbbbbbbbbbbb in a2/eu-west-2; not there in a2/eu-west-1");
    assert_eq!((reasons[0], reasons[4]), (reasons[5], "it is not there"));
    assert!(pinned(&all).iter().all(|image| !image.contains('@')));
}

#[test]
fn what_is_not_known_blocks_only_what_is_to_be_pinned() {
    let unknown = [Answer::Unknown(Finding::new("nobody says", "ask"))];
    for (settings, is_blocked) in [(", pin: digest", true), (", wait_for_images: 10m", false)] {
        let mut fleet = fleet("r/api:1", settings);
        let wanted = wanted(&fleet, |_| true);
        settle(&mut fleet, &wanted, &unknown, &EC2);
        assert_eq!(fleet.targets[0].desired.without_images.is_some(), is_blocked, "{settings}");
        assert_eq!(fleet.targets[0].desired.images["app"], "r/api:1");
    }
}

#[test]
fn an_image_of_another_platform_blocks_before_anything_else_does() {
    let platform = |architecture: &str| Platform { os: "linux".to_owned(), architecture: architecture.to_owned() };
    let arm = Content { digest: "sha256:ab".to_owned(), platforms: vec![platform("arm64")], configuration: None };
    for settings in [", pin: digest", ", wait_for_images: 10m"] {
        let mut fleet = fleet("r/api:1", settings);
        let wanted = wanted(&fleet, |_| true);
        let runs: Vec<_> =
            [Some("arm64"), Some("amd64"), None, None, None, None].iter().map(|it| it.map(platform)).collect();
        settle(&mut fleet, &wanted, &[Answer::Found(arm.clone())], &runs);
        let reasons: Vec<_> = fleet.targets.iter().map(|target| target.desired.without_images.clone()).collect();
        let (reason, help) = reasons[1].clone().expect("blocked");
        assert_eq!(reason, "the image r/api:1 has only linux/arm64, and the task needs linux/amd64");
        assert_eq!(help, "build it for linux/amd64, or correct `runtimePlatform` in the task definition");
        assert!(reasons[0].is_none() && reasons[2..].iter().all(Option::is_none), "{reasons:?}");
    }
}
