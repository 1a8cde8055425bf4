//! The table of a status: a row a target, under the name of its account, in columns that fit the page.

use std::borrow::Cow;

use crate::base::text;
use crate::base::text::clean;
use crate::fleet::Commit;
use crate::narrate::outcome::Tone;
use crate::status::{Image, Live, TargetStatus};
use crate::view::status::{Accounts, Condition, Page};

/// Columns that the mark and the condition take, with what stands before and after them.
const CONDITION: usize = 2 + 2 + 11 + 2;
/// A digest is shown by so many of its digits, as `docker images` does.
const DIGEST: usize = 12;
/// The widest a column gets, however long one name is.
const WIDEST: usize = 44;
/// `2026-11-02 09:00`
const DATE: usize = 16;
/// With less than this, ` by …` says nothing.
const SOMEBODY: usize = DATE + 10;

/// The columns; those of the commit and of who registered a revision are the ones that may be left out.
const COLUMNS: usize = 6;
const COMMIT: usize = 2;
const REGISTERED: usize = 5;

/// A row.
type Cells = [String; COLUMNS];

/// Writes the table.
pub(super) fn write(page: &mut Page, accounts: &Accounts<'_>) {
    let rows = || accounts.0.iter().flat_map(|account| &account.targets);
    let cells: Vec<Cells> = rows().map(|target| cells(target)).collect();
    if cells.is_empty() {
        return;
    }
    let mut heading = ["target", "revision", "commit", "images", "tasks", "registered (UTC)"];
    if cells.iter().all(|row| row[COMMIT].is_empty()) {
        heading[COMMIT] = "";
    }
    let mut widths = heading.map(text::width);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(text::width(cell)).min(WIDEST);
        }
    }
    fit(&mut widths, page.columns.saturating_sub(CONDITION));
    let room = page.columns.saturating_sub(CONDITION);
    let heading = line(&heading.map(Cow::Borrowed), &widths, room);
    page.line(Tone::Dim, &format!("{}{heading}", " ".repeat(CONDITION)));
    let mut cells = cells.iter();
    for account in &accounts.0 {
        page.line(Tone::Strong, &account.title());
        for (target, cells) in account.targets.iter().zip(cells.by_ref()) {
            let condition = Condition::from_status(target);
            let (mark, tone) = condition.mark();
            let word = page.paint.paint(tone, &format!("{mark} {}", text::pad(condition.word(), 11)));
            let row = line(&cells.each_ref().map(|cell| Cow::Borrowed(cell.as_str())), &widths, room);
            page.line(Tone::Plain, format!("  {word}  {row}").trim_end());
        }
    }
    page.text.push('\n');
}

/// Narrows the columns until they fit: first who registered a revision, then the images, then when and the commit, then
/// the names.
fn fit(widths: &mut [usize; COLUMNS], columns: usize) {
    let over = |widths: &[usize; COLUMNS]| {
        let shown = widths.iter().filter(|width| **width > 0).count();
        (widths.iter().sum::<usize>() + 2 * shown.saturating_sub(1)).saturating_sub(columns)
    };
    for (column, least) in [(REGISTERED, DATE), (3, 12), (REGISTERED, 0), (COMMIT, 0), (0, 16), (1, 8), (3, 0)] {
        let excess = over(widths);
        if excess > 0 {
            let narrowed = widths[column].saturating_sub(excess).max(least).min(widths[column]);
            // Half a date says nothing, and nor does half a commit.
            widths[column] = if [COMMIT, REGISTERED].contains(&column) && least == 0 { 0 } else { narrowed };
        }
    }
}

fn line(cells: &[Cow<'_, str>; COLUMNS], widths: &[usize; COLUMNS], columns: usize) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate().filter(|(_, (_, width))| **width > 0) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        // Both ends of a name tell it apart; of the rest, the beginning says most.
        let cut = match column {
            0 | 1 => text::cut_middle(cell, *width),
            REGISTERED if *width < SOMEBODY && text::width(cell) > *width => Cow::Owned(text::start(cell, DATE)),
            _ => text::cut(cell, *width),
        };
        line.push_str(&text::pad(&cut, *width));
    }
    text::cut(line.trim_end(), columns).into_owned()
}

fn cells(target: &TargetStatus) -> Cells {
    let name = format!("{}/{}", clean(&target.target.region), clean(&target.target.service));
    let Some(live) = &target.live else {
        let mut row = Cells::default();
        row[0] = name;
        return row;
    };
    let mut revision = live.revision.as_ref().map_or_else(|| live.task_definition.clone(), ToString::to_string);
    if let Some(status) = &live.revision_status {
        revision.push_str(&format!(" ({status})"));
    }
    let images: Vec<String> = live.images.iter().map(|(name, image)| format!("{name}={}", tag(image))).collect();
    let tasks = format!("{}/{}", live.running, live.desired);
    let commit = live.commit.as_ref().and_then(Commit::short_sha).unwrap_or_default();
    let words = |text: &str| clean(text).into_owned();
    [name, words(&revision), words(commit), words(&images.join(" ")), tasks, registered(live)]
}

/// Returns an image's tag and the beginning of its digest, as far as it has them.
fn tag(image: &Image) -> Cow<'_, str> {
    let short = |digest: &str| {
        let (algorithm, digits) = digest.split_once(':').unwrap_or(("", digest));
        format!("{algorithm}:{}", text::start(digits, DIGEST))
    };
    match (&image.tag, &image.digest) {
        (Some(tag), None) => Cow::Borrowed(tag),
        (Some(tag), Some(digest)) => Cow::Owned(format!("{tag}@{}", short(digest))),
        (None, Some(digest)) => Cow::Owned(short(digest)),
        // What ECS pulls where neither is given.
        (None, None) => Cow::Borrowed("latest"),
    }
}

/// `2026-11-01 07:00 by ecs-deployer/gl-42-1001-7`
fn registered(live: &Live) -> String {
    let at = live.registered_at.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
    // An ARN's last field is `assumed-role/NAME/SESSION`, `user/NAME` or `root`.
    let by = live.registered_by.as_deref().map(|arn| {
        let name = arn.splitn(6, ':').last().unwrap_or(arn);
        let name = ["assumed-role/", "user/"].iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
        clean(name).into_owned()
    });
    match (at, by) {
        (Some(at), Some(by)) => format!("{at} by {by}"),
        (Some(at), None) => at,
        (None, Some(by)) => format!("by {by}"),
        (None, None) => String::new(),
    }
}
