//! `issuer::inspect` against a real TLS server on loopback: broken set-ups and what is said of each, and good ones of
//! which nothing is said.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use roleout::base::clock::Clock;
use roleout::doctor::finding::{Finding, Severity};
use roleout::issuer::roots::Roots;
use roleout::issuer::{CODES, Look, Names, inspect};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

const HOST: &str = "gitlab.example.com";
const ISSUER: &str = "https://gitlab.example.com";
const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/oauth/discovery/keys";
const KID: &str = "key-1";
/// How long a look may take: on a loaded machine, too, far longer than it does.
const LIMIT: Duration = Duration::from_secs(60);

type Der = CertificateDer<'static>;

/// Two authorities, one of which the machine trusts, with an intermediate each, and a host's certificates of both.
struct Authorities {
    key: KeyPair,
    root: CertifiedIssuer<'static, KeyPair>,
    middle: CertifiedIssuer<'static, KeyPair>,
    leaf: Der,
    own_root: CertifiedIssuer<'static, KeyPair>,
    own_leaf: Der,
    stranger: Der,
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn host(names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params
}

/// Changes a certificate before it is signed.
fn with(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

impl Authorities {
    fn new() -> Self {
        let key_pair = key();
        let root = CertifiedIssuer::self_signed(authority("Root R1"), key()).expect("a root");
        let middle = CertifiedIssuer::signed_by(authority("Intermediate I1"), key(), &root).expect("an intermediate");
        let own_root = CertifiedIssuer::self_signed(authority("Acme Root"), key()).expect("a root");
        let leaf = host(&[HOST]).signed_by(&key_pair, &middle).expect("a certificate").der().clone();
        let own_leaf = host(&[HOST]).signed_by(&key_pair, &own_root).expect("a certificate").der().clone();
        let stranger = host(&["other.example.com"]).self_signed(&key()).expect("a certificate").der().clone();
        Self { key: key_pair, root, middle, leaf, own_root, own_leaf, stranger }
    }

    /// Signs a host's certificate as the trusted intermediate.
    fn sign(&self, params: CertificateParams) -> Der {
        params.signed_by(&self.key, &self.middle).expect("a certificate").der().clone()
    }

    fn root(&self) -> Der {
        self.root.der().clone()
    }

    fn middle(&self) -> Der {
        self.middle.der().clone()
    }
}

/// What the server does with a request.
#[derive(Clone)]
enum Reply {
    Answer {
        status: &'static str,
        headers: String,
        body: Vec<u8>,
    },
    /// Nothing, for ever.
    Silence,
    /// It closes the connection.
    Close,
    Noise,
}

fn answer(body: &Value) -> Reply {
    Reply::Answer {
        status: "200 OK",
        headers: "content-type: application/json\r\n".into(),
        body: body.to_string().into(),
    }
}

fn status(status: &'static str, headers: &str) -> Reply {
    Reply::Answer { status, headers: headers.to_owned(), body: Vec::new() }
}

fn discovery() -> Value {
    json!({
        "issuer": ISSUER, "jwks_uri": format!("{ISSUER}{KEYS}"), "response_types_supported": ["none"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
    })
}

fn keys() -> Value {
    let key = |kid: &str| json!({ "kid": kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": "x", "e": "AQAB" });
    json!({ "keys": [key("key-0"), key(KID)] })
}

/// A GitLab, as it is when all is well; each set-up changes some of it.
struct Site {
    issuer: String,
    kid: Option<&'static str>,
    chain: Vec<Der>,
    discovery: Reply,
    keys: Reply,
    roots: Roots,
    addresses: Vec<IpAddr>,
    /// Speaks no TLS.
    plain: bool,
    /// Nobody listens.
    absent: bool,
    /// The name is looked up for real.
    dns: bool,
    allow_private: bool,
    proxied: bool,
}

impl Site {
    fn new(authorities: &Authorities) -> Self {
        Self {
            issuer: ISSUER.to_owned(),
            kid: Some(KID),
            chain: vec![authorities.leaf.clone(), authorities.middle(), authorities.root()],
            discovery: answer(&discovery()),
            keys: answer(&keys()),
            roots: Roots { public: vec![authorities.root()], private: Vec::new() },
            addresses: vec!["172.65.251.78".parse().expect("an address")],
            plain: false,
            absent: false,
            dns: false,
            allow_private: false,
            proxied: false,
        }
    }

    fn document(&mut self, change: impl FnOnce(&mut Value)) {
        let mut document = discovery();
        change(&mut document);
        self.discovery = answer(&document);
    }

    /// Serves it, and looks at it.
    async fn inspected(self, authorities: &Authorities) -> Vec<Finding> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let names = if self.dns { Names::Dns } else { Names::Pinned { addresses: self.addresses.clone(), at } };
        let look = Look {
            roots: self.roots.clone(),
            clock: Clock::system(),
            limit: LIMIT,
            names,
            allow_private: self.allow_private,
            proxied: self.proxied,
        };
        let (issuer, kid) = (self.issuer.clone(), self.kid);
        let silent = [&self.discovery, &self.keys].iter().any(|reply| matches!(reply, Reply::Silence));
        let mut server = JoinSet::new();
        if self.absent {
            drop(listener);
        } else {
            let acceptor = acceptor(&self.chain, &authorities.key);
            let site = Arc::new(self);
            server.spawn(async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&site)));
                }
            });
        }
        let found = inspect(&issuer, kid, &look).await;
        if silent {
            tokio::time::resume();
        }
        found
    }
}

fn acceptor(chain: &[Der], key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.to_vec(), key)
        .expect("a chain that begins with the key's certificate");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, site: Arc<Site>) {
    if site.plain {
        let mut stream = stream;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let _ = stream.shutdown().await;
        return;
    }
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => asked.push(byte),
            Err(_) => return,
        }
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let path = asked.split_whitespace().nth(1).unwrap_or_default();
    let reply = match path {
        path if path.ends_with(DISCOVERY) => site.discovery.clone(),
        path if path.ends_with(KEYS) => site.keys.clone(),
        _ => status("404 Not Found", ""),
    };
    match reply {
        Reply::Answer { status, headers, body } => {
            let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
        Reply::Silence => {
            // From here on the client only waits: with the clock paused, its limit is reached at once.
            tokio::time::pause();
            std::future::pending().await
        }
        Reply::Close => {}
        Reply::Noise => drop(stream.write_all(b"220 mail.example.com ESMTP\r\n").await),
    }
    let _ = stream.shutdown().await;
}

type Setup = fn(&Authorities, &mut Site);

/// Name, codes expected in any order, words that must be among what is said, and the set-up.
const BROKEN: &[(&str, &[&str], &[&str], Setup)] = &[
    ("http issuer", &["issuer-not-https"], &["does not begin with https://"], |_, site| {
        site.issuer = "http://gitlab.example.com".into();
    }),
    ("issuer without a scheme", &["issuer-not-https"], &["has no https://"], |_, site| {
        site.issuer = "gitlab.example.com".into();
    }),
    ("issuer with a query", &["issuer-not-a-url"], &["a query"], |_, site| {
        site.issuer = "https://gitlab.example.com?a=b".into();
    }),
    ("issuer with a port", &["issuer-port"], &["names a port"], |_, site| {
        site.issuer = "https://gitlab.example.com:8443".into();
        site.document(|it| it["issuer"] = json!("https://gitlab.example.com:8443"));
    }),
    ("no such name", &["issuer-unresolved"], &["gitlab.invalid has no address"], |_, site| {
        site.issuer = "https://gitlab.invalid".into();
        site.dns = true;
    }),
    (
        "inside a network",
        &["issuer-private-address"],
        &["10.20.0.4, a private address", "ci_id_tokens_issuer_url"],
        |_, site| {
            site.addresses = vec!["10.20.0.4".parse().expect("an address")];
        },
    ),
    (
        "inside a network, and looked at all the same",
        &["answer-status", "issuer-private-address"],
        &["10.20.0.4, a private address", "HTTP 403"],
        |_, site| {
            site.addresses = vec!["10.20.0.4".parse().expect("an address")];
            site.discovery = status("403 Forbidden", "");
            site.allow_private = true;
        },
    ),
    (
        "keys at an address of this machine",
        &["issuer-private-address"],
        &[
            "127.0.0.1, a loopback address",
            "no connection was made for https://127.0.0.1:9451/internal",
            "--allow-private",
        ],
        |_, site| site.document(|it| it["jwks_uri"] = json!("https://127.0.0.1:9451/internal/admin?delete=1")),
    ),
    (
        "an issuer at the address of instance metadata",
        &["issuer-private-address"],
        &["169.254.169.254, a link-local address", "no connection was made"],
        |_, site| site.issuer = "https://169.254.169.254".into(),
    ),
    ("nobody listens", &["issuer-unreachable"], &["takes no connection on port 443", "refused"], |_, site| {
        site.absent = true
    }),
    ("no TLS", &["issuer-tls"], &["no TLS connection", "openssl s_client"], |_, site| site.plain = true),
    ("no answer in time", &["issuer-slow"], &["took longer than 1m", "the answer was awaited"], |_, site| {
        site.discovery = Reply::Silence;
    }),
    ("keys not in time", &["issuer-slow"], &["/oauth/discovery/keys took longer"], |_, site| {
        site.keys = Reply::Silence;
    }),
    ("closed without an answer", &["answer-broken"], &["gives no HTTP answer"], |_, site| {
        site.discovery = Reply::Close
    }),
    ("not HTTP", &["answer-broken"], &["gives no HTTP answer"], |_, site| site.discovery = Reply::Noise),
    ("sign-in redirect", &["answer-redirect"], &["HTTP 302 to https://gitlab.example.com/users/sign_in"], |_, site| {
        site.discovery = status("302 Found", "location: https://gitlab.example.com/users/sign_in\r\n");
    }),
    ("forbidden", &["answer-status"], &["HTTP 403", "lists of allowed addresses"], |_, site| {
        site.discovery = status("403 Forbidden", "");
    }),
    ("too many requests", &["answer-status"], &["HTTP 429", "rate limit"], |_, site| {
        site.keys = status("429 Too Many Requests", "");
    }),
    ("missing document", &["answer-status"], &["HTTP 404"], |_, site| site.discovery = status("404 Not Found", "")),
    ("a page of HTML", &["answer-not-json"], &["content-type: text/html"], |_, site| {
        site.discovery = Reply::Answer {
            status: "200 OK",
            headers: "content-type: text/html\r\n".into(),
            body: b"<html>Sign in</html>".to_vec(),
        };
    }),
    ("far too much", &["answer-too-long"], &["more than 1 MiB"], |_, site| {
        site.keys = Reply::Answer { status: "200 OK", headers: String::new(), body: vec![b' '; 2 << 20] };
    }),
    ("another issuer", &["discovery-issuer"], &["by a slash at the end", "letter by letter"], |_, site| {
        site.document(|it| it["issuer"] = json!("https://gitlab.example.com/"));
    }),
    ("keys over http", &["discovery-keys-address"], &["jwks_uri does not begin with https://"], |_, site| {
        site.document(|it| it["jwks_uri"] = json!("http://gitlab.example.com/oauth/discovery/keys"));
    }),
    ("no key at all", &["keys-none"], &["gives no key"], |_, site| site.keys = answer(&json!({ "keys": [] }))),
    ("a key that is not there", &["keys-kid-unknown"], &["key-0, key-1", "key-9"], |_, site| site.kid = Some("key-9")),
    ("a key for encryption", &["keys-unfit"], &["for the use enc"], |_, site| {
        site.keys = answer(&json!({ "keys": [{ "kid": KID, "kty": "RSA", "use": "enc" }] }));
    }),
    ("too many keys", &["keys-too-many"], &["101 keys of the kind RSA"], |_, site| {
        site.keys = answer(&json!({ "keys": vec![json!({ "kid": KID, "kty": "RSA" }); 101] }));
    }),
    ("an unreadable certificate", &["certificate-unreadable"], &["certificate 2"], |all, site| {
        site.chain = vec![all.leaf.clone(), vec![1, 2, 3].into()];
    }),
    (
        "another host's certificate",
        &["certificate-wrong-host"],
        &["www.example.com is for www.example.com"],
        |all, site| {
            site.chain = vec![all.sign(host(&["www.example.com"])), all.middle()];
        },
    ),
    ("a certificate that signed itself", &["certificate-self-signed"], &["SHA-1 thumbprint"], |all, site| {
        site.chain = vec![host(&[HOST]).self_signed(&all.key).expect("a certificate").der().clone()];
    }),
    (
        "an expired certificate",
        &["certificate-expired"],
        &["has expired", "notAfter 2024-05-01T00:00:00Z"],
        |all, site| {
            let params = with(host(&[HOST]), |it| it.not_after = date_time_ymd(2024, 5, 1));
            site.chain = vec![all.sign(params), all.middle(), all.root()];
        },
    ),
    (
        "an expired intermediate",
        &["certificate-expired"],
        &["certificate 2 of gitlab.example.com's chain, Intermediate old,"],
        |all, site| {
            let params = with(authority("Intermediate old"), |it| it.not_after = date_time_ymd(2024, 5, 1));
            let old = CertifiedIssuer::signed_by(params, key(), &all.root).expect("an intermediate");
            let leaf = host(&[HOST]).signed_by(&all.key, &old).expect("a certificate").der().clone();
            site.chain = vec![leaf, old.der().clone(), all.root()];
        },
    ),
    ("a certificate of tomorrow", &["certificate-not-yet-valid"], &["notBefore 2999-"], |all, site| {
        let params = with(host(&[HOST]), |it| it.not_before = date_time_ymd(2999, 1, 1));
        site.chain = vec![all.sign(params), all.middle(), all.root()];
    }),
    ("an intermediate that is missing", &["chain-incomplete"], &["Intermediate I1 is not in it"], |all, site| {
        site.chain = vec![all.leaf.clone()];
    }),
    ("a gap before the root", &["chain-incomplete"], &["Intermediate I1 is not in it", "2. Root R1"], |all, site| {
        site.chain = vec![all.leaf.clone(), all.root()];
    }),
    (
        "root before intermediate",
        &["chain-out-of-order"],
        &["in this order and nothing besides: gitlab.example.com; Intermediate I1; Root R1"],
        |all, site| site.chain = vec![all.leaf.clone(), all.root(), all.middle()],
    ),
    (
        "a certificate twice",
        &["chain-duplicate"],
        &["3. Intermediate I1, issued by Root R1 is also certificate 2"],
        |all, site| {
            site.chain = vec![all.leaf.clone(), all.middle(), all.middle(), all.root()];
        },
    ),
    ("the host's certificate twice", &["chain-duplicate"], &["is also certificate 1"], |all, site| {
        site.chain = vec![all.leaf.clone(), all.leaf.clone(), all.middle()];
    }),
    ("a stranger's certificate", &["chain-extra"], &["other.example.com, issued by other.example.com"], |all, site| {
        site.chain = vec![all.leaf.clone(), all.middle(), all.root(), all.stranger.clone()];
    }),
    ("an authority's other root", &["chain-extra"], &["4. Acme Root"], |all, site| {
        site.chain = vec![all.leaf.clone(), all.middle(), all.root(), all.own_root.der().clone()];
    }),
    ("an intermediate of the same name", &["chain-signature"], &["another key"], |all, site| {
        let twin = CertifiedIssuer::signed_by(authority("Intermediate I1"), key(), &all.root).expect("an intermediate");
        site.chain = vec![all.leaf.clone(), twin.der().clone(), all.root()];
    }),
    ("an intermediate that is no authority", &["chain-invalid"], &["is not valid"], |all, site| {
        let params = with(authority("No authority"), |it| it.is_ca = IsCa::ExplicitNoCa);
        let fake = CertifiedIssuer::signed_by(params, key(), &all.root).expect("an intermediate");
        let leaf = host(&[HOST]).signed_by(&all.key, &fake).expect("a certificate").der().clone();
        site.chain = vec![leaf, fake.der().clone(), all.root()];
    }),
];

/// Set-ups of which nothing fails, and the notes that are made of them.
const GOOD: &[(&str, &[&str], Setup)] = &[
    ("with its root", &[], |_, _| {}),
    ("without its root", &[], |all, site| site.chain = vec![all.leaf.clone(), all.middle()]),
    ("a wildcard", &[], |all, site| site.chain = vec![all.sign(host(&["*.example.com"])), all.middle()]),
    ("below a path", &[], |_, site| {
        site.issuer = "https://gitlab.example.com/git".into();
        site.document(|it| {
            it["issuer"] = json!("https://gitlab.example.com/git");
            it["jwks_uri"] = json!("https://gitlab.example.com/git/oauth/discovery/keys");
        });
    }),
    ("a token without a kid", &[], |_, site| site.kid = None),
    ("keys on another host", &[], |all, site| {
        site.chain = vec![all.sign(host(&[HOST, "keys.example.com"])), all.middle()];
        site.document(|it| it["jwks_uri"] = json!("https://keys.example.com/oauth/discovery/keys"));
    }),
    ("no roots to hold it against", &[], |all, site| {
        site.chain = vec![all.leaf.clone(), all.middle()];
        site.roots = Roots::default();
    }),
    ("an authority of its own", &["chain-private-ca"], |all, site| {
        site.chain = vec![all.own_leaf.clone(), all.own_root.der().clone()];
    }),
    ("an authority of its own that is known", &["chain-private-ca"], |all, site| {
        site.chain = vec![all.own_leaf.clone()];
        site.roots.private = vec![all.own_root.der().clone()];
    }),
    ("a certificate that ends soon", &["certificate-expires-soon"], |all, site| {
        let soon = Clock::system().now() + Duration::from_secs(3 * 24 * 3600);
        site.chain = vec![all.sign(with(host(&[HOST]), |it| it.not_after = soon.into())), all.middle()];
    }),
    ("a public address beside a private one", &["issuer-private-address"], |_, site| {
        site.addresses.push("fd00::1".parse().expect("an address"));
    }),
    ("a document that lacks what nobody reads", &["discovery-incomplete"], |_, site| {
        site.document(|it| drop(it.as_object_mut().expect("an object").remove("subject_types_supported")));
    }),
    ("only a proxy leads out", &["issuer-unreachable"], |_, site| (site.absent, site.proxied) = (true, true)),
];

fn said(findings: &[Finding]) -> String {
    findings.iter().map(|it| format!("{it:#?}\n")).collect()
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    let mut codes: Vec<_> = findings.iter().map(|it| it.code).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn every_broken_set_up_is_explained() {
    let authorities = Authorities::new();
    let mut seen = BTreeSet::new();
    for (name, expected, words, change) in BROKEN {
        let mut site = Site::new(&authorities);
        change(&authorities, &mut site);
        let findings = site.inspected(&authorities).await;
        assert_eq!(codes(&findings), *expected, "{name}: {}", said(&findings));
        assert!(findings.iter().all(|it| it.severity == Severity::Fault && !it.fix.is_empty()), "{name}");
        let text = said(&findings);
        for word in *words {
            assert!(text.contains(word), "{name}: `{word}` is not in {text}");
        }
        assert!(!text.contains("token:"), "{name}: {text}");
        seen.extend(expected.iter().copied());
    }
    seen.extend(GOOD.iter().flat_map(|(_, notes, _)| notes.iter().copied()));
    assert_eq!(seen, CODES.into_iter().collect(), "each code has a set-up, and no other is given");
}

#[tokio::test]
async fn of_good_set_ups_nothing_fails() {
    let authorities = Authorities::new();
    for (name, notes, change) in GOOD {
        let mut site = Site::new(&authorities);
        change(&authorities, &mut site);
        let findings = site.inspected(&authorities).await;
        assert_eq!(codes(&findings), *notes, "{name}: {}", said(&findings));
        assert!(findings.iter().all(|it| it.severity == Severity::Note), "{name}: {}", said(&findings));
    }
}

#[tokio::test]
async fn two_faults_of_one_chain_are_both_told() {
    let authorities = Authorities::new();
    let mut site = Site::new(&authorities);
    let params = with(host(&[HOST]), |it| it.not_after = date_time_ymd(2024, 5, 1));
    site.chain = vec![authorities.sign(params), authorities.root(), authorities.middle(), authorities.stranger.clone()];
    site.kid = Some("gone");
    let findings = site.inspected(&authorities).await;
    let expected = ["certificate-expired", "chain-extra", "chain-out-of-order", "keys-kid-unknown"];
    assert_eq!(codes(&findings), expected, "{}", said(&findings));
}

#[test]
fn a_file_of_authorities_is_read_or_refused() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("issuer");
    std::fs::create_dir_all(&directory).expect("a directory");
    let (good, empty) = (directory.join("ca.pem"), directory.join("empty.pem"));
    std::fs::write(&good, Authorities::new().own_root.pem()).expect("a file");
    std::fs::write(&empty, "nothing\n").expect("a file");
    let load = |path: &Path| Look::new(Some(path), false, Clock::system()).map(|look| look.roots.private.len());
    assert_eq!(load(&good), Ok(1));
    for (path, words) in [(&empty, "holds no certificate"), (&directory.join("absent.pem"), "absent.pem")] {
        let error = load(path).expect_err("refused");
        assert!(
            error.message.starts_with("--ca-file: ") && error.message.contains(words),
            "{path:?}: {}",
            error.message
        );
    }
}

#[test]
fn every_code_has_a_section_in_the_documentation() {
    let page = include_str!("../docs/troubleshooting-issuer.md");
    for code in CODES {
        assert!(page.contains(&format!("### `{code}`")), "{code} has no section");
    }
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(sections.len(), CODES.len(), "{sections:?}");
}

#[tokio::test]
async fn nothing_is_sent_to_an_inner_address_that_a_document_names() {
    let authorities = Authorities::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for (host, allow_private) in [("127.0.0.1", false), ("localhost", false), ("127.0.0.1", true)] {
        let look = Look {
            roots: Roots { public: vec![authorities.root()], private: Vec::new() },
            clock: Clock::system(),
            limit: LIMIT,
            names: Names::Dns,
            allow_private,
            proxied: false,
        };
        let issuer = format!("https://{host}:{port}");
        let found = tokio::select! {
            found = inspect(&issuer, None, &look) => Some(found),
            connected = listener.accept() => {
                drop(connected);
                None
            }
        };
        match found {
            Some(found) => {
                assert!(!allow_private, "{host}: {}", said(&found));
                assert!(codes(&found).contains(&"issuer-private-address"), "{host}: {}", said(&found));
            }
            None => assert!(allow_private, "{host} was connected to"),
        }
    }
}
