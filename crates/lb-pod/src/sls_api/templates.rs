//! What a new service begins with: a handler, what it depends on, and `serverless.yml` (functions.md of the contract).

use lb_vocab::Producer;
use serde_json::{Value, json};

/// A language with the versions that there are templates for, the oldest first: those of the contract, then current ones.
pub(super) struct Runtime {
    /// `nodejs`.
    pub(super) env: &'static str,
    /// What may stand behind it.
    pub(super) versions: &'static [&'static str],
    /// `serverless.yml`'s `handler`.
    handler: &'static str,
    /// Files with their texts.
    files: fn(&str) -> [(&'static str, &'static str); 2],
}

/// All of them.
pub(super) const RUNTIMES: [Runtime; 7] = [
    Runtime {
        env: "nodejs",
        versions: &["6", "8", "22", "24"],
        handler: "handler.hello",
        files: |_| {
            [
                ("handler.js", include_str!("templates/handler.js")),
                ("package.json", include_str!("templates/package.json")),
            ]
        },
    },
    Runtime {
        env: "python",
        versions: &["2.7", "3.6", "3.13", "3.14"],
        handler: "handler.hello",
        files: |_| {
            [
                ("handler.py", include_str!("templates/handler.py")),
                ("requirements.txt", include_str!("templates/requirements.txt")),
            ]
        },
    },
    Runtime {
        env: "go",
        versions: &["1.10", "1.25"],
        handler: "handler.Hello",
        files: |version| {
            let dependencies = if version == "1.10" {
                ("Gopkg.toml", include_str!("templates/Gopkg.toml"))
            } else {
                ("go.mod", include_str!("templates/go.mod"))
            };
            [("handler.go", include_str!("templates/handler.go")), dependencies]
        },
    },
    Runtime {
        env: "java",
        versions: &["1.8", "21", "25"],
        handler: "handler.hello",
        files: |_| {
            [
                ("handler.java", include_str!("templates/handler.java")),
                ("pom.xml", include_str!("templates/pom.xml")),
            ]
        },
    },
    Runtime {
        env: "php",
        versions: &["7.2", "8.4"],
        handler: "handler.hello",
        files: |_| {
            [
                ("handler.php", include_str!("templates/handler.php")),
                ("composer.json", include_str!("templates/composer.json")),
            ]
        },
    },
    Runtime {
        env: "ruby",
        versions: &["2.4", "3.4"],
        handler: "handler.hello",
        files: |_| {
            [
                ("handler.rb", include_str!("templates/handler.rb")),
                ("Gemfile", include_str!("templates/Gemfile")),
            ]
        },
    },
    Runtime {
        env: "dotnetcore",
        versions: &["2.0", "8.0", "10.0"],
        handler: "handler.hello",
        files: |_| {
            [
                ("handler.cs", include_str!("templates/handler.cs")),
                ("project.csproj", include_str!("templates/project.csproj")),
            ]
        },
    },
];

/// A runtime, where there is a template for it.
pub(super) fn find(env: &str, version: &str) -> Option<&'static Runtime> {
    RUNTIMES.iter().find(|runtime| runtime.env == env && runtime.versions.contains(&version))
}

/// What there are templates for, in words.
pub(super) fn known() -> String {
    let words = |runtime: &Runtime| format!("{} {}", runtime.env, runtime.versions.join(", "));
    RUNTIMES.iter().map(words).collect::<Vec<_>>().join("; ")
}

/// A service that is to be made.
pub(super) struct New<'a> {
    pub(super) producer: &'a Producer,
    /// The namespace of the producer's objects.
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// What a client keeps about it; its `id` becomes the function's label.
    pub(super) lunchbadger: Option<&'a Value>,
}

impl Runtime {
    /// The files beside `serverless.yml`.
    pub(super) fn files(&self, version: &str) -> [(&'static str, &'static str); 2] {
        (self.files)(version)
    }

    /// `serverless.yml`.
    pub(super) fn serverless(&self, new: &New<'_>) -> Value {
        let New { producer, namespace, name, version, lunchbadger } = new;
        let mut labels = json!({ "producer": producer.name() });
        if let Some(id) = lunchbadger.and_then(|kept| kept.get("id")) {
            labels["id"] = id.clone();
        }
        labels["env"] = json!(producer.environment());
        labels["app"] = json!("kubeless-fn");
        let mut serverless = json!({
            "service": name,
            "provider": { "name": "kubeless", "runtime": format!("{}:{version}", self.env), "namespace": namespace },
            "plugins": ["serverless-kubeless"],
            "functions": { format!("fn-{producer}-{name}"): { "handler": self.handler, "labels": labels } },
        });
        if let Some(kept) = lunchbadger {
            serverless["lunchbadger"] = (*kept).clone();
        }
        serverless
    }
}
