//! Signing in over a real Gitea, and a producer's API that lets users do what their permissions say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use lb_git::gitea::OAuth;
use lb_http::auth::{Accesses, Authenticator, Identity, Members, Reviews, StaticTokens, UserTokens, pkce};
use lb_http::contract::git_api::{Issued, Login, Permission, SignIn};
use lb_http::contract::{ClientError, Timeouts};
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_http::serve::{Common, Origins};
use lb_testkit::browser::Browser;
use lb_testkit::clock::ManualClock;
use lb_testkit::gitea::{Gitea, Options};
use lb_vocab::Secret;
use lb_vocab::settings::AuthMode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{World, answer, repo, user};

const PASSWORD: &str = "correct-horse-9";
/// Where the client waits for its browser; nobody listens, because the test looks at the address alone.
const CLIENT: &str = "http://127.0.0.1:9/back";

/// A producer's API as far as the seam before it: read, change, restart.
mod api {
    use super::{Extension, Identity, Seam};

    lb_http::routes! { ();
        GET "/api/Projects" Read fine, "reads";
        PATCH "/api/Projects" Write fine, "changes";
        POST "/api/WorkspaceStatus/restart" Admin fine, "restarts";
    }

    pub(super) fn all(seam: &Seam) -> axum::Router {
        router(seam).with_state(())
    }

    async fn fine(Extension(who): Extension<Identity>) -> String {
        who.to_string()
    }
}

/// al's project API in environment `dev`; `clock` is what its knowledge of permissions ages by.
async fn project_api(world: &World, clock: &ManualClock) -> SocketAddr {
    // The pod asks as itself: the static token of al's workspace.
    let git = world.git("pod-al");
    let tokens = UserTokens::new(git.clone(), "lunchbadger", "al-dev", &world.clock);
    let reviews = Reviews::new(Arc::new(tokens), "al-dev", 100, world.clock.clone());
    let authenticator = Authenticator::new(AuthMode::Tokens, StaticTokens::default()).reviews(reviews);
    let members = Members::new(Accesses::new(git, clock.clock()), user("al"), repo("dev"));
    let seam = Seam::new(authenticator, Arc::new(members));
    let routes = api::all(&seam);
    let common = Common {
        seam,
        metrics: Metrics::default(),
        ready: Arc::new(Vec::new),
        origins: Origins::Listed(vec![]),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(lb_http::serve::run(listener, common.wrap(routes), world.shutdown.clone()));
    address
}

/// What reading, changing and restarting answer to a token.
async fn tries(world: &World, api: SocketAddr, token: &Secret) -> [u16; 3] {
    let ask = async |method: &str, path: &str| {
        let request = world.http.request(method.parse().unwrap(), format!("http://{api}{path}"));
        answer(request.bearer_auth(token.reveal())).await.0
    };
    [
        ask("GET", "/api/Projects").await,
        ask("PATCH", "/api/Projects").await,
        ask("POST", "/api/WorkspaceStatus/restart").await,
    ]
}

/// A Gitea of the test's own with al, bob, alice who has a password, and git-api with a sign-in.
struct Case {
    real: Gitea,
    world: World,
    base: String,
    doors: SignIn,
}

impl Case {
    async fn new() -> Option<Self> {
        lb_testkit::skip::needs_gitea()?;
        let real = Gitea::launch(Options::default()).await.unwrap();
        let address = format!("127.0.0.1:{}", lb_testkit::free_port());
        let base = format!("http://{address}");
        let application = real.create_application(&format!("{base}/login/callback")).await.unwrap();
        real.create_person("alice", PASSWORD).await.unwrap();
        let oauth = OAuth {
            client_id: application.client_id,
            client_secret: Secret::new(application.client_secret).into(),
        };
        let variables = [("GIT_API_LISTEN", &*address), ("GIT_API_PUBLIC_URL", &base)];
        let world = World::over_gitea_with(&real, Some(oauth), lb_testkit::clock::system(), &variables).await;
        for name in ["al", "bob"] {
            world.configstore().create(&name.parse().unwrap()).await.unwrap();
        }
        let doors = SignIn::new(base.parse().unwrap(), Timeouts::default()).unwrap();
        Some(Self { real, world, base, doors })
    }

    async fn allow(&self, permission: Permission) {
        let git = self.world.git("operator");
        git.set_collaborator(&user("al"), &repo("dev"), "alice", permission).await.unwrap();
    }

    /// Where a browser begins, with the challenge of a verifier.
    fn begin(&self, verifier: &str) -> String {
        let challenge = pkce::challenge(&Secret::new(verifier.to_owned()));
        format!("{}/login?redirect_uri={CLIENT}&state=mine&code_challenge={challenge}", self.base)
    }

    /// The code with which alice's browser comes back.
    async fn code(&self, browser: &Browser, verifier: &str) -> Secret {
        let back = browser.follow(&self.begin(verifier), CLIENT, true).await.unwrap();
        let pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
        assert_eq!((&*pairs[0].0, &*pairs[1].0, &*pairs[1].1), ("code", "state", "mine"), "{back}");
        Secret::new(pairs[0].1.clone())
    }

    /// alice, signed in with her browser.
    async fn session(&self) -> Login {
        let browser = Browser::sign_in(&self.real, "alice", PASSWORD).await.unwrap();
        let code = self.code(&browser, "the client's verifier").await;
        let verifier = Secret::new("the client's verifier".to_owned());
        let Issued { token, login, expires_in } = self.doors.session(&code, &verifier).await.unwrap();
        assert_eq!((&*login, expires_in), ("alice", 12 * 3600));
        Login::Session(token)
    }

    async fn token(&self, with: &Login, audience: &str) -> Result<Secret, u16> {
        match self.doors.token(with, audience).await {
            Ok(Issued { token, login: _, expires_in }) => {
                assert_eq!(expires_in, 600);
                Ok(token)
            }
            Err(ClientError::Refused { status, .. }) => Err(status),
            Err(error) => panic!("{error}"),
        }
    }

    /// A personal access token of alice's with these scopes, as she makes it at Gitea.
    async fn personal_token(&self, scopes: &[&str]) -> Login {
        let token = self.real.create_personal_token("alice", PASSWORD, scopes).await.unwrap();
        Login::Token { login: "alice".into(), token }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_reaches_an_api_as_far_as_the_repository() {
    let Some(case) = Case::new().await else { return };
    let clock = ManualClock::default();
    let api = project_api(&case.world, &clock).await;
    let session = case.session().await;
    assert_eq!(case.token(&session, "al-dev").await, Err(403), "she may do nothing yet");
    for (permission, expected) in [
        (Permission::Read, [200, 403, 403]),
        (Permission::Write, [200, 200, 403]),
        (Permission::Admin, [200, 200, 200]),
    ] {
        case.allow(permission).await;
        let token = case.token(&session, "al-dev").await.unwrap();
        clock.advance(Duration::from_secs(30));
        assert_eq!(tries(&case.world, api, &token).await, expected, "{permission:?}");
        assert_eq!(case.token(&session, "bob-dev").await, Err(403), "nothing of bob's");
    }
    let token = case.token(&session, "al-dev").await.unwrap();
    // Neither a token for another audience nor the session itself opens it, and this one opens nothing else.
    let Login::Session(of_session) = &session else { panic!("a session") };
    for wrong in [case.token(&session, "git-api").await.unwrap(), of_session.clone()] {
        assert_eq!(tries(&case.world, api, &wrong).await, [401, 401, 401]);
    }
    let path = format!("{}/whoami", case.base);
    assert_eq!(answer(case.world.http.get(&path).bearer_auth(token.reveal())).await.0, 401);
    let renewed = Login::Session(token.clone());
    assert_eq!(case.token(&renewed, "al-dev").await, Err(401), "a pod that sees it gets no other for it");

    case.world.git("operator").remove_collaborator(&user("al"), &repo("dev"), "alice").await.unwrap();
    clock.advance(Duration::from_secs(29));
    assert_eq!(tries(&case.world, api, &token).await, [200, 200, 200], "what was asked holds for 30 s");
    clock.advance(Duration::from_secs(1));
    assert_eq!(tries(&case.world, api, &token).await, [403, 403, 403], "and no longer");
    case.world.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_bound_to_whoever_began_it() {
    let Some(case) = Case::new().await else { return };
    let browser = Browser::sign_in(&case.real, "alice", PASSWORD).await.unwrap();
    // Denied: the client is told, and nothing else happens.
    let back = browser.follow(&case.begin("v"), CLIENT, false).await.unwrap();
    assert_eq!(back.query(), Some("error=access_denied&state=mine"));
    let code = case.code(&browser, "v").await;
    let redeem = async |code: &str, verifier: &str| {
        let (code, verifier) = (Secret::new(code.to_owned()), Secret::new(verifier.to_owned()));
        match case.doors.session(&code, &verifier).await {
            Err(ClientError::Refused { status, .. }) => status,
            Ok(_) => 200,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(redeem(code.reveal(), "w").await, 401, "another verifier");
    assert_eq!(redeem(&code.reveal()[1..], "v").await, 401);
    assert_eq!(redeem(code.reveal(), "v").await, 200);
    let stop = format!("{}/login/callback", case.base);
    let callback = browser.follow(&case.begin("v"), &stop, true).await.unwrap();
    // Somebody else's browser, which has no cookie of ours, is lured to alice's way back, or has a state of its own making.
    let lured = async |address: &str| answer(case.world.http.get(address)).await;
    let (status, said) = lured(callback.as_str()).await;
    assert!(status == 400 && said["error"]["message"].as_str().unwrap().contains("elsewhere"), "{said}");
    assert_eq!(lured(&format!("{stop}?state=x&code=y")).await.0, 400);
    for (query, expected) in [
        ("redirect_uri=https://evil.example.com/&state=s&code_challenge=c", "evil.example.com"),
        ("redirect_uri=https://ui.example.com/&state=s&code_challenge=short", "challenge"),
        ("redirect_uri=https://ui.example.com/&state=s", "code_challenge"),
    ] {
        let (status, said) = lured(&format!("{}/login?{query}", case.base)).await;
        assert!(status == 400 && said.to_string().contains(expected), "{query}: {said}");
    }
    let to_ui = case.begin("v").replace(CLIENT, "https://ui.example.com/in");
    let response = case.world.http.get(to_ui).send().await.unwrap();
    assert_eq!(response.status(), 302);
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    case.world.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_token_reaches_no_further_than_its_scopes() {
    let Some(case) = Case::new().await else { return };
    case.allow(Permission::Admin).await;
    let api = project_api(&case.world, &ManualClock::default()).await;
    for (scopes, expected) in [
        (&["write:repository", "read:user"][..], Some([200, 200, 200])),
        (&["all"], Some([200, 200, 200])),
        (&["read:repository", "read:user"], Some([200, 403, 403])),
        (&["read:user"], None),
        (&["write:repository"], None),
        (&["public-only", "write:repository", "read:user"], None),
    ] {
        let personal = case.personal_token(scopes).await;
        let Ok(token) = case.token(&personal, "al-dev").await else {
            assert_eq!(expected, None, "{scopes:?}");
            continue;
        };
        assert_eq!(Some(tries(&case.world, api, &token).await), expected, "{scopes:?}");
        // The same at git-api's own doors, where git shows the token itself.
        let Login::Token { login, token } = &personal else { panic!("a token") };
        let ask = async |service: &str| {
            let url = format!("{}/customer-al/dev.git/info/refs?service=git-{service}-pack", case.base);
            case.world
                .http
                .get(url)
                .basic_auth(login, Some(token.reveal()))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        };
        let [_, write, _] = expected.unwrap();
        assert_eq!((ask("upload").await, ask("receive").await), (200, write), "{scopes:?}");
        let path = format!("{}/users/customer/al/repos/dev/collaborators/customer-bob", case.base);
        let change = case.world.http.put(path).basic_auth(login, Some(token.reveal()));
        assert_eq!(answer(change.json(&json!({"permission": "read"}))).await.0, write, "{scopes:?}");
    }
    let wrong = Login::Token { login: "alice".into(), token: Secret::new("wrong".into()) };
    assert_eq!(case.token(&wrong, "al-dev").await, Err(401));
    // Who may not sign in at Gitea any more gets no token, though the session has not ended.
    let session = case.session().await;
    let body = json!({"source_id": 0, "login_name": "alice", "prohibit_login": true});
    let locked = case.real.api(reqwest::Method::PATCH, "admin/users/alice").json(&body);
    locked.send().await.unwrap().error_for_status().unwrap();
    assert_eq!(case.token(&session, "al-dev").await, Err(401));
    case.world.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_personal_tokens_is_taken_for_one() {
    let Some(case) = Case::new().await else { return };
    case.allow(Permission::Admin).await;
    // Another application, to which alice showed who she is: its token is good for reading that at Gitea.
    let other = case.real.create_application(CLIENT).await.unwrap();
    let browser = Browser::sign_in(&case.real, "alice", PASSWORD).await.unwrap();
    let page = format!(
        "{}/login/oauth/authorize?client_id={}&redirect_uri={CLIENT}&response_type=code&scope=read:user&state=s",
        case.real.url(),
        other.client_id
    );
    let back = browser.follow(&page, CLIENT, true).await.unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let grant = json!({
        "grant_type": "authorization_code", "client_id": other.client_id, "client_secret": other.client_secret,
        "redirect_uri": CLIENT, "code": code,
    });
    let url = format!("{}/login/oauth/access_token", case.real.url());
    let (status, granted) = answer(case.world.http.post(url).json(&grant)).await;
    assert_eq!(status, 200, "{granted}");
    let granted = granted["access_token"].as_str().unwrap();
    let url = format!("{}/api/v1/user", case.real.url());
    let taken = answer(case.world.http.get(url).basic_auth("alice", Some(granted))).await;
    assert_eq!((taken.0, &taken.1["login"]), (200, &json!("alice")), "Gitea takes it in a password's place");
    for shown in [granted, PASSWORD] {
        let with = Login::Token { login: "alice".into(), token: Secret::new(shown.to_owned()) };
        assert_eq!(case.token(&with, "al-dev").await, Err(401));
        let url = format!("{}/customer-al/dev.git/info/refs?service=git-receive-pack", case.base);
        assert_eq!(answer(case.world.http.get(url).basic_auth("alice", Some(shown))).await.0, 401);
        let (login, shown) = ("alice".parse().unwrap(), Secret::new(shown.to_owned()));
        assert_eq!(case.world.host.authenticate(&login, &shown).await.unwrap(), None);
    }
    case.world.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_pass_to_whoever_gets_the_login_next() {
    let Some(case) = Case::new().await else { return };
    let session = case.session().await;
    case.token(&session, "git-api").await.unwrap();
    let gone = case.real.api(reqwest::Method::DELETE, "admin/users/alice?purge=true");
    gone.send().await.unwrap().error_for_status().unwrap();
    assert_eq!(case.token(&session, "git-api").await, Err(401));
    case.real.create_person("alice", PASSWORD).await.unwrap();
    case.allow(Permission::Admin).await;
    for audience in ["git-api", "al-dev"] {
        assert_eq!(case.token(&session, audience).await, Err(401), "{audience}");
    }
    case.world.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_asks_and_a_caller_learns_who_it_is() {
    let Some(case) = Case::new().await else { return };
    case.allow(Permission::Write).await;
    let session = case.session().await;
    let token = case.token(&session, "al-dev").await.unwrap();
    let forward = async |method: &str, host: &str, uri: &str, token: Option<&Secret>| {
        let request = case.world.http.get(format!("{}/forward-auth", case.base));
        let request = request.header("x-forwarded-method", method).header("x-forwarded-host", host);
        let request = request.header("x-forwarded-uri", uri);
        let request = match token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        };
        let response = request.send().await.unwrap();
        let user = response.headers().get("x-lunchbadger-user").map(|user| user.to_str().unwrap().to_owned());
        (response.status().as_u16(), user)
    };
    let (host, alice) = ("internal-al-dev.lunchbadger.io", Some("alice".to_owned()));
    let restart = "/project-api/api/WorkspaceStatus/restart";
    for (method, host, uri, shown, expected) in [
        ("GET", host, "/project-api/api/Projects/al-dev", Some(&token), (200, alice.clone())),
        ("PATCH", host, "/project-api/api/Projects", Some(&token), (200, alice.clone())),
        ("POST", host, restart, Some(&token), (403, None)),
        ("GET", host, "/workspace-api/api/Facets", Some(&token), (200, alice)),
        ("GET", "sls-al-dev.lunchbadger.io", "/service", Some(&token), (403, None)),
        ("GET", "internal-bob-dev.lunchbadger.io", "/project-api/x", Some(&token), (401, None)),
        ("POST", host, "/project-api/api/WorkspaceStatus//restart", Some(&token), (403, None)),
        ("POST", host, "/project-api/api/WorkspaceStatus/%72estart", Some(&token), (403, None)),
        ("POST", host, "/explorer/..%2fproject-api/api/WorkspaceStatus/restart", Some(&token), (403, None)),
        ("GET", host, "/elsewhere", Some(&token), (403, None)),
        ("OPTIONS", host, "/elsewhere", None, (403, None)),
        ("GET", host, "/project-api/x", None, (401, None)),
        ("OPTIONS", host, "/project-api/x", None, (200, None)),
    ] {
        assert_eq!(forward(method, host, uri, shown).await, expected, "{method} {host}{uri}");
    }
    // What a client adds of the other kind of headers does not turn a restart into a look.
    let disguised = case.world.http.get(format!("{}/forward-auth", case.base)).bearer_auth(token.reveal());
    let disguised = disguised.header("x-forwarded-method", "POST").header("x-forwarded-host", host);
    let disguised = disguised.header("x-forwarded-uri", restart).header("x-original-method", "GET");
    let disguised = disguised.header("x-original-url", format!("http://{host}/project-api/x"));
    assert_eq!(answer(disguised).await.0, 400);
    assert_eq!(case.token(&session, "nonsense").await, Err(400));
    let git = case.token(&session, "git-api").await.unwrap();
    let ask = async |path: &str| -> Value {
        answer(case.world.http.get(format!("{}{path}", case.base)).bearer_auth(git.reveal())).await.1
    };
    let who = ask("/whoami").await;
    assert_eq!((&who["name"], &who["reach"]), (&json!("alice"), &json!("admin")), "{who}");
    assert_eq!(who["user"]["full_name"], "Person alice");
    let repos = ask("/whoami/repos").await;
    let repos: Vec<_> = repos["repos"].as_array().unwrap().iter().map(|repo| &repo["full_name"]).collect();
    assert_eq!(repos, [&json!("customer-al/dev")]);
    // A reader of `dev` sees the producer at the configstore.
    let store = case.token(&session, "configstore").await.unwrap();
    let url = format!("http://{}/producers/al", case.world.configstore);
    assert_eq!(answer(case.world.http.get(url).bearer_auth(store.reveal())).await.0, 200);
    case.world.shutdown.cancel();
}
