//! A request as it came in, an answer as it goes out, and AWS's errors in both protocols.
//!
//! Independent of how it travels: the in-process connector and the loopback server both end here.

use std::collections::BTreeMap;

use serde_json::json;

/// A request, whichever way it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// `POST`, `GET`.
    pub(crate) method: String,
    /// The path, undecoded.
    pub(crate) path: String,
    /// The query, undecoded, without its question mark.
    pub(crate) query: String,
    /// The headers, their names in lower case. `host` is always there.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The content type.
    pub(crate) content_type: &'static str,
    /// `x-amzn-requestid`.
    pub(crate) request_id: String,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Other headers.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// Makes an answer with a status, a content type, the request's id and a body.
    pub(crate) fn new(status: u16, content_type: &'static str, request_id: String, body: Vec<u8>) -> Self {
        Self { status, content_type, request_id, body, headers: Vec::new() }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is answered.
    Answered(Answer),
    /// It is answered, and the connection breaks in the middle of the body.
    Truncated(Answer),
    /// The connection stays open and nothing comes.
    Silent,
    /// The connection breaks.
    Reset,
}

/// An error as AWS words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsError {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The wire code.
    pub(crate) code: String,
    /// The text.
    pub(crate) message: String,
}

impl AwsError {
    /// Returns an error of HTTP status 400.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into() }
    }

    /// Returns an error of another HTTP status.
    pub(crate) fn with_status(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, ..Self::new(code, message) }
    }

    /// Whether it names a policy of the caller's side that no trust policy makes good for.
    pub(crate) fn names_barrier(&self) -> bool {
        self.message.contains("explicit deny in") || self.message.contains("no session policy")
    }

    /// Returns ECS's `ClientException`.
    pub(crate) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    /// Returns ECS's `InvalidParameterException`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// Returns the error in awsJson 1.1.
    pub(crate) fn json(&self, request_id: String) -> Answer {
        // AWS's front end says `message`, and so do ECS's own exceptions.
        let body = json!({ "__type": self.code, "message": self.message });
        Answer::new(self.status, JSON, request_id, body.to_string().into_bytes())
    }

    /// Returns the error in awsQuery, as STS writes it.
    pub(crate) fn xml(&self, request_id: String) -> Answer {
        self.xml_of(STS_NAMESPACE, request_id)
    }

    /// Returns the error in awsQuery, in a service's XML namespace.
    pub(crate) fn xml_of(&self, namespace: &str, request_id: String) -> Answer {
        let fault = if self.status >= 500 { "Receiver" } else { "Sender" };
        let body = format!(
            "<ErrorResponse xmlns=\"{namespace}\">\n  <Error>\n    <Type>{fault}</Type>\n    <Code>{}</Code>\n    \
             <Message>{}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
            escape(&self.code),
            escape(&self.message)
        );
        Answer::new(self.status, XML, request_id, body.into_bytes())
    }
}

/// The XML namespace of STS's answers.
pub(crate) const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// The XML namespace of IAM's answers.
pub(crate) const IAM_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// The XML namespace of CloudFormation's answers.
pub(crate) const CLOUDFORMATION_NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
/// The namespace of Elastic Load Balancing.
pub(crate) const ELB_NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";
/// The content type of awsJson 1.1.
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
/// The content type of awsQuery's answers.
pub(crate) const XML: &str = "text/xml";

/// Returns an awsJson answer.
pub(crate) fn json_answer(text: String, request_id: String) -> Answer {
    Answer::new(200, JSON, request_id, text.into_bytes())
}

/// Escapes text for XML, which has no place for control characters.
pub(crate) fn escape(text: &str) -> String {
    let is_xml = |char: char| !char.is_control() || matches!(char, '\t' | '\n' | '\r');
    let text: String = text.chars().map(|char| if is_xml(char) { char } else { '\u{fffd}' }).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
