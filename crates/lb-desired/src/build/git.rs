//! What workspace and sls-api share: a clone of one repository, made by an init container and owned by our code.

use k8s_openapi::api::core::v1::{Container, EnvVar, VolumeMount};
use lb_vocab::GitUser;

use super::component::Component;
use super::pod::{ContainerParts, User, env, identity_mount, mount};

/// The volume of the clone. A producer's own code never mounts it.
pub(super) const CLONE: &str = "clone";
/// Where it is mounted. The clone is a directory in it that our code makes (`LB_CLONE_DIR`): the volume itself is root's, so
/// that we could not close it to others.
const CLONE_PARENT: &str = "/var/lib/lunchbadger";
/// `/tmp` of our code, shared by the init container and what follows it.
pub(super) const TMP: &str = "tmp";

/// `GIT_URL`, `LB_ENV`, `LB_PRODUCER` and `WATCH_URL`. `GIT_URL` is smart HTTP at git-api: nothing else of the
/// system knows a way to the git server.
pub(super) fn repository_env(component: &Component<'_>, repository: &str) -> Vec<EnvVar> {
    let configstore = &component.settings.control_plane.configstore;
    let producer = component.producer;
    vec![
        env("GIT_URL", git_url(component, repository)),
        env("LB_ENV", producer.environment().as_str()),
        env("LB_PRODUCER", producer.name().as_str()),
        env("WATCH_URL", format!("http://{configstore}/change-stream/{}", producer.name())),
    ]
}

fn git_url(component: &Component<'_>, repository: &str) -> String {
    format!("http://{}/{}/{repository}.git", component.settings.control_plane.git_api, user(component))
}

fn user(component: &Component<'_>) -> GitUser {
    GitUser::of(component.settings.prefix.clone(), component.producer.name())
}

/// The init container that clones. `GIT_HOST`, `USERNAME`, `GIT_KEY_TYPE` and `GIT_REPO_URL` (SSH) stay for tools
/// that read them; new images use `GIT_URL` and the pod's tokens.
pub(super) fn init(component: &Component<'_>, repository: &str) -> Container {
    let settings = component.settings;
    let control_plane = &settings.control_plane;
    let variables = vec![
        env("CUSTOMER_NAMESPACE", settings.prefix.as_str()),
        env("GIT_API_HOST", control_plane.git_api.to_string()),
        env("GIT_HOST", control_plane.git_repo.to_string()),
        env("GIT_KEY_TYPE", component.app_name()),
        env("GIT_REPO_URL", format!("git@{}:{}/{repository}.git", control_plane.git_repo, user(component))),
        env("GIT_URL", git_url(component, repository)),
        env("USERNAME", component.producer.name().as_str()),
    ];
    let parts = ContainerParts {
        name: "init",
        image: settings.images.of(&settings.images.init, component.producer.name()),
        user: User::Ours,
        resources: &settings.resources.init,
        env: variables,
        mounts: our_mounts(),
    };
    Container { args: Some(vec!["init".to_owned()]), ..parts.container() }
}

/// What our code mounts: clone, `/tmp` and the pod's tokens.
pub(super) fn our_mounts() -> Vec<VolumeMount> {
    vec![mount(CLONE, CLONE_PARENT), mount(TMP, "/tmp"), identity_mount()]
}
