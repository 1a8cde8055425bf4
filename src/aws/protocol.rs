//! How a call is written and an answer read: awsJson, awsQuery with its XML, and what S3 needs of restXml. Pure.
//!
//! All are JSON values here. XML becomes one, too: an element is an object of its children, a list if they are all called
//! `member`, or else its text.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// Deeper XML is not read. AWS's has some ten levels.
const DEEPEST: usize = 64;
/// What S3 wants encoded in a key: all but the unreserved characters and the slash.
const IN_KEYS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A protocol of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// awsJson of this version; `target` stands before each operation's name.
    Json {
        /// `1.0` or `1.1`.
        version: &'static str,
        /// The first part of `X-Amz-Target`.
        target: &'static str,
    },
    /// awsQuery: a form, answered in XML.
    Query {
        /// The version of the service's interface.
        version: &'static str,
    },
    /// restXml, as far as GetObject needs it: `Key` is the path of a GET, and the answer is what the object holds, a text. The
    /// bucket is in the endpoint.
    Object,
}

impl Protocol {
    /// Writes a request.
    ///
    /// # Errors
    /// A form takes texts, numbers and booleans only.
    pub fn request(self, operation: &str, input: &Value) -> Result<HttpRequest, BoxError> {
        let mut request = HttpRequest::new(SdkBody::empty());
        let (body, kind) = match self {
            Self::Object => {
                let key = input["Key"].as_str().ok_or("an object has a key")?;
                request.set_method("GET")?;
                request.set_uri(format!("/{}", utf8_percent_encode(key, IN_KEYS)))?;
                return Ok(request);
            }
            Self::Json { version, .. } => (input.to_string(), format!("application/x-amz-json-{version}")),
            Self::Query { version } => {
                (form(operation, version, input)?, "application/x-www-form-urlencoded".to_owned())
            }
        };
        request.set_method("POST")?;
        request.set_uri("/")?;
        let headers = request.headers_mut();
        headers.insert("content-type", kind);
        headers.insert("content-length", body.len().to_string());
        if let Self::Json { target, .. } = self {
            headers.insert("x-amz-target", format!("{target}.{operation}"));
        }
        *request.body_mut() = SdkBody::from(body);
        Ok(request)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// It refuses the call, or is none of AWS's.
    pub fn answer(self, operation: &str, answer: &HttpResponse) -> Result<Value, OrchestratorError<ErrorMetadata>> {
        if !answer.status().is_success() {
            let refusal = refusal(answer).ok_or_else(|| OrchestratorError::other("an error without a code"))?;
            return Err(OrchestratorError::operation(match self {
                Self::Object => elsewhere(refusal, answer),
                Self::Json { .. } | Self::Query { .. } => refusal,
            }));
        }
        let body = answer.body().bytes().unwrap_or_default();
        let read = match self {
            Self::Object => std::str::from_utf8(body).ok().map(Value::from),
            // Operations without an output answer with nothing at all.
            Self::Json { .. } if body.is_empty() => Some(Value::Object(Map::new())),
            Self::Json { .. } => serde_json::from_slice(body).ok().filter(Value::is_object),
            Self::Query { .. } => xml(body).and_then(|(root, mut value)| {
                let own = root == format!("{operation}Response");
                own.then(|| value.get_mut(format!("{operation}Result")).map(Value::take).unwrap_or_default())
            }),
        };
        read.ok_or_else(|| OrchestratorError::other("an answer in another form"))
    }
}

/// Reads the code and the words of an answer that refuses, wherever a service or what is before it has them: in a header, in
/// JSON or in XML.
pub fn refusal(answer: &HttpResponse) -> Option<ErrorMetadata> {
    let headers = answer.headers();
    let header = headers.get("x-amzn-errortype").or_else(|| headers.get("x-amzn-query-error"));
    let body = answer.body().bytes().unwrap_or_default();
    let body = serde_json::from_slice::<Value>(body).ok().or_else(|| {
        let (_, mut value) = xml(body)?;
        Some(value.get_mut("Error").map(Value::take).unwrap_or(value))
    });
    let text = |keys: &[&str]| keys.iter().find_map(|key| body.as_ref()?.get(key)?.as_str()).map(str::to_owned);
    let code = header.map(str::to_owned).or_else(|| text(&["__type", "code", "Code"]))?;
    // A shape's name may have a namespace before it, and a URL or a fault's side after it.
    let code = code.rsplit('#').next()?.split([':', ';']).next()?.trim();
    let error = ErrorMetadata::builder().code(code);
    let error = match text(&["message", "Message", "errorMessage"]) {
        Some(message) => error.message(message),
        None => error,
    };
    (!code.is_empty()).then(|| error.build())
}

/// Puts the region of a bucket, where S3 says that it is in another one, in the place of S3's words, which do not have it.
fn elsewhere(refusal: ErrorMetadata, answer: &HttpResponse) -> ErrorMetadata {
    let redirects = ["PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"];
    if !refusal.code().is_some_and(|code| redirects.contains(&code)) {
        return refusal;
    }
    let in_body = || xml(answer.body().bytes()?)?.1["Region"].as_str().map(str::to_owned);
    match answer.headers().get("x-amz-bucket-region").map(str::to_owned).or_else(in_body) {
        Some(region) => ErrorMetadata::builder()
            .code(refusal.code().unwrap_or_default())
            .message(format!("the bucket is in the region {region}"))
            .build(),
        None => refusal,
    }
}

fn form(operation: &str, version: &str, input: &Value) -> Result<String, BoxError> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", operation).append_pair("Version", version);
    for (name, value) in input.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => form.append_pair(name, text),
            Value::Number(_) | Value::Bool(_) => form.append_pair(name, &value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(format!("{operation}: a form has no place for {name}").into());
            }
        };
    }
    Ok(form.finish())
}

/// An element that has begun.
#[derive(Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<(String, Value)>,
}

impl Element {
    fn value(self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text);
        }
        match self.children.iter().all(|(name, _)| name == "member") {
            true => self.children.into_iter().map(|(_, value)| value).collect(),
            false => Value::Object(self.children.into_iter().collect()),
        }
    }
}

/// Reads XML: the name of its root, and its value.
fn xml(bytes: &[u8]) -> Option<(String, Value)> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if open.len() < DEEPEST => {
                let name = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                open.push(Element { name, ..Element::default() });
            }
            Event::End(_) => {
                let mut ended = open.pop()?;
                let name = std::mem::take(&mut ended.name);
                match open.last_mut() {
                    Some(parent) => parent.children.push((name, ended.value())),
                    None => return Some((name, ended.value())),
                }
            }
            Event::Text(text) => push(&mut open, &text.xml10_content().ok()?),
            Event::CData(text) => push(&mut open, &text.xml10_content().ok()?),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().ok()? {
                Some(char) => push(&mut open, char.encode_utf8(&mut [0; 4])),
                None => push(&mut open, resolve_predefined_entity(&entity.decode().ok()?)?),
            },
            Event::Start(_) | Event::Eof => return None,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JSON: Protocol = Protocol::Json { version: "1.1", target: "AmazonSSM" };
    const QUERY: Protocol = Protocol::Query { version: "2010-05-08" };

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> HttpResponse {
        let mut answer = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
        headers.iter().for_each(|(name, value)| drop(answer.headers_mut().insert(*name, *value)));
        answer
    }

    #[test]
    fn requests_are_those_of_their_protocol() {
        let request = JSON.request("DescribeParameters", &json!({ "MaxResults": 1 })).expect("a request");
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        assert_eq!(header("x-amz-target").as_deref(), Some("AmazonSSM.DescribeParameters"));
        assert_eq!(header("content-type").as_deref(), Some("application/x-amz-json-1.1"));
        assert_eq!(header("content-length").as_deref(), Some("16"));
        assert_eq!((request.method(), request.body().bytes()), ("POST", Some(&b"{\"MaxResults\":1}"[..])));
        let request = QUERY.request("GetRole", &json!({ "RoleName": "a/é &=", "MaxItems": 5 })).expect("a request");
        let form = &b"Action=GetRole&Version=2010-05-08&RoleName=a%2F%C3%A9+%26%3D&MaxItems=5"[..];
        assert_eq!(request.body().bytes(), Some(form));
        assert_eq!(request.headers().get("x-amz-target"), None);
        assert!(QUERY.request("GetRole", &json!({ "RoleName": ["a"] })).is_err());
    }

    #[test]
    fn xml_reads_as_json_does() {
        let text = "<?xml version=\"1.0\"?>\n<!-- AWS -->\n<GetRoleResponse xmlns=\"https://iam\">\n <GetRoleResult>\n  <Role>\
                    <Arn>a&amp;b&#233;<![CDATA[<c>]]></Arn><Path/><New><Deep x='1'>v</Deep></New></Role>\n  <Tags>\n   \
                    <member><Key>k</Key></member><member>two</member>\n  </Tags><None/>\n </GetRoleResult>\n\
                    <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetRoleResponse>\n";
        let read = QUERY.answer("GetRole", &answer(200, &[], text)).expect("an answer");
        let role = json!({ "Arn": "a&bé<c>", "Path": "", "New": { "Deep": "v" } });
        assert_eq!(read, json!({ "Role": role, "Tags": [{ "Key": "k" }, "two"], "None": "" }));
        let deep = "<GetRoleResponse>".repeat(9_999).leak();
        for text in ["", "<html>a proxy</html>", "<GetRoleResponse>", "<GetRoleResponse></b>", "{}", deep] {
            assert!(QUERY.answer("GetRole", &answer(200, &[], text)).is_err(), "{text:.99}");
        }
    }

    #[test]
    fn an_object_is_asked_for_by_its_key_and_its_text_is_the_answer() {
        for (key, path) in [
            ("a/b.tfstate", "/a/b.tfstate"),
            ("env:/prod/é +=&?#%2F~*'(", "/env%3A/prod/%C3%A9%20%2B%3D%26%3F%23%252F~%2A%27%28"),
            ("/a//../b", "//a//../b"),
        ] {
            let request = Protocol::Object.request("GetObject", &json!({ "Key": key })).expect("a request");
            assert_eq!((request.method(), request.uri()), ("GET", path));
        }
        assert!(Protocol::Object.request("GetObject", &json!({})).is_err());
        let read = Protocol::Object.answer("GetObject", &answer(200, &[], "{\"version\": 4}\n"));
        assert_eq!(read.ok(), Some(json!("{\"version\": 4}\n")));
    }

    #[test]
    fn a_bucket_elsewhere_is_told_with_its_region() {
        let code =
            |code: &str, more: &str| format!("<Error><Code>{code}</Code><Message>m</Message>{more}</Error>").leak();
        let message = |protocol: Protocol, headers: &[(&'static str, &'static str)], body: &'static str| {
            let error = protocol.answer("GetObject", &answer(301, headers, body)).expect_err("refused");
            error.as_operation_error().and_then(|error| error.message().map(str::to_owned))
        };
        let header = [("x-amz-bucket-region", "eu-north-1")];
        let wanted = Some("the bucket is in the region eu-north-1".to_owned());
        assert_eq!(message(Protocol::Object, &header, code("PermanentRedirect", "")), wanted);
        let body = code("AuthorizationHeaderMalformed", "<Region>eu-north-1</Region>");
        assert_eq!(message(Protocol::Object, &[], body), wanted);
        for (protocol, headers, code) in [
            (Protocol::Object, &header[..], code("AccessDenied", "")),
            (Protocol::Object, &[], code("PermanentRedirect", "")),
            (QUERY, &header, code("PermanentRedirect", "")),
        ] {
            assert_eq!(message(protocol, headers, code).as_deref(), Some("m"));
        }
    }

    #[test]
    fn an_answer_in_json_may_be_empty_but_not_of_another_form() {
        let read = |body| JSON.answer("DescribeParameters", &answer(200, &[], body)).ok();
        assert_eq!(read(r#"{"Parameters":[]}"#), Some(json!({ "Parameters": [] })));
        assert_eq!(read(""), Some(json!({})));
        for body in ["<html>a proxy</html>", "[]", "{\"a\":"] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn a_refusal_is_found_in_every_protocol_and_in_that_of_another() {
        for (name, headers, body, wanted) in [
            ("json", &[][..], r#"{"__type":"com.amazonaws.ssm#Refused","message":"m"}"#, Some(("Refused", Some("m")))),
            ("upper case", &[], r#"{"__type":"Refused","Message":"m"}"#, Some(("Refused", Some("m")))),
            ("header", &[("x-amzn-errortype", "NotFound:http://x/")], "{}", Some(("NotFound", None))),
            ("query", &[("x-amzn-query-error", "NotFound;Sender")], "", Some(("NotFound", None))),
            (
                "xml",
                &[],
                "<ErrorResponse><Error><Code>No</Code><Message>a &lt;b&gt;</Message></Error></ErrorResponse>",
                Some(("No", Some("a <b>"))),
            ),
            ("of S3", &[], "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", Some(("NoSuchKey", Some("m")))),
            ("a page", &[], "<html>a proxy</html>", None),
        ] {
            for protocol in [JSON, QUERY, Protocol::Object] {
                match protocol.answer("GetRole", &answer(400, headers, body)) {
                    Err(error) => {
                        let found =
                            error.as_operation_error().map(|error| (error.code().unwrap_or(""), error.message()));
                        assert_eq!(found, wanted, "{name}");
                    }
                    Ok(read) => panic!("{name}: {read}"),
                }
            }
        }
    }
}
