//! Every route of git-api with its rule.

use axum::Router;
use lb_http::route::Seam;

use super::{Shared, access, changes, files, forward_auth, openapi, sign_in, smart_http, statuses, users};

lb_http::routes! { Shared;
    GET "/search/users" System users::search, "`{users:[user]}` of any prefix whose login contains `?q=`";
    GET "/login" Public sign_in::begin, "302 to the git host's sign-in and back to `?redirect_uri=` with a code; `&state=&code_challenge=` (S256)";
    GET "/login/callback" Public sign_in::callback, "302 from the git host to the client's `redirect_uri`, with `?code=&state=`";
    POST "/login/session" Public sign_in::session, "`{token,login,expiresIn}` of `{code,codeVerifier}`: a session";
    POST "/login/token" Public sign_in::token, "`{token,login,expiresIn}` of `{audience}` (`git-api`, `configstore`, `watcher`, `<producer>-<env>`), for a session or a git user's own token";
    ANY "/forward-auth" Public forward_auth::check, "200 with `x-lunchbadger-user`, 401 or 403: may this user send that request to a producer's API?";
    POST "/users" System users::create, "`{user,created}`; makes the git user of `{name,prefix}` where it is missing";
    GET "/users/{prefix}" System users::list, "`{users:[user with repos],total}`: every user of the prefix";
    GET "/users/{prefix}/{name}" Owner users::get, "`{user}`";
    GET "/users/{prefix}/{name}/repos" Owner users::repositories, "`{repos:[repo]}`";
    GET "/users/{prefix}/{name}/myrepos" User users::reachable, "`{repos}` that the user may reach, with `permissions`";
    GET "/whoami" Known access::who_am_i, "`{kind,name,reach,user?}`: who calls";
    GET "/whoami/repos" Known access::my_repositories, "`{repos}` that the caller, a git user, may reach, with `permissions`";
    GET "/people/{member}/repos" System access::repositories_of, "`{repos}` that a login of whatever prefix may reach, with `permissions`";
    GET "/keys" Known access::keys, "`{keys}`: public keys (PEM) of the tokens that are issued here";
    GET "/access/{prefix}/{name}/{member}" Owner access::access, "`{user,repos:{dev:\"write\"}}`: what a login may do with the producer's repositories; 404 where nothing";
    POST "/users/{prefix}/{name}/ssh" Owner users::add_key, "`{result: key}` of `{publicKey,type?,title?}`; 422 `{error}`; a pod may add a key of its own type";
    GET "/users/{prefix}/{name}/ssh" Admin users::keys, "`{publicKeys}` without the platform's own";
    DELETE "/users/{prefix}/{name}/ssh/{id}" Admin users::delete_key, "204; 400 `{result:\"UNKNOWN_ID\"}`";
    POST "/users/{prefix}/{name}/tokens" System users::create_token, "`{token}` for the git client, shown this once, named `{name}`";
    PUT "/users/{prefix}/{name}/repos/{repo}" System users::ensure_repository, "`{repo}`; makes it, private";
    PUT "/users/{prefix}/{name}/repos/{repo}/hook" System users::hook, "`{ok:true,found}`; registers the push webhook `{callbackUrl,anew}` once; it was found `standing`, `amiss`, or `undelivered` where the git host delivers none";
    POST "/users/{prefix}/{name}/repos/{repo}/look" System users::look, "`{ok:true}`; has the git host looked at for what happened to the repository";
    GET "/users/{prefix}/{name}/repos/{repo}/hook" Read files::file, "`{data}` of a file with this name";
    GET "/users/{prefix}/{name}/repos/{repo}/collaborators" Admin users::collaborators, "`{collaborators:[{login,permission}]}`";
    PUT "/users/{prefix}/{name}/repos/{repo}/collaborators/{collaborator}" Admin users::set_collaborator, "`{ok:true}`; `{permission}` is read, write or admin";
    DELETE "/users/{prefix}/{name}/repos/{repo}/collaborators/{collaborator}" Admin users::remove_collaborator, "204";
    GET "/users/{prefix}/{name}/repos/{repo}/{*path}" Read files::file, "`{data}`: the file on `master`, base64; null where it is missing";
    POST "/trees/{prefix}/{name}/{repo}" Read files::trees, "`{commit,files}` of `{ref,globs,maxBytes}`, or `{commit:null,refs}`";
    GET "/history/{prefix}/{name}/{repo}" Read files::history, "`{commits}` of `?ref=&path=&limit=`, newest first, along first parents";
    PUT "/statuses/{prefix}/{name}/{repo}/{commit}" System statuses::put, "`{kept}`; says of a commit `{context,state,description,file,line}`; `state` is success, failure or error; not kept where the git host has no such thing";
    PUT "/openapi/{prefix}/{name}/{repo}/{environment}/{commit}" System openapi::put, "`{commit,kept}`; keeps the OpenAPI document of the environment's app at that commit, in git; `kept` is false where it is there already";
    GET "/changes" System changes::changes, "`{cursor,reset,changes}` after `?after=`; with `Accept: text/event-stream` events `change` and `reset` after `Last-Event-ID`";
    GET "/{login}/{repository}/info/refs" Git smart_http::advertise, "smart HTTP: references for `?service=`";
    POST "/{login}/{repository}/git-upload-pack" Git smart_http::rpc, "smart HTTP: fetch";
    POST "/{login}/{repository}/git-receive-pack" Git smart_http::rpc, "smart HTTP: push";
}

pub(super) fn all(seam: &Seam) -> Router<Shared> {
    router(seam)
}
