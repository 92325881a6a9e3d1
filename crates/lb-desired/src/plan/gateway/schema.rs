//! What Express Gateway 1.16.11 takes, and what stops it at its start.
//!
//! It checks every action and condition against a JSON schema with ajv, which fills in defaults and turns scalars
//! into what is asked for (`"5"` into 5); the first violation ends the process. So does a policy or a condition that
//! it does not know, a file that does not exist, and a path that is no regular expression. The tables say what its
//! schemas say; `tests/express_gateway.rs` starts the real one on what passes here.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::config::excerpt;
use super::patterns::regex_problem;

/// What a field of an action has to be.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// A text that is not empty.
    Filled,
    Whole,
    Number,
    Flag,
    Object,
    /// A text, or a list of texts.
    Texts,
    /// A list of texts.
    TextList,
    /// A text, a flag, or a list of texts.
    Origin,
    Uri,
    OneOf(&'static [&'static str]),
    /// A list of these.
    SomeOf(&'static [&'static str]),
    /// `{add?: {..}, remove?: [..]}`, at least one of them.
    AddRemove,
    /// A file's name: no file of a producer's exists where the gateway runs.
    File,
}

/// A policy: its fields, and which must be given because they have no default.
struct Policy {
    name: &'static str,
    fields: &'static [(&'static str, Kind)],
    required: &'static [&'static str],
    /// At least one of these must be given.
    any: &'static [&'static str],
}

impl Policy {
    const fn new(name: &'static str, fields: &'static [(&'static str, Kind)]) -> Self {
        Self { name, fields, required: &[], any: &[] }
    }
}

const AUTH: (&str, Kind) = ("passThrough", Kind::Flag);
const ALGORITHMS: &[&str] = &["HS256", "HS384", "HS512", "RS256", "RS384", "RS512"];
const JWT: &[(&str, Kind)] = &[
    ("secretOrPublicKey", Kind::Filled),
    ("secretOrPublicKeyFile", Kind::File),
    ("jwtExtractor", Kind::OneOf(&["header", "query", "authScheme", "authBearer"])),
    ("jwtExtractorField", Kind::Text),
    ("audience", Kind::Text),
    ("issuer", Kind::Text),
    ("checkCredentialExistence", Kind::Flag),
    ("algorithms", Kind::SomeOf(ALGORITHMS)),
];
const PROXY: &[(&str, Kind)] = &[
    ("auth", Kind::Text),
    ("autoRewrite", Kind::Flag),
    ("changeOrigin", Kind::Flag),
    ("followRedirects", Kind::Flag),
    ("hostRewrite", Kind::Text),
    ("ignorePath", Kind::Flag),
    ("prependPath", Kind::Flag),
    ("preserveHeaderKeyCase", Kind::Flag),
    ("protocolRewrite", Kind::OneOf(&["http", "https"])),
    ("proxyUrl", Kind::Uri),
    ("secure", Kind::Flag),
    ("serviceEndpoint", Kind::Text),
    ("stripPath", Kind::Flag),
    ("strategy", Kind::OneOf(&["round-robin"])),
    ("toProxy", Kind::Flag),
    ("xfwd", Kind::Flag),
];
const TRANSFORMER: &[(&str, Kind)] = &[("headers", Kind::AddRemove), ("body", Kind::AddRemove)];
const POLICIES: &[Policy] = &[
    Policy::new("basic-auth", &[AUTH]),
    Policy::new(
        "cors",
        &[
            ("origin", Kind::Origin),
            ("methods", Kind::Texts),
            ("allowedHeaders", Kind::Texts),
            ("exposedHeaders", Kind::TextList),
            ("credentials", Kind::Flag),
            ("maxAge", Kind::Whole),
            ("optionsSuccessStatus", Kind::Whole),
        ],
    ),
    Policy { required: &["jscode"], ..Policy::new("expression", &[("jscode", Kind::Text)]) },
    Policy {
        required: &["forwardHeaders"],
        ..Policy::new("headers", &[("headersPrefix", Kind::Text), ("forwardHeaders", Kind::Object)])
    },
    Policy { any: &["secretOrPublicKey"], ..Policy::new("jwt", JWT) },
    Policy::new(
        "key-auth",
        &[
            AUTH,
            ("apiKeyHeader", Kind::Text),
            ("apiKeyHeaderScheme", Kind::Text),
            ("apiKeyField", Kind::Text),
            ("disableHeaders", Kind::Flag),
            ("disableHeadersScheme", Kind::Flag),
            ("disableQueryParam", Kind::Flag),
        ],
    ),
    Policy { required: &["message"], ..Policy::new("log", &[("message", Kind::Text)]) },
    Policy::new("oauth2", &[AUTH, ("jwt", Kind::Object)]),
    Policy::new("oauth2-introspect", &[]),
    Policy::new("proxy", PROXY),
    Policy::new(
        "rate-limit",
        &[
            ("rateLimitBy", Kind::Text),
            ("windowMs", Kind::Whole),
            ("delayAfter", Kind::Whole),
            ("delayMs", Kind::Whole),
            ("max", Kind::Whole),
            ("message", Kind::Text),
            ("statusCode", Kind::Whole),
        ],
    ),
    Policy { any: &["headers", "body"], ..Policy::new("request-transformer", TRANSFORMER) },
    Policy { any: &["headers", "body"], ..Policy::new("response-transformer", TRANSFORMER) },
    Policy::new("terminate", &[("statusCode", Kind::Number), ("message", Kind::Text)]),
];

/// A policy's name as Express Gateway has it: `rate-limiter` is `rate-limit`, `simple-logger` is `log`.
pub(super) fn canonical(name: &str) -> &str {
    match name {
        "rate-limiter" => "rate-limit",
        "simple-logger" => "log",
        other => other,
    }
}

/// Whether it is a policy of Express Gateway's own.
pub(super) fn is_policy(name: &str) -> bool {
    POLICIES.iter().any(|policy| policy.name == name)
}

/// What its schema refuses about an action, where it does. Nothing is known of a plugin's policy.
pub(super) fn action_problem(policy: &str, action: &Map<String, Value>) -> Option<String> {
    let policy = POLICIES.iter().find(|known| known.name == policy)?;
    fields_problem(policy.fields, action)
        .or_else(|| {
            let missing = policy.required.iter().find(|name| !action.contains_key(**name));
            missing.map(|name| format!("`{name}` is missing"))
        })
        .or_else(|| {
            let given = policy.any.is_empty() || policy.any.iter().any(|name| action.contains_key(*name));
            (!given).then(|| format!("`{}` is missing", policy.any.join("` or `")))
        })
        .or_else(|| match policy.name {
            "oauth2" => {
                action.get("jwt").and_then(Value::as_object).and_then(|jwt| action_problem("jwt", jwt))
            }
            "proxy" => certificate_problem(action),
            "jwt" => scheme_problem(action),
            _ => None,
        })
}

/// passport-jwt asks for the scheme when it is made.
fn scheme_problem(action: &Map<String, Value>) -> Option<String> {
    let by_scheme = action.get("jwtExtractor").and_then(Value::as_str) == Some("authScheme");
    (by_scheme && !action.contains_key("jwtExtractorField"))
        .then(|| "`jwtExtractorField` is missing: it names the scheme".to_owned())
}

/// Express Gateway reads the certificates of `target` at its start.
fn certificate_problem(action: &Map<String, Value>) -> Option<String> {
    ["keyFile", "certFile", "caFile"].into_iter().find_map(|name| {
        let names = |target: &Value| target.get(name).is_some();
        let options = action.get("proxyOptions").and_then(|options| options.get("target"));
        let named = action.get("target").is_some_and(names) || options.is_some_and(names);
        named.then(|| format!("`target.{name}`: the file does not exist where the gateway runs"))
    })
}

fn fields_problem(fields: &[(&str, Kind)], action: &Map<String, Value>) -> Option<String> {
    fields.iter().find_map(|(name, kind)| {
        let value = action.get(*name)?;
        problem(*kind, value).map(|problem| format!("`{name}` {problem}"))
    })
}

/// What is wrong with a value, after ajv would have turned a scalar into what is asked for.
fn problem(kind: Kind, value: &Value) -> Option<String> {
    let wants = |good: bool, what: &str| (!good).then(|| format!("is not {what}"));
    let one_of = |choice: &[&str], item: &Value| as_text(item).is_some_and(|text| choice.contains(&&*text));
    let texts =
        |value: &Value| value.as_array().is_some_and(|list| list.iter().all(|item| as_text(item).is_some()));
    match kind {
        Kind::Text => wants(as_text(value).is_some(), "a text"),
        Kind::Filled => wants(as_text(value).is_some_and(|text| !text.is_empty()), "a text, or is empty"),
        Kind::Number => wants(as_number(value).is_some(), "a number"),
        Kind::Whole => wants(as_number(value).is_some_and(|n| n.fract() == 0.0), "a whole number"),
        Kind::Flag => wants(is_flag(value), "true or false"),
        Kind::Object => wants(value.is_object(), "an object"),
        Kind::Texts => wants(as_text(value).is_some() || texts(value), "a text or a list of texts"),
        Kind::TextList => wants(texts(value), "a list of texts"),
        Kind::Origin => wants(as_text(value).is_some() || texts(value), "a text, a flag or a list of texts"),
        Kind::Uri => wants(as_text(value).is_some_and(|text| is_uri(&text)), "an http or https URL"),
        Kind::OneOf(choice) => (!one_of(choice, value)).then(|| format!("is not {}", choice.join(" or "))),
        Kind::SomeOf(choice) => {
            let good = value.as_array().is_some_and(|list| list.iter().all(|item| one_of(choice, item)));
            (!good).then(|| format!("is not a list of {}", choice.join(", ")))
        }
        Kind::AddRemove => add_remove_problem(value),
        Kind::File => Some(
            "names a file, and none of yours exists where the gateway runs: put its content here".to_owned(),
        ),
    }
}

fn add_remove_problem(value: &Value) -> Option<String> {
    let Some(object) = value.as_object() else { return Some("is not an object".to_owned()) };
    let (add, remove) = (object.get("add"), object.get("remove"));
    let scalars = |add: &Value| {
        add.as_object()
            .is_some_and(|add| !add.is_empty() && add.values().all(|value| as_text(value).is_some()))
    };
    if add.is_none() && remove.is_none() {
        Some("has neither `add` nor `remove`".to_owned())
    } else if add.is_some_and(|add| !scalars(add)) {
        Some("`add` is not an object of texts and numbers".to_owned())
    } else {
        remove.and_then(|remove| problem(Kind::TextList, remove)).map(|problem| format!("`remove` {problem}"))
    }
}

/// A scalar as ajv turns it into a text.
pub(super) fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Null => Some(Cow::Borrowed("")),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// A scalar as ajv turns it into a number.
fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Null => Some(0.0),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// What its schemas take for a URI, less what it could not call.
fn is_uri(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

/// A scalar that ajv turns into a flag.
fn is_flag(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Null => true,
        Value::String(text) => matches!(text.as_str(), "true" | "false"),
        Value::Number(number) => matches!(number.as_f64(), Some(0.0 | 1.0)),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// What Express Gateway refuses about a condition, where it does. With plugins an unknown one may be theirs.
pub(super) fn condition_problem(condition: &Map<String, Value>, plugins: bool) -> Option<String> {
    let Some(name) = condition.get("name").and_then(as_text) else {
        return Some("`name` is missing".to_owned());
    };
    let nested = |value: &Value| match value.as_object() {
        Some(condition) => condition_problem(condition, plugins),
        None => Some("it is not an object".to_owned()),
    };
    let field =
        |field: &str| condition.get(field).ok_or_else(|| Some(format!("`{field}` of `{name}` is missing")));
    let text = |name: &str| match field(name) {
        Ok(value) => as_text(value).is_none().then(|| format!("`{name}` is not a text")),
        Err(missing) => missing,
    };
    match &*name {
        "always" | "never" | "authenticated" | "anonymous" | "tlsClientAuthenticated" => None,
        "allOf" | "oneOf" => match field("conditions") {
            Ok(Value::Array(list)) => list.iter().find_map(nested),
            Ok(_) => Some("`conditions` is not a list".to_owned()),
            Err(missing) => missing,
        },
        "not" => field("condition").map_or_else(|missing| missing, nested),
        "pathMatch" => text("pattern").or_else(|| regex_problem(&as_text(condition.get("pattern")?)?)),
        "pathExact" => text("path"),
        "hostMatch" => text("pattern"),
        "expression" => text("expression"),
        "method" => method_problem(condition.get("methods")),
        "json-schema" => match condition.get("schema") {
            Some(Value::Object(_)) => None,
            Some(_) | None => Some("`schema` of `json-schema` is not an object".to_owned()),
        },
        _ if plugins => None,
        other => Some(format!("Express Gateway has no condition `{}`", excerpt(other))),
    }
}

fn method_problem(methods: Option<&Value>) -> Option<String> {
    const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    match methods {
        None => Some("`methods` of `method` is missing".to_owned()),
        Some(list @ Value::Array(_)) => problem(Kind::SomeOf(METHODS), list),
        Some(one) => problem(Kind::OneOf(METHODS), one),
    }
    .map(|problem| format!("`methods` {problem}"))
}

/// What Express Gateway refuses about a top-level key of `system`, where it does.
pub(super) fn system_problem(key: &str, value: &Value) -> Option<String> {
    let fields: &[(&str, Kind)] = match key {
        "__proto__" => return Some("it is no key in JavaScript".to_owned()),
        "crypto" => &[("cipherKey", Kind::Text), ("algorithm", Kind::Text), ("saltRounds", Kind::Number)],
        "session" => &[("unset", Kind::OneOf(&["destroy", "keep"]))],
        "accessTokens" => &[
            ("secretOrPrivateKeyFile", Kind::File),
            ("tokenType", Kind::OneOf(&["jwt", "opaque"])),
            ("timeToExpiry", Kind::Number),
            ("issuer", Kind::Text),
            ("audience", Kind::Texts),
            ("subject", Kind::Text),
            ("algorithm", Kind::Text),
        ],
        "refreshTokens" | "authorizationCodes" => &[("timeToExpiry", Kind::Number)],
        "plugins" => &[],
        _ => return None,
    };
    let Some(object) = value.as_object() else { return Some("it is not an object".to_owned()) };
    let refused = match key {
        "session" => {
            ["genid", "store", "storeProvider"].into_iter().find(|field| object.contains_key(*field))
        }
        _ => None,
    };
    refused
        .map(|field| format!("`{field}` names code, and none of yours exists where the gateway runs"))
        .or_else(|| fields_problem(fields, object))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_uri, system_problem};

    #[test]
    fn urls_have_a_host_and_no_blanks() {
        assert!(["http://a", "https://a.b:1/c?d"].iter().all(|url| is_uri(url)));
        let bad = ["", "a.b", "ftp://a", "http://", "https://", "http:///x", "http://a b", "http://a\tb"];
        assert!(!bad.iter().any(|url| is_uri(url)));
    }

    #[test]
    fn keys_of_system_are_judged_by_their_schemas() {
        let judge = |key: &str, value: Value| system_problem(key, &value);
        for (key, value) in [
            ("crypto", json!({"cipherKey": "k", "saltRounds": "10"})),
            ("session", json!({"unset": "keep", "other": 1})),
            ("accessTokens", json!({"tokenType": "jwt", "audience": ["a", "b"]})),
            ("plugins", json!({"mine": {"x": 1}})),
            ("db", json!("anything")),
            ("unknown", json!(1)),
        ] {
            assert_eq!(judge(key, value), None, "{key}");
        }
        for (key, value, why) in [
            ("__proto__", json!({}), "it is no key in JavaScript"),
            ("crypto", json!({"saltRounds": "ten"}), "`saltRounds` is not a number"),
            ("session", json!({"unset": "x"}), "`unset` is not destroy or keep"),
            ("session", json!({"genid": 1}), "`genid` names code"),
            ("refreshTokens", json!({"timeToExpiry": []}), "`timeToExpiry` is not a number"),
            ("authorizationCodes", json!({"timeToExpiry": "x"}), "`timeToExpiry` is not a number"),
            ("plugins", json!([]), "it is not an object"),
        ] {
            let problem = judge(key, value);
            assert!(problem.as_ref().is_some_and(|found| found.starts_with(why)), "{key}: {problem:?}");
        }
    }
}
