//! The parts of an ARN.

/// Returns an ARN's region, account and resource; `None` where it is no ARN of that service.
pub fn parts<'a>(text: &'a str, service: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut parts = text.splitn(6, ':');
    let (arn, _partition, own) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && own == service).then_some((region, account, resource))
}

/// Returns the name at the end of an ARN; a name is its own.
pub fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
