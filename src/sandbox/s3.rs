//! S3: GetObject, in restXml. A bucket is in one region, its objects are texts, and its policy lets in whom the caller's own
//! policies let in.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::sandbox::Sandbox;
use crate::sandbox::account::partition;
use crate::sandbox::barrier::Barrier;
use crate::sandbox::fault::{Fault, Rule};
use crate::sandbox::moment::Moment;
use crate::sandbox::session::{Principal, Refusal, verify};
use crate::sandbox::signature::Claimed;
use crate::sandbox::wire::{Answer, AwsError, Fate, Request, XML, escape};
use crate::sandbox::world::{Mishap, World};

/// What requests to it are signed for.
const SERVICE: &str = "s3";
/// The content type of what has none of its own.
const ANYTHING: &str = "binary/octet-stream";

/// Buckets by their names.
pub(crate) type Buckets = BTreeMap<String, Bucket>;

/// A bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    region: String,
    /// Texts by their keys.
    objects: BTreeMap<String, String>,
}

impl Sandbox {
    /// Puts an object into a bucket of S3, which is made in the region where there is none of its name.
    pub fn put_object(&self, region: &str, bucket: &str, key: &str, text: &str) {
        self.world().put_object(region, bucket, key, text.to_owned());
    }

    /// Deletes an object; `false` where there is none.
    pub fn remove_object(&self, bucket: &str, key: &str) -> bool {
        let mut world = self.world();
        world.objects.get_mut(bucket).is_some_and(|bucket| bucket.objects.remove(key).is_some())
    }
}

/// Whether a request is one of S3.
pub(crate) fn is_asked(claimed: Option<&Claimed>) -> bool {
    claimed.is_some_and(|claimed| claimed.service == SERVICE)
}

impl World {
    /// Puts an object into a bucket, and makes that where there is none.
    pub(crate) fn put_object(&mut self, region: &str, bucket: &str, key: &str, text: String) {
        let made = || Bucket { region: region.to_owned(), objects: BTreeMap::new() };
        self.objects.entry(bucket.to_owned()).or_insert_with(made).objects.insert(key.to_owned(), text);
    }

    /// Returns what an object holds.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<&str> {
        self.objects.get(bucket)?.objects.get(key).map(String::as_str)
    }

    /// A request of S3.
    pub(crate) fn s3(&mut self, request: &Request, claimed: Option<&Claimed>, now: Moment) -> Fate {
        let session = claimed.and_then(|claimed| self.sessions.get(&claimed.access_key));
        let account = session.map(|session| session.principal.account.clone()).unwrap_or_default();
        let region = claimed.map(|claimed| claimed.region.clone()).unwrap_or_default();
        let (bucket, key) = locate(request);
        // The newer SDKs name the operation in the query.
        if request.method != "GET" || key.is_empty() || !["", "x-id=GetObject"].contains(&request.query.as_str()) {
            let error = AwsError::with_status(501, "NotImplemented", "the sandbox has S3's GetObject alone");
            return Fate::Answered(refused(&error, "", self.request_id()));
        }
        self.calls.record(&account, &region, "GetObject");
        let names = self.account_names(&account);
        let here = |rule: &&Rule| !rule.sts && rule.covers(&names, &region) && rule.covers_service(&[]);
        let faults: Vec<Fault> = self.rules.iter().filter(here).map(|rule| rule.fault.clone()).collect();
        let name = format!("{account}/{region}/GetObject/{}", self.calls.count(&account, &region, "GetObject"));
        match self.mishap(&faults, &name, false, "ServiceUnavailable") {
            Some(Mishap::Unanswered(fate)) => return fate,
            Some(Mishap::Refused(error)) => return Fate::Answered(refused(&error, "", self.request_id())),
            None => {}
        }
        let denied = faults.iter().find_map(|fault| fault.denies("s3:GetObject"));
        let caller = verify(session, request, claimed, now);
        let caller =
            caller.and_then(|caller| if self.is_off(&account, &region) { Err(Refusal::Unknown) } else { Ok(caller) });
        let id = self.request_id();
        let answer =
            caller.map_err(unverified).and_then(|caller| self.read_object((&bucket, &key), &region, &caller, denied));
        let answer = match answer {
            Ok(text) => Answer::new(200, ANYTHING, id, text.into_bytes()),
            Err(error) if error.code == "PermanentRedirect" => {
                let own = self.objects.get(&bucket).map(|bucket| bucket.region.clone()).unwrap_or_default();
                let more = format!("<Endpoint>{bucket}.s3.{own}.amazonaws.com</Endpoint>");
                Answer { headers: vec![("x-amz-bucket-region", own)], ..refused(&error, &more, id) }
            }
            Err(error) => refused(&error, "", id),
        };
        self.send(answer, &faults, (&name, now), None)
    }

    fn read_object(
        &self,
        (bucket, key): (&str, &str),
        region: &str,
        caller: &Principal,
        denied: Option<Barrier>,
    ) -> Result<String, AwsError> {
        let there = self.objects.get(bucket);
        let there =
            there.ok_or_else(|| AwsError::with_status(404, "NoSuchBucket", "The specified bucket does not exist"))?;
        if there.region != region {
            let text = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all \
                        future requests to this endpoint.";
            return Err(AwsError::with_status(301, "PermanentRedirect", text));
        }
        let arn = format!("arn:{}:s3:::{bucket}", partition(region));
        let permit = |action: &str, resource: &str, denied| {
            // S3 quotes the resource.
            self.permit(caller, action, resource, denied).map_err(|error| {
                let message = error.message.replace(resource, &format!("\"{resource}\""));
                AwsError { message, ..error }
            })
        };
        permit("s3:GetObject", &format!("{arn}/{key}"), denied)?;
        match there.objects.get(key) {
            Some(text) => Ok(text.clone()),
            // Whether something is not there is told to those who may list.
            None => permit("s3:ListBucket", &arn, None).and(Err(AwsError::with_status(
                404,
                "NoSuchKey",
                "The specified key does not exist.",
            ))),
        }
    }
}

/// Returns the bucket and the key that a request is for: the bucket is the host's first label, or begins the path.
fn locate(request: &Request) -> (String, String) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    let host = request.header("host").unwrap_or_default();
    match host.split_once(".s3.") {
        Some((bucket, _)) => (bucket.to_owned(), decoded(path)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decoded(bucket), decoded(key))
        }
    }
}

/// Returns S3's words for credentials that it does not take.
fn unverified(refusal: Refusal) -> AwsError {
    match refusal {
        Refusal::Missing => AwsError::with_status(403, "AccessDenied", "Access Denied"),
        Refusal::Unknown => AwsError::new("InvalidToken", "The provided token is malformed or otherwise invalid."),
        Refusal::Expired => AwsError::new("ExpiredToken", "The provided token has expired."),
        Refusal::Signature(_) => AwsError::with_status(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        ),
    }
}

/// Returns an error as S3 writes it: without the element that other services put around it.
fn refused(error: &AwsError, more: &str, id: String) -> Answer {
    let (code, message) = (escape(&error.code), escape(&error.message));
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}\
         <RequestId>{id}</RequestId></Error>"
    );
    Answer::new(error.status, XML, id, body.into_bytes())
}
