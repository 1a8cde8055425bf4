//! A plan as a note on a merge request: the totals, what is shipped and the waves first, then each group behind a heading
//! that opens. What is blocked is open.
//!
//! Names and values of others stand in code, where GitLab neither formats nor links nor notifies; all other text of others
//! is [`escaped`].

use crate::base::markdown::{code, escaped};
use crate::base::text::{clean, count};
use crate::plan::preview::{Group, Kind, Preview, Target};
use crate::plan::ships::{SHIPS, lines};
use crate::view::plan::{
    HEADS, RIGHT, by_name, members, policies, revisions, same, signed, spread, table, time, verdict, warning, word,
};

/// The most characters that GitLab takes in a note is 1,000,000; the rest is for the line that says what is left out,
/// and for what a pipeline puts around it.
const LIMIT: usize = 990_000;
/// How many accounts a group names before it counts the rest.
const NAMED: usize = 100;

/// Returns the plan as Markdown that GitLab takes as one note.
pub fn text(preview: &Preview) -> String {
    limited(preview, LIMIT)
}

fn limited(preview: &Preview, limit: usize) -> String {
    let mut text = format!("### roleout plan: {}\n\n{}", verdict(preview), ships(preview));
    if preview.pending() > 0 {
        if let Some(warning) = preview.time_estimate.as_ref().and_then(warning) {
            text.push_str(&format!("> :warning: {}\n\n", escaped(&warning)));
        }
        text.push_str(&waves(preview));
    }
    for note in &preview.notes {
        text.push_str(&format!("> note: {}\n\n", escaped(note)));
    }
    let targets = by_name(preview);
    for (number, group) in preview.groups.iter().enumerate() {
        let section = section(group, &members(group, &targets), preview);
        // Bytes are never fewer than characters.
        if text.len() + section.len() > limit {
            let left = &preview.groups[number..];
            let targets = left.iter().map(|group| group.targets.len()).sum();
            text.push_str(&format!(
                "**Truncated:** {} with {} do not fit a note of GitLab's and are left out here; the job's log and \
                 `roleout plan --format json` have them.\n",
                count(left.len(), "group"),
                count(targets, "target")
            ));
            return text;
        }
        text.push_str(&section);
    }
    text
}

/// Returns what a deploy of the plan ships.
fn ships(preview: &Preview) -> String {
    let all = lines(&preview.ships);
    let line = |(what, targets): &(String, usize)| format!("- {}, {}\n", code(what), count(*targets, "target"));
    let mut text: String = all.iter().take(SHIPS).map(line).collect();
    if all.len() > SHIPS {
        text.push_str(&format!("- and {} more images\n", all.len() - SHIPS));
    }
    text + if all.is_empty() { "" } else { "\n" }
}

fn waves(preview: &Preview) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(HEADS.map(|(about, what)| format!("{about} {what}").trim_start().to_owned()).to_vec());
    text.push_str(&row(RIGHT.map(|right| if right { "---:" } else { "---" }.to_owned()).to_vec()));
    for cells in table(preview) {
        let mut row_cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        row_cells[0] = code(&cells[0]);
        text.push_str(&row(row_cells));
    }
    let worst = count(preview.worst_case_failures, "target");
    text.push_str(&format!("\nUp to {worst} can fail before this halts."));
    for line in policies(preview) {
        text.push_str(&format!(" {}.", escaped(&capital(&line))));
    }
    if let Some(estimate) = &preview.time_estimate {
        text.push_str(&format!(" In time: {}.", escaped(&time(estimate))));
    }
    for wave in preview.waves.iter().map(|wave| &wave.outline).filter(|wave| wave.gate && wave.targets > 0) {
        text.push_str(&format!(" The run stops at a gate before wave {}.", code(&wave.name)));
    }
    text + "\n\n"
}

fn section(group: &Group, members: &[&Target], preview: &Preview) -> String {
    let heading = match members {
        [only] => format!("{} {}", word(group.action), code(&only.target)),
        members => format!("{}{}", word(group.action), same(group, members, preview)),
    };
    let revisions = match revisions(members) {
        words if words.is_empty() => words,
        words => format!(" {}", code(&words)),
    };
    let open = if group.action == Kind::Blocked { " open" } else { "" };
    let mut text = format!("<details{open}><summary>{heading}{revisions}</summary>\n\n");
    if members.len() > 1 {
        for place in spread(members, preview) {
            let more = place.accounts.len().saturating_sub(NAMED);
            let mut names: Vec<String> = place.accounts.iter().take(NAMED).map(|name| code(name)).collect();
            if more > 0 {
                names.push(format!("and {more} more"));
            }
            text.push_str(&format!("- {}: {}{}\n", code(&place.services), place.all, names.join(", ")));
        }
        text.push('\n');
    }
    for note in &group.notes {
        text.push_str(&format!("{}\n\n", escaped(note)));
    }
    // Every line of a block begins with a sign or a word of ours, so none can end it.
    if group.action == Kind::Blocked {
        let reason = group.reason.as_deref().unwrap_or_default();
        text.push_str(&format!("```text\nblocked: {}\n", clean(reason)));
        if let Some(help) = &group.help {
            text.push_str(&format!("help: {}\n", clean(help)));
        }
        text.push_str("```\n\n");
    } else if !group.diff.is_empty() {
        text.push_str("```diff\n");
        let mut place = "";
        for line in &group.diff {
            if line.place != place {
                place = &line.place;
                text.push_str(&format!("@@ {} @@\n", clean(place)));
            }
            signed(line, '!').iter().for_each(|(_, line)| text.push_str(&format!("{line}\n")));
        }
        text.push_str("```\n\n");
    }
    text + "</details>\n\n"
}

/// Returns a line as a sentence begins.
fn capital(line: &str) -> String {
    let mut chars = line.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_mentioned_and_nothing_is_linked_by_a_text_of_others() {
        for (text, wanted) in [
            ("@mygroup/security", r"\@mygroup/security"),
            ("!17 #1 ~bug %9 $3 &1", r"\!17 \#1 \~bug \%9 \$3 \&amp;1"),
            ("www.evil.example WWW.x", r"www\.evil.example WWW\.x"),
            ("https://evil.example", r"https\://evil.example"),
            ("[x](y) <b> a|b *d* _e_", r"\[x\](y) &lt;b&gt; a\|b \*d\* \_e\_"),
            ("raise `timeout:` or `a b`", "raise `timeout:` or `a b`"),
            ("`@all` <b> `<b>` `", r"`@all` &lt;b&gt; `<b>` \`"),
            ("``a`` ```sh `a|b` `` `", r"\`\`a\`\` \`\`\`sh \`a\|b\` \`\` \`"),
            ("`` `@all` `", r"\`\` `@all` \`"),
            (r"\@all", r"\\\@all"),
            ("/approve a/b", r"\/approve a/b"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(escaped(text), wanted, "{text}");
        }
        assert_eq!(code("a|`b`</code>@all"), "<code>a&#124;&#96;b&#96;&lt;/code&gt;&#64;all</code>");
        assert_eq!(code("https://www.x"), "<code>https&#58;//www&#46;x</code>");
        assert_eq!(code("r/api:1"), "<code>r/api:1</code>");
    }
}
