//! The parts of an ARN.

/// Returns an ARN's region, account and resource; `None` where it is no ARN of that service.
pub(crate) fn arn<'a>(text: &'a str, service: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut parts = text.splitn(6, ':');
    let (arn, _partition, own) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && own == service).then_some((region, account, resource))
}
