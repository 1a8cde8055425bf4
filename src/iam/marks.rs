//! What an organisation asks of every role, by its service control policies for example: a permissions boundary, a path and
//! tags. No policy of the manifest depends on them but by the path, which is a part of a role's ARN.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::Fleet;
use crate::fleet::role_arn::RoleArn;
use crate::iam::refusal::Refusal;
use crate::iam::{Marks, Setup};

/// IAM's most tags of a role.
const MOST_TAGS: usize = 50;

/// Gives the roles without a path this one, everywhere in the chains. Returns what the manifest has to say then.
///
/// # Errors
/// It is no path.
pub fn move_roles(fleet: &mut Fleet, path: &str) -> Result<Vec<String>, Refusal> {
    let mut moved = BTreeSet::new();
    for account in &mut fleet.accounts {
        let mut own = (**account).clone();
        for hop in own.chain.hops.iter_mut().filter(|hop| hop.arn.path() == "/") {
            hop.arn = hop.arn.with_path(path).map_err(|message| Refusal::new(message, PATH_HELP))?;
            moved.insert((hop.role.clone(), path.to_owned()));
        }
        *account = own.into();
    }
    // Of the organization's chain the last role is nobody else's.
    let chain = fleet.roster.organization.as_mut().and_then(|source| source.chain.as_mut());
    for hop in chain.into_iter().flat_map(|chain| &mut chain.hops).filter(|hop| hop.arn.path() == "/") {
        hop.arn = hop.arn.with_path(path).map_err(|message| Refusal::new(message, PATH_HELP))?;
        moved.insert((hop.role.clone(), path.to_owned()));
    }
    let note = |(role, path): (String, String)| {
        format!("the role `{role}` gets the path {path}: write it into its `arn` in the manifest, after `:role`")
    };
    Ok(moved.into_iter().map(note).collect())
}

const PATH_HELP: &str = "a path begins and ends with a slash, such as /deploy/";

/// Puts a boundary and tags on every role.
///
/// # Errors
/// The boundary is no policy, or a tag is none of IAM's.
pub fn mark(setup: &mut Setup, boundary: Option<&str>, tags: &[String]) -> Result<(), Refusal> {
    let tags = tags_of(tags)?;
    for role in setup.accounts.iter_mut().flat_map(|account| &mut account.roles) {
        let boundary = boundary.map(|text| boundary_of(text, &role.arn)).transpose()?;
        role.marks = Marks { boundary, tags: tags.clone() };
    }
    Ok(())
}

/// Returns the ARN of a policy for one role: a name is a policy of the role's own account.
fn boundary_of(text: &str, role: &RoleArn) -> Result<String, Refusal> {
    let account = role.account().as_str();
    let arn = match text.starts_with("arn:") {
        true => text.replace("${account.id}", account),
        false => format!("arn:{}:iam::{account}:policy/{}", role.partition(), text.trim_start_matches('/')),
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte));
    let own = match parts[..] {
        ["arn", partition, "iam", "", own, policy]
            if partition == role.partition()
                && policy.strip_prefix("policy/").is_some_and(|name| !name.is_empty() && word(name)) =>
        {
            own
        }
        _ => {
            let help =
                "write the name of a policy, such as `boundary`, or its ARN: arn:aws:iam::111122223333:policy/boundary";
            return Err(Refusal::new(format!("`{text}` is not a policy of IAM in the partition of {role}"), help));
        }
    };
    if own != account && own != "aws" {
        let help = "write the policy's name alone: it is then the policy of that name in each role's own account";
        return Err(Refusal::new(format!("the permissions boundary {arn} is in another account than {role}"), help));
    }
    Ok(arn)
}

fn tags_of(written: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    let help = "write KEY=VALUE: up to 128 and 256 letters, digits, spaces and _ . : / = + - @, and no key that begins with aws:";
    let mut tags = BTreeMap::new();
    for text in written {
        let allowed =
            |text: &str| text.chars().all(|char| char.is_alphanumeric() || char == ' ' || "_.:/=+-@".contains(char));
        let refused = || Refusal::new(format!("`{text}` is not a tag of IAM"), help);
        let (key, value) = text.split_once('=').ok_or_else(refused)?;
        let long = key.chars().count() > 128 || value.chars().count() > 256;
        if key.is_empty() || long || key.to_lowercase().starts_with("aws:") || !allowed(key) || !allowed(value) {
            return Err(refused());
        }
        if tags.keys().any(|known: &String| known.eq_ignore_ascii_case(key)) {
            return Err(Refusal::new(format!("the tag `{key}` is there twice"), "IAM's keys differ in more than case"));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    match tags.len() > MOST_TAGS {
        true => Err(Refusal::new(
            format!("there are {} tags, and IAM takes {MOST_TAGS} on a role", tags.len()),
            "give fewer",
        )),
        false => Ok(tags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> RoleArn {
        "arn:aws:iam::111111111111:role/r".parse().expect("an ARN")
    }

    #[test]
    fn a_boundary_is_of_the_roles_own_account_or_of_aws() {
        let of = |text: &str| boundary_of(text, &role()).map_err(|refusal| refusal.message);
        let own = Ok("arn:aws:iam::111111111111:policy/team/edge".to_owned());
        assert_eq!(of("team/edge"), own);
        assert_eq!(of("/team/edge"), own);
        assert_eq!(of("arn:aws:iam::${account.id}:policy/team/edge"), own);
        assert_eq!(
            of("arn:aws:iam::aws:policy/PowerUserAccess"),
            Ok("arn:aws:iam::aws:policy/PowerUserAccess".to_owned())
        );
        assert!(of("arn:aws:iam::222222222222:policy/edge").is_err_and(|text| text.contains("another account")));
        for text in
            ["", "arn:aws:iam::111111111111:role/r", "arn:aws-cn:iam::aws:policy/x", "a b", "arn:aws:iam::aws:policy/"]
        {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_are_iams() {
        let of = |texts: &[&str]| tags_of(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["team=a=b", "cost centre=4711", "empty="]).map(|tags| tags.len()), Ok(3));
        for text in ["team", "=x", "aws:x=y", "a=<b>"] {
            assert!(of(&[text]).is_err(), "{text}");
        }
        assert!(of(&["Team=a", "team=b"]).is_err_and(|refusal| refusal.message.contains("twice")));
    }

    #[test]
    fn a_path_is_a_part_of_the_arn() {
        let moved = role().with_path("/team/a/").expect("a path");
        assert_eq!((moved.as_str(), moved.path()), ("arn:aws:iam::111111111111:role/team/a/r", "/team/a/"));
        assert_eq!((role().path(), role().with_path("/").expect("a path")), ("/", role()));
        for path in ["", "team", "/team", "team/", "//", "/a b/"] {
            assert!(role().with_path(path).is_err(), "{path}");
        }
    }
}
