//! A person with a browser, as far as signing in needs one: cookies, forms, and redirects that are looked at one by one.

use anyhow::{Context, Result, bail};
use lb_vocab::Secret;
use reqwest::{Client, Response, StatusCode, Url, header};
use serde_json::json;

use crate::gitea::Gitea;

/// Pages between the first and the one that is waited for, at most.
const STEPS: usize = 12;

/// Somebody who is signed in at a Gitea, in a browser.
pub struct Browser {
    http: Client,
    gitea: Url,
}

/// An OAuth 2 application of Gitea's.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl Gitea {
    /// Makes a user who signs in with a password, and not by the platform: a person.
    ///
    /// # Errors
    /// Where Gitea refuses.
    pub async fn create_person(&self, login: &str, password: &str) -> Result<()> {
        let body = json!({
            "username": login,
            "email": format!("{login}@people.example.com"),
            "full_name": format!("Person {login}"),
            "password": password,
            "must_change_password": false,
        });
        let request = self.api(reqwest::Method::POST, "admin/users").json(&body);
        request.send().await?.error_for_status().context("create a person")?;
        Ok(())
    }

    /// Makes a personal access token of somebody who signs in with a password, with these scopes.
    ///
    /// # Errors
    /// Where Gitea refuses.
    pub async fn create_personal_token(
        &self,
        login: &str,
        password: &str,
        scopes: &[&str],
    ) -> Result<Secret> {
        let url = format!("{}/api/v1/users/{login}/tokens", self.url());
        let body = json!({"name": crate::unique("t"), "scopes": scopes});
        let http = crate::http_client()?;
        let answer = http.post(url).basic_auth(login, Some(password)).json(&body).send().await?;
        let answer = answer.error_for_status().context("make a personal token")?;
        let made: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
        Ok(Secret::new(made["sha1"].as_str().context("read the personal token")?.to_owned()))
    }

    /// Registers a confidential application that sends people back to `redirect`.
    ///
    /// # Errors
    /// Where Gitea refuses.
    pub async fn create_application(&self, redirect: &str) -> Result<Application> {
        let body = json!({"name": "LunchBadger", "redirect_uris": [redirect], "confidential_client": true});
        let request = self.api(reqwest::Method::POST, "user/applications/oauth2").json(&body);
        let answer = request.send().await?.error_for_status().context("register an application")?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
        let text = |name: &str| answer[name].as_str().map(str::to_owned).context("read the application");
        Ok(Application { client_id: text("client_id")?, client_secret: text("client_secret")? })
    }
}

impl Browser {
    /// Signs in at Gitea with a password.
    ///
    /// # Errors
    /// Where Gitea does not let in.
    pub async fn sign_in(gitea: &Gitea, login: &str, password: &str) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let browser = Self { http, gitea: gitea.url().parse()? };
        let form = [("user_name", login), ("password", password)];
        let answer = browser.http.post(browser.gitea.join("user/login")?).form(&form).send().await?;
        match answer.status() {
            StatusCode::SEE_OTHER | StatusCode::FOUND => Ok(browser),
            status => bail!("Gitea answers {status} to the sign-in of {login}"),
        }
    }

    /// Follows redirects from `address`, says yes or no where Gitea asks whether the application may, and stops at the first
    /// address that begins with `until`, without going there.
    ///
    /// # Errors
    /// Where the way ends elsewhere.
    pub async fn follow(&self, address: &str, until: &str, consent: bool) -> Result<Url> {
        let mut address: Url = address.parse()?;
        for _ in 0..STEPS {
            let answer = self.http.get(address.clone()).send().await?;
            let answer = match answer.status() {
                StatusCode::OK if address.path().ends_with("/login/oauth/authorize") => {
                    self.consent(&address, answer, consent).await?
                }
                _ => answer,
            };
            let next = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let Some(next) = next else {
                let status = answer.status();
                bail!("{address} answers {status}: {}", answer.text().await.unwrap_or_default());
            };
            address = address.join(next)?;
            if address.as_str().starts_with(until) {
                return Ok(address);
            }
        }
        bail!("{address} is still not {until}")
    }

    /// Sends the form of Gitea's page, which repeats what the address says.
    async fn consent(&self, page: &Url, shown: Response, consent: bool) -> Result<Response> {
        let html = shown.text().await?;
        if !html.contains("/login/oauth/grant") {
            bail!("{page} shows no form to consent with");
        }
        let of =
            |name: &str| page.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let named =
            ["client_id", "state", "scope", "redirect_uri"].map(|name| (name, of(name).unwrap_or_default()));
        let granted = ("granted", consent.to_string());
        let form: Vec<_> = named.into_iter().chain([granted, ("nonce", String::new())]).collect();
        Ok(self.http.post(self.gitea.join("login/oauth/grant")?).form(&form).send().await?)
    }
}
