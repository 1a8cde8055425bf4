//! Which images run where, as people read it.

use crate::base::text::{self, clean, count};
use crate::fleet::image_ref::ImageRef;
use crate::narrate::outcome::Tone;
use crate::status::images::{RunningImage, RunningImages};
use crate::view::style::Paint;

/// How many targets of an image are named before the rest is counted.
const NAMED: usize = 40;
/// How many digits of a digest are shown.
const DIGEST: usize = 12;

/// Returns what runs where as text of at most so many columns where words allow.
pub fn text(running: &RunningImages, paint: Paint, columns: usize) -> String {
    let mut page = String::new();
    let mut line = |tone: Tone, text: &str| {
        page.push_str(&paint.paint(tone, text));
        page.push('\n');
    };
    for container in &running.containers {
        let (tone, words) = match container.same {
            true => (Tone::Strong, "the same everywhere"),
            false => (Tone::Warn, "not the same everywhere"),
        };
        line(tone, &clean(&format!("{}/{}: {words}", container.service, container.container)));
        for image in &container.images {
            line(Tone::Plain, &format!("  {}  {}", clean(&version(image)), count(image.targets.len(), "target")));
            let names: Vec<String> = image.targets.iter().map(|it| format!("{}/{}", it.account, it.region)).collect();
            text::list(names.iter().map(String::as_str), NAMED, 6, columns)
                .iter()
                .for_each(|names| line(Tone::Dim, names));
        }
    }
    let differ = running.containers.iter().filter(|container| !container.same).count();
    let unread = match running.unread.len() {
        0 => String::new(),
        number => format!("; {} not read", count(number, "target")),
    };
    let all = count(running.containers.len(), "container");
    line(
        Tone::Strong,
        &format!("{all}: {} the same everywhere, {differ} not{unread}", running.containers.len() - differ),
    );
    page
}

/// `${account.id}.dkr.ecr.${region}.amazonaws.com/api:2.1.0@sha256:ca71ed95a3ae`
fn version(image: &RunningImage) -> String {
    let ImageRef { name, tag, .. } = ImageRef::parse(&image.image);
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = image.digest.as_deref().map(|digest| {
        let (algorithm, digits) = digest.split_once(':').unwrap_or(("", digest));
        format!("@{algorithm}:{}", text::start(digits, DIGEST))
    });
    format!("{name}{tag}{}", digest.unwrap_or_default())
}
