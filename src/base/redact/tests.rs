//! What is taken out, and what stays.

use proptest::prelude::*;

use super::*;

#[test]
fn secrets_are_taken_out() {
    for (given, wanted) in [
        ("using key AKIAIOSFODNN7EXAMPLE now", "using key [redacted] now"),
        ("ASIAIOSFODNN7EXAMPLE", "[redacted]"),
        ("key=ASIAIOSFODNN7EXAMPLE;", "key=[redacted];"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = [redacted]"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ("aws_secret is wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY.", "aws_secret is [redacted]."),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[redacted]"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "got [redacted]!"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: [redacted]"),
        ("{\"authorization\": \"Basic dXNlcjpwYXNz\", \"a\": 1}", "{\"authorization\": \"[redacted]\", \"a\": 1}"),
        ("curl -H 'Authorization: Bearer x y z' https://e.com", "curl -H 'Authorization: [redacted]' https://e.com"),
        ("sent Bearer 0123456789abcdef to it", "sent Bearer [redacted] to it"),
        ("Set-Cookie: session=abc; Path=/; HttpOnly", "Set-Cookie: [redacted]"),
        ("password=hunter2", "password=[redacted]"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql"),
        ("password = \"hun ter2\" next", "password = \"[redacted]\" next"),
        ("{\"clientSecret\":\"abc\",\"id\":7}", "{\"clientSecret\":\"[redacted]\",\"id\":7}"),
        ("{\\\"api_key\\\": \\\"abc\\\", 1}", "{\\\"api_key\\\": \\\"[redacted]\\\", 1}"),
        ("{'db.password': 'abc'}", "{'db.password': '[redacted]'}"),
        (":secret => \"abc\"", ":secret => \"[redacted]\""),
        ("--token abc --retry 3", "--token [redacted] --retry 3"),
        ("--client-secret=abc x", "--client-secret=[redacted] x"),
        ("GET /v1?access_token=abc&page=2", "GET /v1?access_token=[redacted]&page=2"),
        ("X-Amz-Signature=0011aa&x", "X-Amz-Signature=[redacted]&x"),
        ("config[token]: abc", "config[token]: [redacted]"),
        ("glpat-abcdefghij1234567890", "[redacted]"),
        ("token glpat-abcdefghij1234567890.", "token [redacted]."),
        ("remote: ghp_abcdefghijklmnopqrstuvwxyz0123456789", "remote: [redacted]"),
        ("github_pat_11ABCDEFG0abcdefghij_xyz", "[redacted]"),
        ("slack xoxb-123456789012-abcdef", "slack [redacted]"),
        ("postgres://app:hunter2@db.internal:5432/app", "postgres://app:[redacted]@db.internal:5432/app"),
        ("redis://:hunter2@cache:6379", "redis://:[redacted]@cache:6379"),
        ("postgres://app:hun/te@r2@db/app", "postgres://app:[redacted]@db/app"),
        ("https://abcdefghij0123456789@git.example.com/x", "https://[redacted]@git.example.com/x"),
        ("(mongodb+srv://u:p@h/d)", "(mongodb+srv://u:[redacted]@h/d)"),
        ("-----BEGIN RSA PRIVATE KEY-----", "[redacted]"),
        ("DB_PASS=hunter2", "DB_PASS=[redacted]"),
        ("REDIS_PASS: hunter2", "REDIS_PASS: [redacted]"),
        ("dbPass=hunter2", "dbPass=[redacted]"),
        ("my_credentials=hunter2 x", "my_credentials=[redacted] x"),
        ("--db-pass hunter2", "--db-pass [redacted]"),
        ("?sv=1&sig=abc%3D&x=1", "?sv=1&sig=[redacted]&x=1"),
        ("AccountKey=abc==;Endpoint=x", "AccountKey=[redacted];Endpoint=x"),
        ("jdbc:mysql://h/db?user=a&password=b", "jdbc:mysql://h/db?user=a&password=[redacted]"),
        ("jdbc:oracle:thin:scott/tiger@h:1521/x", "jdbc:oracle:thin:scott/[redacted]@h:1521/x"),
        ("SENTRY https://abc123@o1.ingest.sentry.io/7", "SENTRY https://[redacted]@o1.ingest.sentry.io/7"),
        ("sk-proj-abcdefgh12345", "[redacted]"),
        ("sk_test_abcdefgh12345", "[redacted]"),
        ("hvs.CAESIJabcdefgh", "[redacted]"),
        ("dckr_pat_abcdefgh123", "[redacted]"),
        ("SG.abcdefgh12345.ijklmnop67890", "[redacted]"),
        ("pypi-AgEIcHlwaS5vcmcCJ", "[redacted]"),
        ("shpat_0123456789abcdef", "[redacted]"),
        ("post https://hooks.slack.com/services/T0/B0/abc now", "post https://hooks.slack.com/[redacted] now"),
        ("curl -u admin:hunter2 http://x", "curl -u admin:[redacted] http://x"),
        ("curl --user 'admin:hunter2' x", "curl --user 'admin:[redacted]' x"),
        ("Bearer CANARYHEALTHabcd", "Bearer [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
    ] {
        assert_eq!(lines(&[given]), [wanted]);
    }
}

#[test]
fn what_explains_a_failure_stays() {
    for text in [
        "",
        "Error: connect ECONNREFUSED 10.0.3.17:5432",
        "FATAL: password authentication failed for user \"app\"",
        "password=undefined",
        "DB_PASSWORD: null",
        "the secret arn:aws:secretsmanager:eu-west-1:222222222222:secret:db-AbCdEf was not found",
        "secret=arn:aws:secretsmanager:eu-west-1:222222222222:secret:db-AbCdEf",
        "the token has expired, and no other token is there",
        "max_tokens=4096 tokens: 12",
        "token_type=bearer secret_name=db",
        "Bearer authentication is required",
        "--- PASS: TestLogin (0.01s)",
        "auth: no such user",
        "bypass=on compass: north",
        "https://discord.com",
        "tail -u utc and run -u app",
        "2026-11-02T09:00:00.123Z level=error msg=\"listen tcp :8080: bind: address already in use\"",
        "commit 5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12",
        "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "at Object.<anonymous> (/app/node_modules/pg/lib/client.js:52:19)",
        "GET https://example.com:8080/@scope/package 404",
        "ssh://git@gitlab.example.com/team/shop.git",
        "http://localhost:8080/health and https://example.com/a?b=c",
        "java.lang.IllegalStateException: Cannot load configuration class: com.example.shop.ApiApplication",
        "task arn:aws:ecs:eu-west-1:222222222222:task/web/0123456789abcdef0123456789abcdef",
        "結果: 失敗しました — größer als erwartet ✖",
        "AKIA is what keys begin with, and eyJ what tokens do",
    ] {
        assert_eq!(line(text), text);
    }
}

#[test]
fn a_private_key_is_taken_out_whole_wherever_the_log_is_cut() {
    let key = [
        "before",
        "-----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
        "short+line==",
        "-----END PRIVATE KEY-----",
        "after",
    ];
    assert_eq!(lines(&key), ["before", REDACTED, REDACTED, REDACTED, REDACTED, "after"]);
    assert_eq!(lines(&key[2..]), [REDACTED, REDACTED, REDACTED, "after"]);
    assert_eq!(lines(&key[..3]), ["before", REDACTED, REDACTED]);
}

#[test]
fn a_private_key_in_one_line_is_taken_out() {
    let text = "KEY -----BEGIN PRIVATE KEY-----\\nMIIEvQ\\n-----END PRIVATE KEY----- end";
    assert_eq!(line(text), "KEY [redacted] end");
    assert_eq!(line("-----BEGIN EC PRIVATE KEY----- MIIEvQ"), REDACTED);
}

proptest! {
    #[test]
    fn any_text_is_taken(text in "\\PC*") {
        let _ = line(&text);
    }

    #[test]
    fn what_is_redacted_stays_so(text in "[a-z=:\"' @/.-]{0,60}") {
        let once = line(&text);
        prop_assert_eq!(line(&once), once);
    }

    #[test]
    fn a_named_value_never_shows(value in "[a-zA-Z0-9!%^*_+.-]{13,40}", name in "(DB_)?(password|client_secret|api-key|token)") {
        for text in [format!("{name}={value}"), format!("{{\"{name}\": \"{value}\"}}"), format!("x {name}: {value} y")] {
            prop_assert!(!line(&text).contains(&value), "{}", line(&text));
        }
    }
}
