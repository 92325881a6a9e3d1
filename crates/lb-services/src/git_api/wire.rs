//! The git host's types as they stand on the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lb_git::{ChangeKind, Permission, TreeAnswer};
use lb_http::contract::git_api as wire;
use lb_vocab::{Blob, Timestamp};

pub(super) fn user(user: lb_git::User) -> wire::User {
    let lb_git::User { id, login, full_name, email, created: _ } = user;
    let login = String::from(login);
    wire::User { id, username: login.clone(), full_name, login, email }
}

pub(super) fn repository(repository: lb_git::Repository) -> wire::Repository {
    let lb_git::Repository { id, owner, name, default_branch, empty, created: _, updated: _ } = repository;
    let (login, name) = (String::from(owner), String::from(name));
    wire::Repository {
        id,
        full_name: format!("{login}/{name}"),
        name,
        owner: wire::Owner { username: login.clone(), login },
        private: true,
        empty,
        default_branch,
        permissions: None,
    }
}

pub(super) fn reachable((repository, permission): (lb_git::Repository, Permission)) -> wire::Repository {
    let permissions = wire::Permissions {
        admin: permission >= Permission::Admin,
        push: permission >= Permission::Write,
        pull: true,
    };
    wire::Repository { permissions: Some(permissions), ..self::repository(repository) }
}

pub(super) fn key(key: lb_git::PublicKey) -> wire::PublicKey {
    let lb_git::PublicKey { id, title, fingerprint, key, created } = key;
    wire::PublicKey { id, created_at: rfc3339(created), title, fingerprint, key }
}

fn rfc3339(time: Timestamp) -> String {
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

pub(super) fn collaborator(collaborator: lb_git::Collaborator) -> wire::Collaborator {
    let lb_git::Collaborator { login, permission } = collaborator;
    wire::Collaborator { login: login.into(), permission: from_host(permission) }
}

pub(super) fn commit_state(state: wire::CommitState) -> lb_git::CommitState {
    match state {
        wire::CommitState::Success => lb_git::CommitState::Success,
        wire::CommitState::Failure => lb_git::CommitState::Failure,
        wire::CommitState::Error => lb_git::CommitState::Error,
    }
}

pub(super) fn found(found: lb_git::Found) -> wire::HookState {
    match found {
        lb_git::Found::Standing => wire::HookState::Standing,
        lb_git::Found::Amiss => wire::HookState::Amiss,
        lb_git::Found::Undelivered => wire::HookState::Undelivered,
    }
}

pub(super) fn from_host(permission: Permission) -> wire::Permission {
    match permission {
        Permission::Read => wire::Permission::Read,
        Permission::Write => wire::Permission::Write,
        Permission::Admin => wire::Permission::Admin,
    }
}

pub(super) fn to_host(permission: wire::Permission) -> Permission {
    match permission {
        wire::Permission::Read => Permission::Read,
        wire::Permission::Write => Permission::Write,
        wire::Permission::Admin => Permission::Admin,
    }
}

pub(super) fn commit(commit: lb_git::CommitInfo) -> wire::CommitInfo {
    let lb_git::CommitInfo { id, parents, author_name, author_email, committer_email, time, subject } =
        commit;
    wire::CommitInfo { id, author_name, author_email, committer_email, time, subject, parents }
}

pub(super) fn tree(answer: TreeAnswer) -> wire::TreeBody {
    match answer {
        TreeAnswer::NoSuchRef { refs } => {
            let refs = refs.into_iter().map(String::from).collect();
            wire::TreeBody { commit: None, refs: Some(refs), files: Vec::new() }
        }
        TreeAnswer::Known { commit, tree } => {
            let files = tree.files.into_iter().map(|(path, blob)| file(path.into(), blob)).collect();
            wire::TreeBody { commit: Some(commit), refs: None, files }
        }
    }
}

fn file(path: String, blob: Blob) -> wire::FileBody {
    let entry = wire::FileBody { path, ..wire::FileBody::default() };
    match blob {
        Blob::File(content) => wire::FileBody {
            size: Some(content.len() as u64),
            content: Some(STANDARD.encode(content)),
            ..entry
        },
        Blob::Symlink => wire::FileBody { kind: Some(wire::NoContent::Symlink), ..entry },
        Blob::Submodule => wire::FileBody { kind: Some(wire::NoContent::Submodule), ..entry },
        Blob::TooLarge { size } => {
            wire::FileBody { size: Some(size), kind: Some(wire::NoContent::TooLarge), ..entry }
        }
    }
}

pub(super) fn change(change: lb_git::Change) -> wire::Change {
    let lb_git::Change { cursor, user, repo, kind } = change;
    let kind = match kind {
        ChangeKind::Push { ref_name, before, after, actor } => wire::ChangeKind::Push {
            reference: ref_name.into(),
            before,
            after,
            actor: actor.map(String::from),
        },
        ChangeKind::Created => wire::ChangeKind::Created,
        ChangeKind::Deleted => wire::ChangeKind::Deleted,
    };
    wire::Change { cursor: cursor.into(), user, repo, kind }
}

pub(super) fn changes(changes: lb_git::Changes) -> wire::Changes {
    let lb_git::Changes { cursor, reset, changes } = changes;
    wire::Changes { cursor: cursor.into(), reset, changes: changes.into_iter().map(change).collect() }
}
