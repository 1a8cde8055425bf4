//! The fuzz targets for a moment each: their corpora as they are, and damaged. `ROLEOUT_FUZZ_CASES` makes the moment longer, and
//! `cargo fuzz` goes on where this ends (docs/proof.md).

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// What YAML, JSON, XML and policies are made of.
const WORDS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n",
    "  ",
    "- ",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\u{0}",
    "\\u0000",
    "\\ud800",
    "${CI_COMMIT_SHA}",
    "&a ",
    "*a",
    "<!--",
    "é",
    "arn:aws:iam::111111111111:role/",
];

/// One piece of damage: where, how much is cut there, which word is put in its place, and how often.
type Damage = (prop::sample::Index, usize, usize, usize);

fn damaged(seed: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (place, cut, word, times) in damage {
        let from = place.index(bytes.len() + 1);
        let to = (from + cut).min(bytes.len());
        bytes.splice(from..to, WORDS[*word].repeat(*times).into_bytes());
    }
    bytes
}

/// Returns the files of a target's corpus.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        std::fs::read_dir(directory).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut corpus: Vec<Vec<u8>> =
        files.into_iter().map(|file| std::fs::read(file).expect("a readable file")).collect();
    if name == "manifest" {
        corpus.push(include_bytes!("../deploy.yaml.example").to_vec());
    }
    corpus
}

fn survives((name, run): targets::Target) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    corpus.iter().for_each(|seed| run(seed));
    (0..=8).for_each(|status| run(&[status]));
    let damage =
        (any::<prop::sample::Index>(), 0..40_usize, 0..WORDS.len(), prop_oneof![8 => 0..3_usize, 1 => 200..2000_usize]);
    let inputs = (0..corpus.len(), prop::collection::vec(damage, 1..6));
    let cases = std::env::var("ROLEOUT_FUZZ_CASES").map_or(128, |cases| cases.parse().expect("a number of inputs"));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&inputs, |(seed, damage)| {
            run(&damaged(&corpus[seed], &damage));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

/// One test for each target; a target without one does not compile.
macro_rules! fuzzed {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                survives((stringify!($name), targets::$name));
            }
        )*

        #[test]
        fn every_target_is_fuzzed() {
            let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

fuzzed!(manifest, task_definition, saved_plan, journal, id_token, sts_answer, ecs_answer, trust_policy, certificates);
