//! `include`: which files are read, in which order, and what of the file system a pattern may see.

use std::path::{Path, PathBuf};

use roleout::fleet::Base;
use roleout::manifest::load::{load, load_str};

use crate::{ids, target, variables};

const PLATFORM: &str = include_str!("include/platform.yaml");
const ROOT: &str = "version: 1\ninclude: INC\n";

/// Makes an empty directory with these files below it.
fn directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("include").join(name);
    let _ = std::fs::remove_dir_all(&directory);
    for (path, text) in files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    directory
}

fn service(name: &str) -> String {
    format!("services: [{{ name: {name}, cluster: main }}]\n")
}

fn of(directory: &Path, include: &str) -> Result<Vec<String>, String> {
    let fleet = load_str("deploy.yaml", directory, &ROOT.replace("INC", include), &variables);
    fleet.map(|fleet| ids(&fleet)).map_err(|error| error.to_string().replace(&directory.display().to_string(), "DIR"))
}

#[test]
fn files_add_to_each_other_and_name_their_own_files() {
    let text = include_str!("faults/include-no-fault.yaml");
    let fleet = load_str("deploy.yaml", Path::new("tests/manifest"), text, &variables)
        .unwrap_or_else(|error| panic!("{}", error.render(false, 100)));
    assert_eq!(
        fleet.accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(),
        ["dev", "staging", "prod"]
    );
    let of_dev: Vec<String> = ids(&fleet).into_iter().filter(|id| id.starts_with("dev/")).collect();
    assert_eq!(of_dev, ["dev/eu-west-1/jobs", "dev/eu-west-1/api", "dev/eu-west-1/web"]);
    let Base::File(definition) = &target(&fleet, "prod/eu-west-1/web").desired.task_definition else {
        panic!("a file")
    };
    assert_eq!(definition.value()["family"], "web");
    assert_eq!(target(&fleet, "prod/eu-west-1/api").desired.images["app"], "api:0123abc");
    // What a job of a child pipeline compares is the whole fleet.
    let fewer =
        text.replace("\"include/teams/*.yaml\"", "include/teams/web.yaml").replace("include/teams/api.yaml, ", "");
    let other = load_str(
        "deploy.yaml",
        Path::new("tests/manifest"),
        &fewer.replace("include/teams/api.yaml", "include/platform.yaml"),
        &variables,
    );
    assert_ne!(other.expect("no fault").fingerprint(), fleet.fingerprint());
}

#[test]
fn two_files_may_name_the_same_path_and_mean_two() {
    let definition = |family: &str| {
        format!(
            r#"{{ "family": "{family}", "containerDefinitions": [{{ "name": "app", "image": "x:1", "memory": 64 }}] }}"#
        )
    };
    let of_team = |name: &str| format!("services: [{{ name: {name}, cluster: main, task_definition: td.json }}]\n");
    let (a, b) = (definition("a"), definition("b"));
    let files = [
        ("platform.yaml", PLATFORM),
        ("a/team.yaml", &of_team("a")),
        ("a/td.json", &a),
        ("b/team.yaml", &of_team("b")),
        ("b/td.json", &b),
    ];
    let directory = directory("two", &files);
    let text = ROOT.replace("INC", "[platform.yaml, \"**/team.yaml\"]");
    let fleet = load_str("deploy.yaml", &directory, &text, &variables).unwrap_or_else(|error| panic!("{error}"));
    for name in ["a", "b"] {
        let Base::File(definition) = &target(&fleet, &format!("prod/eu-west-1/{name}")).desired.task_definition else {
            panic!("a file")
        };
        assert_eq!(definition.value()["family"], name);
    }
}

#[test]
fn patterns_see_the_folders_that_they_name_and_nothing_hidden() {
    let (a, b, c) = (service("a"), service("b"), service("c"));
    let files = [
        ("platform.yaml", PLATFORM),
        ("teams/a.yaml", &a),
        ("teams/deep/b.yaml", &b),
        ("teams/.c.yaml", &c),
        ("teams/.git/c.yaml", &c),
        ("teams/notes.md", "c"),
    ];
    let directory = directory("patterns", &files);
    let names = |include: &str| -> Vec<String> {
        let ids = of(&directory, include).unwrap_or_else(|error| panic!("{error}"));
        ids.iter().filter_map(|id| id.strip_prefix("prod/eu-west-1/")).map(str::to_owned).collect()
    };
    assert_eq!(names("[platform.yaml, teams/a.yaml]"), ["a"]);
    assert_eq!(names("[platform.yaml, \"teams/*.yaml\"]"), ["a"]);
    assert_eq!(names("[platform.yaml, \"./teams/**/*.yaml\"]"), ["a", "b"]);
    assert_eq!(names("[platform.yaml, \"teams/*/?.yaml\"]"), ["b"]);
    assert_eq!(names("[platform.yaml, \"{teams,none}/a.{yml,yaml}\"]"), ["a"]);
    assert_eq!(names("[\"*.yaml\", \"teams/*.yaml\"]"), ["a"], "the manifest itself is no file here");
}

#[test]
fn a_manifest_does_not_include_itself_and_nothing_outside_of_its_repository() {
    let (a, root) = (service("a"), ROOT.replace("INC", "\"*.yaml\""));
    let files =
        [("repo/.git/HEAD", ""), ("repo/sub/deploy.yaml", root.as_str()), ("repo/a.yaml", &a), ("out.yaml", &a)];
    let directory = directory("outside", &files);
    let base = directory.join("repo/sub");
    let told = load(&base.join("deploy.yaml"), &variables).expect_err("itself").to_string();
    assert!(told.contains("`*.yaml`: this is the manifest itself"), "{told}");
    std::fs::write(base.join("platform.yaml"), PLATFORM).expect("a file");
    assert!(of(&base, "[platform.yaml, ../a.yaml]").is_ok());
    assert!(of(&base, "[platform.yaml, \"../?.yaml\"]").is_ok());
    std::os::unix::fs::symlink("../../out.yaml", base.join("link.yaml")).expect("a link");
    for include in ["../../out.yaml", "\"../../*.yaml\"", "link.yaml", "\"l*.yaml\""] {
        let told = of(&base, &format!("[platform.yaml, {include}]")).expect_err(include);
        assert!(told.contains("outside of the manifest's directory and its repository"), "{include}: {told}");
    }
    // What is in a folder outside, nobody is told.
    let told = of(&base, "[\"../../*.yaml\"]").expect_err("outside");
    assert!(!told.contains("out.yaml"), "{told}");
    // A folder that leads back is not entered again.
    std::os::unix::fs::symlink("..", base.join("loop")).expect("a link");
    let told = of(&base, "[\"**/none.yaml\"]").expect_err("nothing");
    assert!(told.contains("no file matches"), "{told}");
}

#[test]
fn what_is_included_has_an_end() {
    let many: Vec<(String, String)> =
        (0..1001).map(|number| (format!("t/{number}.yaml"), service(&format!("s{number}")))).collect();
    let mut files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.push(("platform.yaml", PLATFORM));
    let directory = directory("many", &files);
    let told = of(&directory, "[platform.yaml, \"t/*.yaml\"]").expect_err("too many");
    assert!(told.contains("more than 1000 files or 8 MiB are included"), "{told}");
    assert_eq!(of(&directory, "[platform.yaml, \"t/1*.yaml\"]").map(|ids| ids.len()), Ok(2 * 112));
}

/// Ten thousand targets in two hundred files.
#[test]
fn a_large_fleet_of_many_files_is_read() {
    let accounts: String = (0..50)
        .map(|number| format!("  - {{ name: a{number}, id: \"{number:012}\", chain: [r], regions: [eu-west-1] }}\n"))
        .collect();
    let platform = format!("roles: {{ r: {{ arn: \"arn:aws:iam::${{account.id}}:role/r\" }} }}\naccounts:\n{accounts}");
    let teams: Vec<(String, String)> =
        (0..199).map(|number| (format!("teams/t{number}.yaml"), service(&format!("s{number}")))).collect();
    let mut files: Vec<(&str, &str)> = teams.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.push(("platform.yaml", &platform));
    let directory = directory("large", &files);
    let text = format!(
        "{}services: [{{ name: own, cluster: main }}]\n",
        ROOT.replace("INC", "[platform.yaml, \"teams/*.yaml\"]")
    );
    let fleet = load_str("deploy.yaml", &directory, &text, &variables).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fleet.targets.len(), 10_000);
}
