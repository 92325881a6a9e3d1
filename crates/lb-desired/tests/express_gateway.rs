//! The real Express Gateway, with a real Redis, starts on every file that is generated from `fixtures/plan`, answers
//! a request per pipeline, and refuses what we refuse.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by failing")]

#[path = "plan/case.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]
mod case;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lb_testkit::{free_port, skip};
use serde_json::{Value, json};

/// How long a program may take until it serves: on a busy machine Node takes its time.
const START: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(20);
const REDIS_PASSWORD: &str = "redis-test-password";

/// What the tests need, where it is installed.
struct Tools {
    node: PathBuf,
    redis: PathBuf,
    modules: PathBuf,
}

fn tools() -> Option<Tools> {
    let node = skip::needs("node", "apt-get install nodejs")?;
    let redis = skip::needs("redis-server", "apt-get install redis-server")?;
    Some(Tools { node, redis, modules: skip::needs_express_gateway()?.join("node_modules") })
}

/// A program that is killed when it is dropped, and its lines.
struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let send = send.clone();
            std::thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(send.send(line)));
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads lines until all of these were seen; false where the program ends before.
    fn says(&mut self, wanted: &[&str]) -> bool {
        let deadline = Instant::now() + START;
        while !wanted.iter().all(|text| self.seen.iter().any(|line| line.contains(text))) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {wanted:?} after {START:?}:\n{}", self.seen.join("\n"))
                }
            }
        }
        true
    }

    /// Every line up to now.
    fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn redis(tools: &Tools) -> (Program, u16) {
    let port = free_port();
    let mut command = Command::new(&tools.redis);
    let mut redis = Program::start(command.arg("-").stdin(Stdio::piped()));
    let config =
        format!("port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\nrequirepass {REDIS_PASSWORD}\n");
    redis.child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    assert!(redis.says(&["eady to accept connections"]), "{}", redis.log());
    (redis, port)
}

/// Answers every request with its method and path.
fn upstream() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let body = first.trim_end_matches(" HTTP/1.1").replacen(" /", " ", 1);
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                // The gateway may have gone.
                let _ = (&stream).write_all(answer.as_bytes());
            });
        }
    });
    port
}

/// A running gateway.
struct Gateway {
    program: Program,
    port: u16,
    admin: u16,
    _directory: tempfile::TempDir,
}

/// Writes the files as they are mounted, with ports and addresses of this test, and starts Express Gateway.
fn gateway(tools: &Tools, redis: u16, upstream: u16, files: &BTreeMap<String, String>) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    fs::create_dir(directory.path().join("models")).unwrap();
    for (key, content) in files {
        let (name, content) = match key.as_str() {
            "gateway.config.yml" => (key.clone(), moved(content, port, admin, upstream)),
            "system.config.yml" => (key.clone(), content.clone()),
            model => (format!("models/{model}"), content.clone()),
        };
        fs::write(directory.path().join(name), content).unwrap();
    }
    let mut command = Command::new(&tools.node);
    command.arg(tools.modules.join("express-gateway/lib/index.js")).env_clear();
    command.envs(environment(directory.path(), redis));
    Gateway { program: Program::start(&mut command), port, admin, _directory: directory }
}

fn environment(directory: &Path, redis: u16) -> [(&'static str, String); 8] {
    [
        ("EG_CONFIG_DIR", directory.to_str().unwrap().to_owned()),
        ("EG_CIPHER_KEY", "cipher-test-key".to_owned()),
        ("EG_SESSION_SECRET", "session-test-secret".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("REDIS_HOST", "127.0.0.1".to_owned()),
        ("REDIS_PASSWORD", REDIS_PASSWORD.to_owned()),
        ("REDIS_PORT", redis.to_string()),
        ("PATH", std::env::var_os("PATH").unwrap().into_string().unwrap()),
    ]
}

/// The same text with free ports, and with every service behind this test's upstream, which sees its name as a path.
fn moved(content: &str, port: u16, admin: u16, upstream: u16) -> String {
    content
        .replacen("\"port\": 8080", &format!("\"port\": {port}"), 1)
        .replacen("\"port\": 9876", &format!("\"port\": {admin}"), 1)
        .replacen("\"http://localhost:9876\"", &format!("\"HTTP://127.0.0.1:{admin}\""), 1)
        .replace("\"http://", &format!("\"http://127.0.0.1:{upstream}/"))
        .replacen("\"HTTP://", "\"http://", 1)
}

/// Sends a request, and answers status and everything behind it.
fn send(port: u16, method: &str, host: &str, path: &str, more: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}").unwrap();
    if !more.contains("\r\n\r\n") {
        write!(stream, "\r\n").unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer to {method} {host}{path}: {answer:?}")), answer)
}

/// A request per endpoint of every pipeline: host, method and path.
fn per_pipeline(config: &Value) -> Vec<(String, String, String)> {
    let mut requests = Vec::new();
    for (id, pipeline) in config["pipelines"].as_object().unwrap() {
        if id == "admin" || pipeline["policies"].as_array().unwrap().is_empty() {
            continue;
        }
        for endpoint in pipeline["apiEndpoints"].as_array().unwrap() {
            let endpoint = &config["apiEndpoints"][endpoint.as_str().unwrap()];
            let methods = endpoint["methods"].as_array();
            let method = methods.map_or(Some("GET"), |methods| methods.first().and_then(Value::as_str));
            let Some(method) = method else { continue };
            let path = endpoint["paths"][0].as_str().unwrap_or("/").replace(['*', ':'], "x");
            let host = endpoint["host"].as_str().unwrap().replace('*', "x");
            requests.push((host, method.to_uppercase(), path));
        }
    }
    requests
}

/// One gateway of a case; answers what is wrong.
fn try_one(
    tools: &Tools,
    redis: u16,
    upstream: u16,
    case: &case::Case,
    files: &BTreeMap<String, String>,
) -> Option<String> {
    let mut gateway = gateway(tools, redis, upstream, files);
    let started = gateway.program.says(&["gateway http server listening", "admin http server listening"]);
    if started != case.starts {
        return Some(format!("it starts: {started}\n{}", gateway.program.log()));
    }
    if !started {
        return None;
    }
    let config: Value = serde_json::from_str(&files["gateway.config.yml"]).unwrap();
    let hosts: Vec<&str> = config["apiEndpoints"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|endpoint| endpoint["host"].as_str())
        .collect();
    for request in &case.requests {
        let (method, url) = request.request.split_once(" http://").unwrap();
        let (host, path) = url.split_at(url.find('/').unwrap());
        let own = hosts[0].trim_start_matches("admin-");
        if !host.ends_with(".example") && host.trim_start_matches("admin-") != own {
            continue;
        }
        let (status, answer) = send(gateway.port, method, host, path, "");
        if status != request.status || !answer.contains(&request.body) {
            return Some(format!("{}: {answer}\n{}", request.request, gateway.program.log()));
        }
    }
    for (host, method, path) in per_pipeline(&config) {
        let (status, answer) = send(gateway.port, &method, &host, &path, "");
        if status == 404 || status == 500 {
            return Some(format!("{method} {host}{path}: {answer}\n{}", gateway.program.log()));
        }
    }
    let log = gateway.program.log();
    log.lines().any(|line| line.contains("error") || line.contains("Unknown variable")).then_some(log)
}

#[test]
fn every_generated_gateway_starts_and_answers_per_pipeline() {
    let Some(tools) = tools() else { return };
    let (_redis, redis) = redis(&tools);
    let upstream = upstream();
    let mut gateways = Vec::new();
    for directory in case::all() {
        let planned = case::planned(&directory);
        for child in case::deployed(&planned.plan.gateways) {
            let files: BTreeMap<_, _> =
                child.config.iter().map(|(key, content)| (key.clone(), content.reveal().clone())).collect();
            let name =
                format!("{} {}", directory.file_name().unwrap().to_string_lossy(), child.spec.instance);
            gateways.push((name, planned.case.clone(), files));
        }
    }
    // The same files need one start.
    gateways.sort_by(|a, b| a.2.cmp(&b.2).then(b.1.requests.len().cmp(&a.1.requests.len())));
    gateways.dedup_by(|a, b| a.2 == b.2 && a.1.requests.is_empty());
    let (queue, wrong) = (Mutex::new(gateways.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((name, case, files)) = next else { return };
                    let once = || try_one(&tools, redis, upstream, case, files);
                    // Somebody else may have taken a port that was free a moment ago.
                    let first = once();
                    let retry = first.as_ref().is_some_and(|problem| problem.contains("EADDRINUSE"));
                    if let Some(problem) = if retry { once() } else { first } {
                        wrong.lock().unwrap().push(format!("{name}: {problem}"));
                    }
                }
            });
        }
    });
    let foreign: Vec<String> = keys(redis)
        .into_iter()
        .filter(|key| !key.trim_start_matches("rl:").starts_with("EG-al-dev--"))
        .collect();
    assert!(foreign.is_empty(), "these are every producer's: {foreign:?}");
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), gateways.len(), wrong.join("\n\n"));
}

/// What the admin API answers, from the first `{` or `[` on.
fn admin(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let more = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (status, answer) = send(gateway.admin, "POST", "localhost", path, &more);
    assert!(status < 300, "{path}: {answer}");
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    if json.is_empty() { Value::Null } else { serde_json::from_str(json).unwrap() }
}

#[test]
fn the_auto_gateway_lets_a_key_in_and_keeps_it_in_the_environments_namespace() {
    let Some(tools) = tools() else { return };
    let (_redis, redis) = redis(&tools);
    let directory = case::all().into_iter().find(|directory| directory.ends_with("auto-gateway")).unwrap();
    let planned = case::planned(&directory);
    let child = case::deployed(&planned.plan.gateways).next().unwrap();
    let files = child.config.iter().map(|(key, content)| (key.clone(), content.reveal().clone())).collect();
    let mut gateway = gateway(&tools, redis, upstream(), &files);
    assert!(gateway.program.says(&["gateway http server listening", "admin http server listening"]));
    let user = json!({ "username": "ann", "firstname": "Ann", "lastname": "Example" });
    let user = admin(&gateway, "/users", &user)["id"].as_str().unwrap().to_owned();
    admin(&gateway, "/scopes", &json!({ "scopes": ["api:readonly"] }));
    let key = json!({ "consumerId": user, "type": "key-auth", "credential": { "scopes": ["api:readonly"] } });
    let key = admin(&gateway, "/credentials", &key);
    let key = format!("{}:{}", key["keyId"].as_str().unwrap(), key["keySecret"].as_str().unwrap());
    let host = "autogenerated-al-dev.lunchbadger.io";
    let (status, answer) = send(gateway.port, "GET", host, "/Cars/1", &format!("Authorization: {key}\r\n"));
    assert!(status == 200 && answer.contains("GET workspace-al-dev.customer:3000/api/Cars/1"), "{answer}");
    assert_eq!(send(gateway.port, "GET", host, "/Cars/1", "").0, 401);
    let keys = keys(redis);
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("EG-al-dev--")), "{keys:?}");
}

/// Every key that stands in Redis.
fn keys(redis: u16) -> Vec<String> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, redis)).unwrap();
    write!(client, "AUTH {REDIS_PASSWORD}\r\nKEYS *\r\nQUIT\r\n").unwrap();
    let mut keys = String::new();
    client.read_to_string(&mut keys).unwrap();
    keys.lines().filter(|line| !line.starts_with(['+', '*', '$'])).map(str::to_owned).collect()
}

/// Asks Express Gateway itself about actions (`{policy, action}`), conditions (`{condition}`) and paths (`{path}`):
/// whether it takes each. With no input: the fields of every policy.
const ORACLE: &str = r"
const root = process.argv[2] + '/express-gateway/lib';
const policies = require(root + '/policies');
const schemas = require(root + '/schemas');
const fs = require('fs');
const names = fs.readdirSync(root + '/policies').filter(name => !name.endsWith('.js'));
policies.load(names);
const conditions = require(root + '/conditions');
conditions.init();
const router = require(process.argv[2] + '/express').Router();
const takes = attempt => { try { attempt(); return true; } catch (error) { return false; } };
const config = require(root + '/config');
const actionParams = require(root + '/gateway/actionParams');
// A policy is checked, then made. Whether a service endpoint exists is another question.
const makes = (name, action) => schemas.validate(policies.policies[name].schema.$id, action).isValid
  && ((name === 'proxy' && typeof action.serviceEndpoint === 'string' && action.serviceEndpoint !== 's-cars')
    || takes(() => policies.policies[name].policy(Object.assign({}, action, actionParams.prototype), config)));
const judge = ({ policy, action, condition, path }) => condition
  ? takes(() => conditions.conditions[condition.name](condition))
  : path === undefined ? makes(policy, action) : takes(() => router.all(path, () => {}));
const fields = schema => Object.assign({}, schema.properties, ...(schema.allOf || []).map(fields));
const asked = JSON.parse(fs.readFileSync(process.argv[3], 'utf8'));
const answer = asked.length ? asked.map(judge)
  : Object.fromEntries(names.map(name => [name, Object.keys(fields(policies.policies[name].schema))]));
fs.writeFileSync(process.argv[4], JSON.stringify(answer));
process.exit(0);
";

struct Oracle<'a> {
    tools: &'a Tools,
    redis: u16,
    directory: tempfile::TempDir,
}

impl Oracle<'_> {
    fn ask(&self, asked: &[Value]) -> Value {
        let path = |name: &str| self.directory.path().join(name);
        fs::write(path("oracle.js"), ORACLE).unwrap();
        fs::write(path("asked"), Value::from(asked).to_string()).unwrap();
        let mut command = Command::new(&self.tools.node);
        command
            .arg(path("oracle.js"))
            .arg(&self.tools.modules)
            .arg(path("asked"))
            .arg(path("answer"))
            .env_clear();
        let output = command.envs(environment(self.directory.path(), self.redis)).output().unwrap();
        let answer = fs::read(path("answer"))
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        serde_json::from_slice(&answer).unwrap()
    }
}

/// Whether a gateway with this is deployed.
fn taken(asked: &Value) -> bool {
    let policy = asked["policy"].as_str().unwrap_or("cors");
    let pair = json!({ "action": asked["action"], "condition": asked["condition"] });
    let gateway =
        json!({ "id": "g", "name": "g", "pipelines": [{ "id": "p", "policies": [{ policy: [pair] }] }] });
    let endpoint = json!({ "id": "a", "paths": [asked["path"].as_str().unwrap_or("/")] });
    let connection = json!({ "fromId": "p", "toId": "a" });
    let project =
        json!({ "gateways": [gateway], "apiEndpoints": [endpoint], "connections": [connection] }).to_string();
    let file = json!({ "models": { "Project": { "al-dev": project } } }).to_string();
    let plan = case::plan_of(&[("lunchbadger.json", &file)]);
    case::deployed(&plan.gateways).next().is_some()
}

fn oracle(tools: &Tools, redis: u16) -> Oracle<'_> {
    let directory = tempfile::tempdir().unwrap();
    let files = case::planned(&case::all().into_iter().find(|d| d.ends_with("one-gateway")).unwrap()).plan;
    fs::create_dir(directory.path().join("models")).unwrap();
    for (key, content) in &case::deployed(&files.gateways).next().unwrap().config {
        let name = if key.ends_with(".json") { format!("models/{key}") } else { key.clone() };
        fs::write(directory.path().join(name), content.reveal()).unwrap();
    }
    Oracle { tools, redis, directory }
}

#[test]
fn what_express_gateway_refuses_is_held_and_what_it_takes_is_deployed() {
    let Some(tools) = tools() else { return };
    let (_redis, redis) = redis(&tools);
    let oracle = oracle(&tools, redis);
    let fields = oracle.ask(&[]);
    let needed = json!({
        "proxy": { "serviceEndpoint": "s-cars" }, "expression": { "jscode": "1" }, "headers": { "forwardHeaders": {} }, "log": { "message": "x" },
        "jwt": { "secretOrPublicKey": "x" }, "oauth2-introspect": { "endpoint": "http://x" },
        "request-transformer": { "headers": { "add": { "a": "1" } } },
        "response-transformer": { "body": { "remove": ["a"] } },
    });
    let values = json!([
        "", "x", "5", "5.5", "true", "GET", "http", "http://x.example/y", "round-robin", "header", 0, 1, 5, 5.5, true, false,
        null, [], ["x"], [1], ["HS256"], ["HS256", "none"], [[]], {}, { "a": 1 }, { "add": { "a": 1 } }, { "add": {} },
        { "add": { "a": [] } }, { "remove": ["a"] }, { "remove": "a" }, { "secretOrPublicKey": "x" },
    ]);
    let mut asked = Vec::new();
    for (policy, fields) in fields.as_object().unwrap() {
        let base = needed.get(policy).cloned().unwrap_or_else(|| json!({}));
        asked
            .extend([json!({ "policy": policy, "action": base }), json!({ "policy": policy, "action": {} })]);
        for field in fields.as_array().unwrap() {
            for value in values.as_array().unwrap() {
                let mut action = base.clone();
                action[field.as_str().unwrap()] = value.clone();
                asked.push(json!({ "policy": policy, "action": action, "field": field }));
            }
        }
    }
    let more = [
        ("jwt", json!({ "secretOrPublicKey": "x", "jwtExtractor": "authScheme" })),
        ("jwt", json!({ "secretOrPublicKey": "x", "jwtExtractor": "authScheme", "jwtExtractorField": "x" })),
        ("jwt", json!({ "secretOrPublicKey": "x", "jwtExtractor": "authScheme", "jwtExtractorField": "" })),
        ("jwt", json!({ "secretOrPublicKey": "x", "secretOrPublicKeyFile": "y" })),
        ("proxy", json!({ "serviceEndpoint": "s-cars", "target": { "keyFile": "/no/such" } })),
        ("proxy", json!({ "serviceEndpoint": "s-cars", "target": { "x": 1 } })),
        (
            "proxy",
            json!({ "serviceEndpoint": "s-cars", "proxyOptions": { "target": { "caFile": "/no/such" } } }),
        ),
        ("proxy", json!({ "serviceEndpoint": "s-cars", "proxyUrl": "no-url" })),
        ("proxy", json!({ "serviceEndpoint": "s-cars", "proxyUrl": "http://proxy.example:3128" })),
        ("oauth2", json!({ "jwt": { "secretOrPublicKey": 1, "jwtExtractor": "none" } })),
    ];
    asked.extend(more.into_iter().map(|(policy, action)| json!({ "policy": policy, "action": action })));
    assert!(asked.len() > 1000, "{}", asked.len());
    let answers = oracle.ask(&asked);
    assert!(answers.as_array().unwrap().iter().filter(|answer| **answer == json!(false)).count() > 500);
    // Files, addresses and empty keys that stop it, or fail every request, although its schemas take them.
    let stricter = ["secretOrPublicKeyFile", "proxyUrl", "secretOrPublicKey"];
    let mut wrong = Vec::new();
    for (asked, answer) in asked.iter().zip(answers.as_array().unwrap()) {
        let ours = taken(asked);
        let excused =
            asked["policy"] == "oauth2-introspect" || stricter.iter().any(|field| asked["field"] == *field);
        if ours != answer.as_bool().unwrap() && (ours || !excused) {
            wrong.push(format!("{asked}: Express Gateway {answer}, we {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), asked.len(), wrong.join("\n"));
}

#[test]
fn conditions_and_paths_are_judged_as_express_gateway_judges_them() {
    let Some(tools) = tools() else { return };
    let (_redis, redis) = redis(&tools);
    let names = [
        "always",
        "never",
        "allOf",
        "oneOf",
        "not",
        "pathMatch",
        "pathExact",
        "method",
        "hostMatch",
        "expression",
        "authenticated",
        "anonymous",
        "tlsClientAuthenticated",
        "json-schema",
        "full-moon",
    ];
    let fields = json!({
        "conditions": [[], [{ "name": "always" }], [{ "name": "never" }, { "name": "full-moon" }], [{}], {}, [1]],
        "condition": [{ "name": "always" }, { "name": "full-moon" }, { "name": "not" }, {}, []],
        "pattern": ["x", "", "^/[a-z]+$", "[", "(", "a{2,1}", 5, [], {}], "path": ["/x", 5, []],
        "methods": ["GET", "get", ["GET", "PUT"], ["FETCH"], [], 5, {}], "expression": ["1", 5, []], "schema": [1, []],
    });
    let mut asked: Vec<Value> = names.map(|name| json!({ "condition": { "name": name } })).to_vec();
    for name in names {
        for (field, values) in fields.as_object().unwrap() {
            asked.extend(
                values.as_array().unwrap().iter().map(|v| json!({ "condition": { "name": name, field: v } })),
            );
        }
    }
    let paths = [
        "/",
        "/x",
        "/x*",
        "*",
        "/:id",
        "/:id(\\d+)",
        "/x(",
        "/x)",
        "/(x)",
        "/[x",
        "/x]",
        "+",
        "/x+",
        "/x?",
        "?",
        "/x??",
        "/x???",
        "/{x}",
        "/x{2,1}",
        "/:a:b",
        "/a/(b",
        "/:id(",
        "/:id()",
        "/:id(*)",
        "/**",
        "/\\",
        "\\",
        "/a|b",
        "/é",
        "/a^$",
        "/(?:x)",
        "/(?<a>x)",
        "/(?<a>x)(?<a>y)",
        "/.:a",
        "//:a",
        "/:",
        "/:id*?",
        "/\\(",
        "/[\\w-_]",
        "/:id([)",
        "/a/:b?/*",
    ];
    asked.extend(paths.map(|path| json!({ "path": path })));
    let answers = oracle(&tools, redis).ask(&asked);
    let refused = answers.as_array().unwrap().iter().filter(|answer| **answer == json!(false)).count();
    assert!(refused > 100 && asked.len() - refused > 100, "{refused} of {}", asked.len());
    let mut wrong = Vec::new();
    for (asked, answer) in asked.iter().zip(answers.as_array().unwrap()) {
        if taken(asked) != answer.as_bool().unwrap() {
            wrong.push(format!("{asked}: Express Gateway {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), asked.len(), wrong.join("\n"));
}
