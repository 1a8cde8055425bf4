//! A note on a merge request that is written again and not added to: it is found by a mark that nobody sees, among the notes
//! of the token's own user. Everybody can write the mark, so a note of anybody else is never taken for ours.
//!
//! The job's own token may only read notes, so this takes a token of the project's or of a person's.

use serde::Deserialize;
use serde_json::json;

use crate::gitlab::job::MergeRequest;
use crate::gitlab::{Api, CallError, REDIRECT, id_of};
use crate::web::Method;

/// The most notes that GitLab gives in one page.
const PAGE: usize = 100;
/// How the line begins that says of what a note is.
const OF: &str = "Of commit ";
/// How many pages are looked through, the oldest notes first: no merge request has so many.
const PAGES: usize = 100;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A new note was added.
    Added,
    /// The note has a new text.
    Changed,
    /// The note says that already.
    Same,
}

/// Checks the name of a note, by which it is found again.
///
/// # Errors
/// Says which characters may be in it.
pub fn name(text: &str) -> Result<String, String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "._/".contains(char);
    match (1..=60).contains(&text.len()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("a note's name is 1 to 60 letters, digits, `.`, `_` and `/`".to_owned()),
    }
}

/// Returns the text of a note: the mark, and then what is said.
fn marked(name: &str, text: &str) -> String {
    format!("{}\n{text}", mark(name))
}

fn mark(name: &str) -> String {
    format!("<!-- roleout:{name} -->")
}

/// Returns the line of a note that says of which commit it is and which job wrote it. It makes no note another one: see
/// [`write()`]. GitLab makes a link of the commit.
pub fn tag(request: &MergeRequest) -> String {
    let commit = request.commit.as_deref().unwrap_or("?");
    let job = request.job.as_ref().map_or_else(String::new, |url| format!(", [job]({url})"));
    format!("{OF}{commit}{job}")
}

/// Writes the note of that name on a merge request. Nothing is written where it says `text` already, of whichever commit.
///
/// # Errors
/// GitLab did not take it: see [`CallError`].
pub async fn write(api: &Api, iid: &str, name: &str, text: &str) -> Result<Written, CallError> {
    if let Some(written) = rewrite(api, iid, name, text).await? {
        return Ok(written);
    }
    let sent = json!({ "body": marked(name, text) });
    let answer = api.call(Method::Post, &notes(iid), Some(&sent)).await?;
    id_of(&answer).map(|_| Written::Added)
}

/// Does as [`write()`] does, and `None` where there is no such note.
///
/// # Errors
/// GitLab did not take it: see [`CallError`].
pub async fn rewrite(api: &Api, iid: &str, name: &str, text: &str) -> Result<Option<Written>, CallError> {
    let (notes, body) = (notes(iid), marked(name, text));
    let sent = json!({ "body": body });
    let Some(note) = find(api, &notes, &mark(name)).await? else { return Ok(None) };
    if same(&note.body, &body) {
        return Ok(Some(Written::Same));
    }
    match api.call(Method::Put, &format!("{notes}/{}", note.id), Some(&sent)).await {
        Ok(answer) => id_of(&answer).map(|_| Some(Written::Changed)),
        // It is gone since.
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is read of a note.
#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    id: u64,
}

fn notes(iid: &str) -> String {
    format!("/merge_requests/{iid}/notes")
}

/// Returns the oldest note of the token's own user that begins with a mark. Who that is is asked for first: without an
/// answer no note can be told to be ours.
async fn find(api: &Api, notes: &str, mark: &str) -> Result<Option<Note>, CallError> {
    let user = api.user().await?;
    let ours = |note: &Note| {
        note.body.trim_start().starts_with(mark) && note.author.as_ref().is_some_and(|author| author.id == user)
    };
    let mut page = "1".to_owned();
    for _ in 0..PAGES {
        let path =
            format!("{notes}?activity_filter=only_comments&order_by=created_at&sort=asc&per_page={PAGE}&page={page}");
        let (found, next) = api.page::<Note>(&path).await?;
        if let Some(note) = found.into_iter().find(ours) {
            return Ok(Some(note));
        }
        match next.filter(|page| page.bytes().all(|byte| byte.is_ascii_digit())) {
            Some(next) => page = next,
            None => break,
        }
    }
    Ok(None)
}

/// Whether two texts say the same, of whichever commit: GitLab may keep other ends of lines, and none at the end.
fn same(one: &str, other: &str) -> bool {
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.trim().lines().map(str::trim_end).filter(|line| !line.starts_with(OF))
    }
    lines(one).eq(lines(other))
}

/// Returns what a person is told about an error, and what to do. `variable` is the name of the token's.
pub fn explained(error: &CallError, variable: &str) -> String {
    let why = match error.status() {
        Some(300..=399) => return format!("{error}; {REDIRECT}"),
        Some(401) => "it is not accepted: has it expired?",
        Some(403) => "it needs the scope `api`, and at least the role Reporter in the project",
        Some(404) => "it does not see the merge request: is it a token of this project, with the scope `api`?",
        _ => return error.to_string(),
    };
    format!("{error}; the token in {variable}: {why}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::gitlab::PRIVATE_TOKEN;
    use crate::web::pretended::{Arrived, Fate, Server};

    const USER: &str = "https://gitlab.example.com/api/v4/user";
    const NOTES: &str = "https://gitlab.example.com/api/v4/projects/7/merge_requests/12/notes";

    fn api(server: &Server) -> Api {
        Api::new(server.web(), "https://gitlab.example.com/api/v4", "7", PRIVATE_TOKEN, "glpat-x".into())
    }

    fn note(id: u64, body: &str) -> Value {
        json!({ "id": id, "body": body, "system": false, "author": { "id": 7 } })
    }

    /// A GitLab that knows the token as the user 7, and answers all else by `answer`.
    fn server(answer: impl Fn(&Arrived, usize) -> Fate + Send + Sync + 'static) -> Server {
        Server::new(move |it, before| match it.line.ends_with("/user") {
            true => Fate::answering(200, json!({ "id": 7, "username": "project_7_bot" })),
            false => answer(it, before),
        })
    }

    /// The method and the path of what arrived.
    fn lines(server: &Server) -> Vec<String> {
        let line = |it: Arrived| {
            it.line.replace(NOTES, "NOTES").replace(USER, "USER").split('?').next().unwrap_or_default().to_owned()
        };
        server.arrived().into_iter().map(line).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_plan_is_added() {
        let server = server(|it, _| match it.line.starts_with("GET") {
            true => Fate::answering(200, json!([note(1, "looks good"), note(2, "quotes <!-- roleout:plan -->")])),
            false => Fate::answering(201, json!({ "id": 3 })),
        });
        assert_eq!(write(&api(&server), "12", "plan", "### plan\n").await, Ok(Written::Added));
        assert_eq!(lines(&server), ["GET USER", "GET NOTES", "POST NOTES"]);
        let sent = &server.arrived()[2];
        assert_eq!(sent.body, json!({ "body": "<!-- roleout:plan -->\n### plan\n" }));
        assert_eq!(sent.tokens, [("private-token".to_owned(), "glpat-x".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_takes_its_place_on_whatever_page_it_is() {
        let server = server(|it, _| match it.line.as_str() {
            line if line.ends_with("&page=1") => Fate::With(200, "x-next-page", "2", json!([note(1, "hello")])),
            line if line.ends_with("&page=2") => {
                Fate::With(200, "x-next-page", "", json!([note(8, "<!-- roleout:plan -->\r\nold  \r\n")]))
            }
            _ => Fate::answering(200, json!({ "id": 8 })),
        });
        assert_eq!(write(&api(&server), "12", "plan", "new").await, Ok(Written::Changed));
        assert_eq!(lines(&server), ["GET USER", "GET NOTES", "GET NOTES", "PUT NOTES/8"]);
        assert_eq!(write(&api(&server), "12", "plan", "old\n").await, Ok(Written::Same));
        assert_eq!(lines(&server).len(), 7, "what is the same is not written");
        assert_eq!(write(&api(&server), "12", "plan.eu", "old\n").await, Ok(Written::Added), "another name");
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_of_anybody_else_is_never_taken_for_ours() {
        let forged = |id: u64, body: &str, author: Value| {
            let mut note = note(id, body);
            note["author"] = author;
            note
        };
        let server = server(move |it, _| match it.line.split(' ').next() {
            Some("GET") => Fate::answering(
                200,
                json!([
                    forged(1, "<!-- roleout:plan -->\nmine?", json!({ "id": 8 })),
                    // The very text that is to be written, of somebody who can change it later.
                    forged(2, "<!-- roleout:plan -->\nnew", json!({ "id": 9 })),
                    forged(3, "<!-- roleout:plan -->\nnew", Value::Null),
                ]),
            ),
            _ => Fate::answering(201, json!({ "id": 5 })),
        });
        assert_eq!(write(&api(&server), "12", "plan", "new").await, Ok(Written::Added));
        assert_eq!(lines(&server), ["GET USER", "GET NOTES", "POST NOTES"]);
        assert_eq!(rewrite(&api(&server), "12", "plan", "none").await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_user_no_note_is_looked_for_or_written() {
        let server = Server::new(|it, _| match it.line.ends_with("/user") {
            true => Fate::answering(403, json!({ "message": "403 Forbidden" })),
            false => Fate::answering(200, json!([])),
        });
        let error = write(&api(&server), "12", "plan", "new").await.expect_err("a job's token has no user");
        assert_eq!((error.status(), lines(&server)), (Some(403), vec!["GET USER".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_what_the_token_lacks() {
        for (status, words) in [(401, "has it expired?"), (403, "the scope `api`"), (404, "a token of this project")] {
            let server = Server::new(move |_, _| Fate::answering(status, json!({ "message": format!("{status} No") })));
            let error = write(&api(&server), "12", "plan", "new").await.expect_err("refused");
            let said = explained(&error, "ROLEOUT_GITLAB_TOKEN");
            assert!(
                said.contains(words) && said.contains("ROLEOUT_GITLAB_TOKEN") && !said.contains("glpat"),
                "{status}: {said}"
            );
        }
        // An endless list ends.
        let server = server(|it, _| match it.line.starts_with("GET") {
            true => Fate::With(200, "x-next-page", "2", json!([])),
            false => Fate::answering(201, json!({ "id": 2 })),
        });
        assert_eq!(write(&api(&server), "12", "plan", "new").await, Ok(Written::Added));
        assert_eq!(server.arrived().len(), PAGES + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_answer_of_gitlab_s_is_an_error() {
        let broken = |method: &'static str| {
            server(move |it, _| match it.line.split(' ').next() {
                Some(it) if it == method => Fate::answering(200, Value::Null),
                Some("GET") if method == "PUT" => Fate::answering(200, json!([note(1, "<!-- roleout:plan -->\nold")])),
                _ => Fate::answering(200, json!([])),
            })
        };
        for method in ["GET", "PUT", "POST"] {
            let error = write(&api(&broken(method)), "12", "plan", "new").await.expect_err("a page to sign in");
            assert_eq!(error, CallError::Foreign(200), "{method}");
        }
        let server = Server::new(|_, _| Fate::answering(302, Value::Null));
        let error = write(&api(&server), "12", "plan", "new").await.expect_err("a redirect");
        let words = "GitLab answered HTTP 302; CI_API_V4_URL leads to a redirect: correct the external URL of the GitLab server";
        assert_eq!(explained(&error, "TOKEN"), words);
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_says_of_which_commit_it_is_and_is_the_same_of_another() {
        let request = |commit: &str, job: Option<&str>| MergeRequest {
            api: String::new(),
            project: "7".to_owned(),
            iid: "12".to_owned(),
            commit: Some(commit.to_owned()),
            job: job.map(str::to_owned),
        };
        let first = tag(&request("5f2c9d7b", Some("https://gitlab.example.com/p/-/jobs/9")));
        assert_eq!(first, "Of commit 5f2c9d7b, [job](https://gitlab.example.com/p/-/jobs/9)");
        let body = marked("plan", &format!("### plan\n\n{first}\n\ntext\n"));
        let answer = move |_: &Arrived, _| Fate::answering(200, json!([note(1, &body)]));
        let taking = server(answer);
        let again = format!("### plan\n\n{}\n\ntext", tag(&request("aaaaaaaa", None)));
        assert_eq!(write(&api(&taking), "12", "plan", &again).await, Ok(Written::Same));
        let server = server(|_, _| Fate::answering(200, json!([])));
        assert_eq!(rewrite(&api(&server), "12", "plan", "no plan").await, Ok(None));
        assert_eq!(lines(&server), ["GET USER", "GET NOTES"], "nothing is added");
    }

    #[test]
    fn a_name_cannot_end_the_mark() {
        assert_eq!(name("plan").as_deref(), Ok("plan"));
        assert_eq!(name("prod/eu.1_a").as_deref(), Ok("prod/eu.1_a"));
        for text in ["", "a b", "x--", "-->", "a\nb", &"x".repeat(61)] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
