//! The links between pages lead somewhere, and every page is in the table of contents.

use crate::{pages, repository};

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs_err::read_to_string(repository(&page)).unwrap();
        let directory = repository(&page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { repository(&page) } else { directory.join(file) };
            if !target.exists() {
                broken.push(format!("{page}: {link}: no such file"));
            } else if !anchor.is_empty()
                && !anchors(&fs_err::read_to_string(&target).unwrap()).contains(&anchor.to_owned())
            {
                broken.push(format!("{page}: {link}: no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = fs_err::read_to_string(repository("docs/README.md")).unwrap();
    let missing: Vec<String> = pages()
        .into_iter()
        .filter_map(|page| page.strip_prefix("docs/").map(ToOwned::to_owned))
        .filter(|page| page != "README.md" && !contents.contains(&format!("({page})")))
        .collect();
    assert!(missing.is_empty(), "docs/README.md does not name {missing:?}");
}

/// The anchors that headings get, as GitLab and GitHub make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
        })
        .collect()
}
