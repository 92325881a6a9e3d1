//! `system.config.yml`: Redis, keys, sessions and tokens.
//!
//! Top-level keys of the gateway's `system` replace ours, with these exceptions (invariants 9 and 10):
//! * `db` is ours alone: another Redis, or another namespace in it, could be another producer's.
//! * `crypto` without a `cipherKey` and `session` without a `secret` keep the environment's own, minted one: Express
//!   Gateway's defaults are the same for everybody.

use lb_vocab::Place;
use serde_json::{Map, Value, json};

use super::json::{self, Node};
use super::notes::Notes;
use super::schema;
use crate::build::names::redis_namespace;
use crate::plan::Input;

/// Milliseconds until tokens and codes expire.
const TIME_TO_EXPIRY: u64 = 7_200_000;

/// The file's text.
pub(super) fn render(
    input: &Input<'_>,
    theirs: &Map<String, Value>,
    place: &Place,
    notes: &mut Notes,
) -> String {
    let mut entries = vec![
        ("db".to_owned(), database(input)),
        ("crypto".to_owned(), crypto()),
        ("session".to_owned(), session()),
    ];
    for key in ["accessTokens", "refreshTokens", "authorizationCodes"] {
        entries.push((key.to_owned(), Node::Value(json!({ "timeToExpiry": TIME_TO_EXPIRY }))));
    }
    for (key, value) in theirs {
        if let Some(problem) = schema::system_problem(key, value) {
            notes.hold("SystemRefused", place, format!("`system.{key}`: {problem}"));
            continue;
        }
        let node = match key.as_str() {
            "db" => {
                let text =
                    "`system.db` is left out: the gateways of an environment share the platform's Redis";
                notes.warn("SystemDatabase", place, text);
                continue;
            }
            "crypto" => {
                warn_of_secret(key, value, "cipherKey", place, notes);
                with_secret(value, "cipherKey", CIPHER_KEY)
            }
            "session" => {
                warn_of_secret(key, value, "secret", place, notes);
                with_secret(value, "secret", SESSION_SECRET)
            }
            _ => Node::Value(value.clone()),
        };
        match entries.iter_mut().find(|(ours, _)| ours == key) {
            Some(entry) => entry.1 = node,
            None => entries.push((key.clone(), node)),
        }
    }
    json::text(&Node::Object(entries))
}

const KNOWN_SECRETS: [&str; 2] = ["sensitiveKey", "keyboard cat"];
const CIPHER_KEY: &str = r#""${EG_CIPHER_KEY}""#;
const SESSION_SECRET: &str = r#""${EG_SESSION_SECRET}""#;

fn database(input: &Input<'_>) -> Node {
    let redis = vec![
        ("host".to_owned(), Node::Own(r#""${REDIS_HOST}""#)),
        ("port".to_owned(), Node::Own(r#""${REDIS_PORT}""#)),
        ("password".to_owned(), Node::Own(r#""${REDIS_PASSWORD}""#)),
        ("namespace".to_owned(), Node::Value(Value::from(redis_namespace(input.producer)))),
    ];
    Node::Object(vec![("redis".to_owned(), Node::Object(redis))])
}

fn crypto() -> Node {
    Node::Object(vec![
        ("cipherKey".to_owned(), Node::Own(CIPHER_KEY)),
        ("algorithm".to_owned(), Node::Value(json!("aes256"))),
        ("saltRounds".to_owned(), Node::Value(json!(10))),
    ])
}

fn session() -> Node {
    Node::Object(vec![
        ("secret".to_owned(), Node::Own(SESSION_SECRET)),
        ("resave".to_owned(), Node::Value(json!(false))),
        ("saveUninitialized".to_owned(), Node::Value(json!(false))),
    ])
}

/// Secrets that stand in Express Gateway's own template are no secrets. They stay, because what was encrypted with them
/// could not be read with another. One that is no text is replaced.
fn warn_of_secret(key: &str, value: &Value, secret: &str, place: &Place, notes: &mut Notes) {
    match value.get(secret) {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if KNOWN_SECRETS.contains(&text.as_str()) => {
            let text = format!(
                "`system.{key}.{secret}` is the one of Express Gateway's template, which everybody knows"
            );
            notes.warn("SystemSecretKnown", place, text);
        }
        Some(Value::String(_)) => {}
        Some(_) => {
            let text = format!(
                "`system.{key}.{secret}` is no text, the environment's own takes its place: write it in quotes, or remove it"
            );
            notes.warn("SystemSecretReplaced", place, text);
        }
    }
}

/// An object of the producer's, with our secret where it has none.
fn with_secret(value: &Value, key: &str, ours: &'static str) -> Node {
    let Value::Object(theirs) = value else { return Node::Value(value.clone()) };
    let own = theirs.get(key).is_some_and(|secret| secret.as_str().is_some_and(|text| !text.is_empty()));
    let first = if own { None } else { Some((key.to_owned(), Node::Own(ours))) };
    let rest = theirs.iter().filter(|(name, _)| own || *name != key);
    Node::Object(first.into_iter().chain(rest.map(|(k, v)| (k.clone(), Node::Value(v.clone())))).collect())
}
