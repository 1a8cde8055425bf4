//! What is said of every span of a run: the pipeline and the commit.

use crate::event::Job;
use crate::trace::attributes::Attributes;

/// Returns what a job says of its pipeline and its commit.
pub fn resource(job: &Job) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.some("cicd.pipeline.run.id", job.pipeline_id.as_ref());
    attributes.some("cicd.pipeline.run.url.full", job.pipeline_url.as_ref());
    attributes.some("vcs.repository.name", job.project.as_deref().and_then(|path| path.rsplit('/').next()));
    attributes.some("vcs.repository.url.full", job.commit_url.as_deref().and_then(|url| url.split("/-/").next()));
    attributes.some("vcs.ref.head.name", job.reference.as_ref());
    attributes.some("vcs.ref.head.revision", job.commit.as_ref());
    attributes
}
